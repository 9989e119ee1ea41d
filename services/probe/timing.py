"""When frames are sent, and when a link changes. Pure: times in, times out."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Phase(NamedTuple):
    """*frames* frames of *frame_bytes*, one each *step_us*, from *start_us* on."""

    start_us: int
    frames: int
    step_us: int
    frame_bytes: int


def frame_sizes(phases: Iterable[Phase]) -> list[int]:
    """Return the size of each frame in bytes.

    >>> frame_sizes([Phase(0, 2, 500, 60), Phase(9000, 1, 0, 1514)])
    [60, 60, 1514]
    """
    return [phase.frame_bytes for phase in phases for _ in range(phase.frames)]


def due_times_us(phases: Iterable[Phase]) -> list[int]:
    """Return when each frame is due, in microseconds after the beginning.

    >>> due_times_us([Phase(0, 2, 500, 60), Phase(9000, 1, 0, 1514)])
    [0, 500, 9000]
    """
    return [phase.start_us + at * phase.step_us for phase in phases for at in range(phase.frames)]


def current_step(starts_s: Sequence[float], phase_s: float) -> int:
    """Return which of the steps that begin at *starts_s* holds at *phase_s* of the period.

    Before the first one it is the last: the profile repeats.
    """
    return max((at for at, start_s in enumerate(starts_s) if start_s <= phase_s), default=len(starts_s) - 1)


def pause_s(starts_s: Sequence[float], period_s: float, phase_s: float, elapsed_s: float) -> float:
    """Return the time until the next step begins, when *elapsed_s* have passed since *phase_s* of the period.

    >>> pause_s([0.0, 15.0], 30.0, phase_s=16.0, elapsed_s=1.0)
    13.0
    """
    next_s = min((start_s for start_s in starts_s if start_s > phase_s), default=period_s + starts_s[0])
    return max(0.0, next_s - phase_s - elapsed_s)
