"""Processes of this machine, as /proc shows them."""

from pathlib import Path


def children_of(pid: int) -> list[int]:
    """The children of process *pid*, none of one that has ended."""
    try:
        lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(number) for numbers in lists for number in numbers.split()]


def state_of(pid: int) -> str:
    """The letter of ps(1), or nothing for a process that has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def has_ended(pid: int) -> bool:
    """Whether process *pid* is gone; one that its parent has not collected yet counts as gone."""
    return state_of(pid) in {"", "Z"}


def name_of(pid: int) -> str:
    """Its name in lists of processes."""
    return Path(f"/proc/{pid}/comm").read_text().strip()
