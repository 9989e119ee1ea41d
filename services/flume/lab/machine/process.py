"""Processes of this machine: daemons, start times, the end of a log, and waiting for a condition."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO


class Daemon(subprocess.Popen[bytes]):
    """A process that outlives this one: in a session of its own, with its log as its only open file of ours.

    So a closed terminal or pipe does not reach it.
    """

    def __init__(self, command: Sequence[str], log: BinaryIO, *, environment: Mapping[str, str]) -> None:
        """Start *command* with *environment*; its output goes to *log*."""
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
        """Do nothing: Popen would warn that the process still runs, which is intended."""


def wait_until(condition: Callable[[], bool], *, timeout_s: float, interval_s: float = 0.1) -> bool:
    """Return whether *condition* became true within *timeout_s*; it is polled every *interval_s*.

    The place to poll a condition; other code waits for an event.

    >>> wait_until(lambda: True, timeout_s=0)
    True
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(interval_s)
    return True


def start_ticks(pid: int) -> int | None:
    """Return the start time of process *pid* in clock ticks since boot; ``None`` for no process, or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before may contain spaces and parentheses
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def has_gone(pid: int, started: int) -> bool:
    """Return whether the process *pid* that was *started* at that tick is provably no more.

    A process that may not be looked at is there, and so is one whose start is not known (0).

    >>> has_gone(os.getpid(), start_ticks(os.getpid()) or 0), has_gone(os.getpid(), 1)
    (False, True)
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            pass
        return False
    return fields[0] in {"Z", "X"} or (bool(started) and int(fields[19]) != started)


def tail(path: Path, size: int = 4096) -> str:
    """Return the last *size* bytes of a text file; empty when there is no file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - size))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def last_line(text: str) -> str:
    """Return the last line of *text* that is not empty."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no message")


def one_line(text: object, limit: int = 300) -> str:
    """Return *text* without line breaks and not longer than *limit* characters.

    >>> one_line("no such file   or directory ")
    'no such file or directory'
    """
    return " ".join(str(text).split())[:limit]
