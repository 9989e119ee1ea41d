"""A reader in a process of its own that plays a list of items many times, and prints what the process holds.

``python -m support.media.reader_soak ENGINE STARTS PATH...`` plays the items in turn by ENGINE (``ffmpeg`` or ``vlc``),
STARTS in all, and prints one line of JSON with a :class:`Holding` after the warm-up and one at the end.
"""

import logging
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from flume.reader.__main__ import Engines
from flume.reader.engine import UnplayableError
from flume.reader.messages import EngineName, Play, Promise
from support.paths import ROOT

WARM_UP = 20
"""libvlc keeps caches and descriptors of its first items, and glibc its arenas."""


class Holding(NamedTuple):
    """What the process holds after *starts* starts, and how they went."""

    starts: int
    played: int
    failed: int
    mebibytes: float
    threads: int
    descriptors: int
    seconds: float


class _Counting:
    def __init__(self) -> None:
        self.bytes = 0

    def open(self, promise: Promise) -> None:
        """The item plays."""

    def write(self, data: bytes) -> None:
        self.bytes += len(data)


def soak(starts: int, paths: list[Path], *, timeout_s: float, engine: EngineName = "vlc") -> tuple[Holding, Holding]:
    """Play *paths* in turn in a process of its own; raises if it crashes or hangs."""
    command = [sys.executable, "-m", "support.media.reader_soak", engine, str(starts), *map(str, paths)]
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'services'}:{ROOT / 'tests'}", "MALLOC_ARENA_MAX": "2"}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=timeout_s, check=True)
    before, after = (msgspec.json.decode(line, type=Holding) for line in done.stdout.splitlines())
    return before, after


def main() -> None:
    logging.disable()
    name: EngineName = "ffmpeg" if sys.argv[1] == "ffmpeg" else "vlc"
    engine, began_s = Engines().get(name), time.monotonic()
    starts, paths = int(sys.argv[2]), [Path(path) for path in sys.argv[3:]]
    played = failed = 0
    for start in range(1, starts + 1):
        path, sink = paths[start % len(paths)], _Counting()
        # Another name of the same file each time: of a known one the engine remembers what to transcode.
        location = os.fsencode(path.parent) + b"/" + b"./" * (start % 1000) + os.fsencode(path.name)
        item = Play(name=path.name, location=location, is_path=True, engine=name)
        try:
            engine.play(item, sink)
        except UnplayableError:
            failed += 1
        else:
            played += sink.bytes > 0
        if start in {WARM_UP, starts}:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            held = Holding(
                start,
                played,
                failed,
                round(pages * resource.getpagesize() / (1 << 20), 1),
                len(list(Path("/proc/self/task").iterdir())),
                len(list(Path("/proc/self/fd").iterdir())),
                round(time.monotonic() - began_s, 1),
            )
            print(msgspec.json.encode(held).decode(), flush=True)


if __name__ == "__main__":
    main()
