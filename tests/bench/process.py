"""Owns the processes of senders, and reads what the kernel accounts to them."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Self

import msgspec

from bench.values import BenchError

STOP_S = 3.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Usage(msgspec.Struct, frozen=True):
    """What a process and its descendants have taken so far; *cpu_ns* of the threads that live, by the scheduler."""

    time_ns: int
    cpu_ns: int
    waited_ns: int
    """How long those threads stood ready and got no processor."""
    cross_check_s: float
    rss_bytes: int
    threads: int


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in _entries(Path(f"/proc/{pid}/task")):
        for child in _read(task / "children").split():
            yield from _tree(int(child))


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended since
        return ""


def usage(pid: int, *, alone: bool = False) -> Usage:
    """Return what the tree of *pid* has taken up to now, or the process *alone* without its children."""
    cpu_ns = waited_ns = ticks = rss_bytes = threads = 0
    time_ns = time.monotonic_ns()
    for member in (pid,) if alone else _tree(pid):
        folder = Path(f"/proc/{member}")
        for task in _entries(folder / "task"):
            accounted = _read(task / "schedstat").split()
            cpu_ns += int(accounted[0]) if accounted else 0
            waited_ns += int(accounted[1]) if accounted else 0
            threads += 1
        fields = _read(folder / "stat").rpartition(")")[2].split()
        # Fields 14 to 17 of proc(5), counted from the third: user and system time, its own and of children that ended.
        ticks += sum(int(field) for field in fields[11:15])
        rss_bytes += resident_bytes(_read(folder / "status"))
    return Usage(time_ns, cpu_ns, waited_ns, ticks / _TICKS_PER_S, rss_bytes, threads)


def resident_bytes(status: str) -> int:
    """Return the resident memory in the text of a process's ``status``; 0 for one that has ended."""
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def machine_busy_s() -> float:
    """Return the processor seconds that the whole machine has been busy since it started."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / _TICKS_PER_S


class SenderProcess:
    """One sender, from start to end, in ``with``; what it says on standard error is kept for when it fails."""

    def __init__(self, command: Sequence[str], *, environment: dict[str, str], pass_fds: Sequence[int] = ()) -> None:
        """Start nothing yet."""
        self._command = list(command)
        self._environment = environment
        self._pass_fds = pass_fds

    def __enter__(self) -> Self:
        self._log: BinaryIO = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env=self._environment,
                pass_fds=self._pass_fds,
                start_new_session=True,  # Ctrl-C is for the bench, which ends its children in order
            )
        except OSError as error:
            self._log.close()
            raise BenchError(f"starting {self._command[0]}: {error}") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            # The group is this process's own session: a shell's child goes with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._log.close()

    @property
    def pid(self) -> int:
        """The process whose tree is accounted."""
        return self._process.pid

    def require_alive(self) -> None:
        """Raise :class:`BenchError` with the sender's last words if it has ended."""
        status = self._process.poll()
        if status is not None:
            raise BenchError(f"ended with {status}: {self.last_output()}")

    def last_output(self) -> str:
        """Return the end of what it has said."""
        self._log.flush()
        text = os.pread(self._log.fileno(), 4000, max(0, os.fstat(self._log.fileno()).st_size - 4000))
        lines = [line.strip() for line in text.decode(errors="replace").splitlines() if line.strip()]
        return " / ".join(lines[-2:]) or "it said nothing"
