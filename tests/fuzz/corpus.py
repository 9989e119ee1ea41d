"""The kept corpus: few small files that together reach what a long run has reached."""

import shutil
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any

from fuzz.targets import CORPUS, TARGETS
from support.paths import SERVICES

MAX_FILES, MAX_FILE_BYTES = 20, 4096
CRASH, SEED = "crash-", "seed-"
"""Beginnings of the names of inputs that once failed, and of those written by hand: both stay."""


def inputs(target: str) -> Iterator[Path]:
    """Yield the kept inputs of *target*, in order."""
    yield from sorted((CORPUS / target).iterdir())


def _lines_of(target: str, data: bytes) -> set[tuple[str, int, int]]:
    """Return which steps from line to line of the product *data* takes."""
    steps: set[tuple[str, int, int]] = set()
    last: dict[FrameType, int] = {}

    def local(frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line":
            steps.add((frame.f_code.co_filename, last.get(frame, 0), frame.f_lineno))
            last[frame] = frame.f_lineno
        elif event == "return":
            last.pop(frame, None)
        return local

    def begin(frame: FrameType, _event: str, _argument: Any) -> Any:
        return local if frame.f_code.co_filename.startswith(str(SERVICES)) else None

    sys.settrace(begin)
    try:
        TARGETS[target](data)
    finally:
        sys.settrace(None)
    return steps


def keep(target: str, grown: Path) -> int:
    """Replace the corpus of *target* by the best of it and of *grown*; return how many files it has."""
    kept = CORPUS / target
    kept.mkdir(parents=True, exist_ok=True)
    found = {path.read_bytes() for path in (*kept.iterdir(), *(grown.iterdir() if grown.is_dir() else ()))}
    chosen = {path.name: path.read_bytes() for path in kept.iterdir() if path.name.startswith((CRASH, SEED))}
    steps = {data: _lines_of(target, data) for data in found if len(data) <= MAX_FILE_BYTES}
    seen: set[tuple[str, int, int]] = set()
    for data in chosen.values():
        seen |= steps[data]
    while len(chosen) < MAX_FILES and steps:
        # The most that is new; of equals the shortest.
        best = max(steps, key=lambda data: (len(steps[data] - seen), -len(data), data))
        if not steps[best] - seen:
            break
        seen |= steps[best]
        chosen[sha256(best).hexdigest()[:12]] = best
    shutil.rmtree(kept)
    kept.mkdir()
    for name, data in chosen.items():
        (kept / name).write_bytes(data)
    return len(chosen)
