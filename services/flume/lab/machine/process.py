"""Processes of this machine: one that outlives us, its start time, the end of its log, and waiting for it."""

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO


class Daemon(subprocess.Popen[bytes]):
    """A process that outlives us: a session of its own, and nothing of ours but its log. So no terminal reaches it."""

    def __init__(self, command: Sequence[str], log: BinaryIO, *, environment: Mapping[str, str]) -> None:
        """Start *command*, which says everything in *log*."""
        super().__init__(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=environment,
            start_new_session=True,
        )

    def __del__(self) -> None:
        """Forget it: Popen would warn of that while it runs, as it shall."""


def wait_until(condition: Callable[[], bool], *, timeout_s: float, interval_s: float = 0.1) -> bool:
    """Return whether *condition* came true within *timeout_s*; the one place of this module that sleeps."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(interval_s)
    return True


def start_ticks(pid: int) -> int | None:
    """Return when process *pid* started, in clock ticks since boot; ``None`` when there is none, or only a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before may contain spaces and parentheses
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def tail(path: Path, size: int = 4096) -> str:
    """Return the end of a text file; empty when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - size))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def last_line(text: str) -> str:
    """Return the last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no message")


def one_line(text: object, limit: int = 300) -> str:
    """Return *text* without line breaks and not longer than *limit* characters.

    >>> one_line("no such file\n  or directory\n")
    'no such file or directory'
    """
    return " ".join(str(text).split())[:limit]
