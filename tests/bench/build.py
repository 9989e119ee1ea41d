"""Compiles the two C programs once; a change in the source makes a new one."""

import hashlib
import subprocess
from pathlib import Path

from bench.values import BenchError

CACHE = Path(__file__).parents[2] / ".cache" / "bench"


def program(name: str) -> Path:
    """Return the program compiled from ``<name>.c`` in this folder."""
    source = Path(__file__).with_name(f"{name}.c")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    target = CACHE / f"{name}-{digest}"
    if not target.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".part")
        command = ["gcc", "-O2", "-Wall", "-o", str(partial), str(source)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BenchError(f"compiling {source.name}: {error}; install gcc and libc6-dev") from error
        if done.returncode:
            raise BenchError(f"compiling {source.name} failed: {done.stderr.strip()}")
        partial.replace(target)
    return target
