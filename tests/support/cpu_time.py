"""How much CPU time a process has taken, by the kernel's own accounting."""

from pathlib import Path


def cpu_s(pid: int) -> float:
    """Seconds that all threads of *pid* have run, to the nanosecond (/proc/PID/task/TID/schedstat)."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(path.read_text().split()[0]) for path in threads) / 1e9
