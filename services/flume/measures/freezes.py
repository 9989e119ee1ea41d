"""Freezes: a picture that stood still for longer than the viewer's eye takes for one frame. Pure.

The definition is that of ``freezeCount`` in the W3C's *Identifiers for WebRTC's Statistics API*: the time between two
displayed frames is a freeze when it reaches max(3 δ, δ + 150 ms), where δ is the mean duration of the last 30 frames.
At 25 frames a second that is 190 ms. The whole time between the two frames counts, as in ``totalFreezesDuration``.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

FRAMES_OF_MEAN = 30
LEAST_S = 0.150
"""By how much more than δ the picture stands still, at least."""


class Freeze(NamedTuple):
    """The picture stood still from *start_s* on."""

    start_s: float
    duration_s: float


def threshold_s(frame_s: float) -> float:
    """Return from which duration on a frame is a freeze; *frame_s* is the mean duration δ.

    >>> round(threshold_s(0.04), 3), round(threshold_s(0.1), 3)
    (0.19, 0.3)
    """
    return max(3 * frame_s, frame_s + LEAST_S)


def freezes(shown_s: Sequence[float], *, frame_s: float, until_s: float | None = None) -> list[Freeze]:
    """Return the freezes of one interval in which frames were due all the time; a pause ends it.

    *shown_s*: when each frame was displayed, rising. *frame_s*: the nominal duration of a frame, which is δ until the
    first duration is known. *until_s*: until when frames were due, so that a picture
    that stands still at the end counts too; None: until the last frame.

    >>> steady = [0.04 * n for n in range(50)]
    >>> freezes(steady, frame_s=0.04)
    []
    >>> [round(one.duration_s, 2) for one in freezes([*steady, steady[-1] + 1.0], frame_s=0.04)]
    [1.0]
    """
    found: list[Freeze] = []
    durations: deque[float] = deque(maxlen=FRAMES_OF_MEAN)
    ends = [*shown_s[1:], *([] if until_s is None or not shown_s else [max(until_s, shown_s[-1])])]
    for start_s, end_s in zip(shown_s, ends, strict=False):
        duration_s = end_s - start_s
        if duration_s >= threshold_s(sum(durations) / len(durations) if durations else frame_s):
            found.append(Freeze(start_s, duration_s))
        durations.append(duration_s)
    return found
