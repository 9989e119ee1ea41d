"""The CPU time of a process, by the kernel's accounting."""

from pathlib import Path


def cpu_s(pid: int) -> float:
    """Return the seconds that all living threads of *pid* have run, in steps of 1 ns (/proc/PID/task/TID/schedstat)."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(path.read_text().split()[0]) for path in threads) / 1e9
