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


class Timetable(NamedTuple):
    """When a link changes: at *starts_s* of each period since 1970. Steps have numbers, counted from then on."""

    starts_s: Sequence[float]
    period_s: float

    def number_at(self, now_s: float) -> int:
        """Return the number of the step that holds at *now_s*: until the first one of a period it is the last.

        >>> Timetable([0.0, 15.0], 30.0).number_at(44.0)
        2
        """
        turn = int(now_s // self.period_s)
        phase_s = now_s - turn * self.period_s
        low, high = 0, len(self.starts_s)
        while low < high:
            middle = (low + high) // 2
            if self.starts_s[middle] <= phase_s:
                low = middle + 1
            else:
                high = middle
        return turn * len(self.starts_s) + low - 1

    def begins_s(self, number: int) -> float:
        """Return when step *number* begins.

        >>> Timetable([0.0, 15.0], 30.0).begins_s(3)
        45.0
        """
        turn, at = divmod(number, len(self.starts_s))
        return turn * self.period_s + self.starts_s[at]


Steps = dict[str, list[tuple[float, list[str]]]]
"""Direction → for each step its beginning in the period, in seconds, and tc commands."""


def parse_steps(text: str) -> Steps:
    """Return the steps in *text*, which has a line for each command: direction, beginning, command.

    >>> parse_steps("down 0 qdisc replace …\\ndown 0.5 qdisc replace …\\n")["down"][1]
    (0.5, ['qdisc replace …'])
    """
    found: Steps = {"down": [], "up": []}
    for line in text.splitlines():
        direction, at, command = line.split(" ", 2)
        steps, at_s = found[direction], float(at)
        if not steps or steps[-1][0] != at_s:
            steps.append((at_s, []))
        steps[-1][1].append(command)
    return found
