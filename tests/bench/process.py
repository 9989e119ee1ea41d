"""Owns the processes of senders, and reads the kernel's accounting of them."""

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
    """What a process and its descendants have used. *cpu_ns* is the scheduler's account of the living threads."""

    time_ns: int
    cpu_ns: int
    waited_ns: int
    """How long those threads were ready to run and had no CPU."""
    cross_check_s: float
    rss_bytes: int
    threads: int


def tree(pid: int) -> Iterator[int]:
    """Yield *pid* and the processes that descend from it."""
    yield pid
    for task in _entries(Path(f"/proc/{pid}/task")):
        for child in _read(task / "children").split():
            yield from tree(int(child))


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the process has ended meanwhile
        return ""


def usage(pid: int, *, alone: bool = False) -> Usage:
    """Return the usage of *pid* and its descendants up to now; of the process *alone*, if set."""
    cpu_ns = waited_ns = ticks = rss_bytes = threads = 0
    time_ns = time.monotonic_ns()
    for member in (pid,) if alone else tree(pid):
        folder = Path(f"/proc/{member}")
        for task in _entries(folder / "task"):
            accounted = _read(task / "schedstat").split()
            cpu_ns += int(accounted[0]) if accounted else 0
            waited_ns += int(accounted[1]) if accounted else 0
            threads += 1
        fields = _read(folder / "stat").rpartition(")")[2].split()
        # Fields 14 to 17 of proc(5), counted from field 3: user and system time, of itself and of children that ended.
        ticks += sum(int(field) for field in fields[11:15])
        rss_bytes += resident_bytes(_read(folder / "status"))
    return Usage(time_ns, cpu_ns, waited_ns, ticks / _TICKS_PER_S, rss_bytes, threads)


def resident_bytes(status: str) -> int:
    """Return the resident memory in *status*, the text of /proc/PID/status; 0 for a process that has ended."""
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def machine_busy_s() -> float:
    """Return the CPU seconds that all CPUs of this host have been busy since it booted."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / _TICKS_PER_S


class SenderProcess:
    """One sender's process. ``with`` starts and ends it; its output is kept for the error message if it fails."""

    def __init__(self, command: Sequence[str], *, environment: dict[str, str], pass_fds: Sequence[int] = ()) -> None:
        """Start nothing; ``with`` starts the process."""
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
                start_new_session=True,  # Ctrl-C reaches only the bench, which then ends its children
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
            # The process group is a session of its own: the children of a shell end with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._log.close()

    @property
    def pid(self) -> int:
        """The process whose tree :func:`usage` measures."""
        return self._process.pid

    def require_alive(self) -> None:
        """Raise :class:`BenchError` with the sender's last output if it has ended."""
        status = self._process.poll()
        if status is not None:
            raise BenchError(f"ended with {status}: {self.last_output()}")

    def last_output(self) -> str:
        """Return the last two lines of its output."""
        self._log.flush()
        text = os.pread(self._log.fileno(), 4000, max(0, os.fstat(self._log.fileno()).st_size - 4000))
        lines = [line.strip() for line in text.decode(errors="replace").splitlines() if line.strip()]
        return " / ".join(lines[-2:]) or "it printed nothing"
