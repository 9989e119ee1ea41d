"""The wall clock of programs under test, set forward and back by hours; see ``clock_jump.c``."""

import hashlib
import os
import struct
import subprocess
from pathlib import Path

from support.paths import CACHE

_SOURCE = Path(__file__).with_suffix(".c")


def _library() -> Path:
    """Return the compiled library; a change of the source compiles a new one."""
    target = CACHE / "tests" / f"clock_jump-{hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:12]}.so"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(f".{os.getpid()}")
        command = ["gcc", "-O2", "-Wall", "-shared", "-fPIC", "-o", str(partial), str(_SOURCE)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        partial.replace(target)
    return target


class WallClock:
    """The wall clock of every program that is started with :attr:`environment`."""

    def __init__(self, path: Path) -> None:
        """Keep the offset in *path*."""
        self._path = path
        path.write_bytes(bytes(8))
        self.environment = {"LD_PRELOAD": str(_library()), "FLUME_CLOCK_OFFSET": str(path)}

    def set_to(self, hours: float) -> None:
        """Let it be *hours* ahead of this machine's clock, or behind it, from now on."""
        with self._path.open("r+b", buffering=0) as file:
            file.write(struct.pack("=q", round(hours * 3600)))
