"""Makes files once and keeps them in .cache: the two C programs here, the clips in :mod:`bench.clips`."""

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

from bench.values import BenchError
from support.paths import ROOT

CACHE = ROOT / ".cache" / "bench"
_ERROR_CHARACTERS = 300


def make_once(
    target: Path, command_for: Callable[[Path], list[str]], *, what: str, timeout_s: float, remedy: str = ""
) -> None:
    """Make *target* unless it exists.

    *command_for* returns the command that writes the file it is given. That is a temporary file: *target* appears when
    it is complete. Raises :class:`BenchError`, which says *what* could not be made and the *remedy*.
    """
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".part")
    try:
        done = subprocess.run(command_for(partial), capture_output=True, text=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"{what}: {error}{remedy}") from error
    if done.returncode:
        raise BenchError(f"{what} failed: {done.stderr.strip()[-_ERROR_CHARACTERS:]}")
    partial.replace(target)


def program(name: str) -> Path:
    """Return the program compiled from ``<name>.c`` in this folder; a change of the source compiles a new one."""
    source = Path(__file__).with_name(f"{name}.c")
    target = CACHE / f"{name}-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}"
    make_once(
        target,
        lambda partial: ["gcc", "-O2", "-Wall", "-o", str(partial), str(source)],
        what=f"compiling {source.name}",
        timeout_s=60,
        remedy="; install gcc and libc6-dev",
    )
    return target
