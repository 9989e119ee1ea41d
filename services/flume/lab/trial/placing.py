"""Which frame each displayed picture is: the player's record laid beside the frames sent. Pure.

A picture whose number can be read is the next frame with that number. One without (the frame's upper part is damaged)
or with the number of the picture before it (its upper part is missing) is one of the frames between its neighbours.
Frames are displayed in the order in which they were sent, each once.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from flume.lab.evidence.facts import Shown
from flume.lab.trial.card_numbers import LONGEST_LAG_S
from flume.lab.trial.frames import Frame


class Placing(NamedTuple):
    """The result for one client."""

    shown_s: dict[int, float]
    """Position of a frame to the time at which it was displayed."""
    unclear: int
    """Pictures that were placed by their time, because their number cannot be read."""
    extra: int
    """Pictures that are no frame of their own: a part of one was drawn over."""
    misfits: int
    """Pictures whose number no frame has that was sent by then."""


def place(frames: Sequence[Frame], numbers: Sequence[int | None], shown: Sequence[Shown]) -> Placing:
    """Place the pictures *shown*, in the order of time, among *frames*, which show *numbers*.

    >>> from flume.lab.evidence.facts import MediaDatagram
    >>> ends = ("198.18.0.2", 5004), ("198.18.0.11", 50000)
    >>> sent = [MediaDatagram(at / 25, *ends, b"", at, 7, 1328, 1) for at in range(4)]
    >>> frames = [Frame(0, (one,), 0, True) for one in sent]
    >>> place(frames, [5, 6, 7, 8], [Shown(1.0, 5), Shown(1.04, None), Shown(1.12, 8)]).shown_s
    {0: 1.0, 1: 1.04, 3: 1.12}
    """
    return _Placer(frames, numbers).place(shown)


class _Placer:
    def __init__(self, frames: Sequence[Frame], numbers: Sequence[int | None]) -> None:
        self._frames = frames
        self._positions: dict[int, list[int]] = defaultdict(list)
        for position, number in enumerate(numbers):
            if number is not None:
                self._positions[number].append(position)
        self._shown_s: dict[int, float] = {}
        self._last = -1
        self._waiting: list[float] = []
        """When pictures without a clear number were displayed, since the last one with."""
        self._unclear = self._extra = self._misfits = 0

    def place(self, shown: Sequence[Shown]) -> Placing:
        before: int | None = None
        for time_s, number in shown:
            position = None if number is None or number == before else self._find(number, time_s)
            if position is not None:
                self._place_waiting(position)
                self._shown_s[position] = time_s
                self._last, before = position, number
                continue
            self._misfits += number is not None and number != before
            self._waiting.append(time_s)
        self._place_waiting(len(self._frames))
        return Placing(self._shown_s, self._unclear, self._extra, self._misfits)

    def _find(self, number: int, time_s: float) -> int | None:
        for position in self._positions.get(number, ()):
            if position > self._last and 0 <= time_s - self._frames[position].begun_s <= LONGEST_LAG_S:
                return position
        return None

    def _place_waiting(self, before: int) -> None:
        """Place the pictures that wait, among the frames between the last one placed and *before*."""
        waiting, self._waiting = self._waiting, []
        position = self._last + 1
        for at, time_s in enumerate(waiting):
            room = before - position - (len(waiting) - at - 1)
            # Where frames are missing too, the one that was sent as long before as the last picture was.
            while room > 1 and self._is_too_old(position, time_s):
                position, room = position + 1, room - 1
            if position < before and self._frames[position].begun_s <= time_s:
                self._shown_s[position] = time_s
                self._unclear += 1
                position += 1
            else:
                self._extra += 1

    def _is_too_old(self, position: int, time_s: float) -> bool:
        """Whether the next frame fits *time_s* better than the one at *position* does."""
        if self._last < 0 or position + 1 >= len(self._frames):
            return False
        lag_s = self._shown_s[self._last] - self._frames[self._last].begun_s
        this, following = (time_s - self._frames[at].begun_s for at in (position, position + 1))
        return abs(following - lag_s) < abs(this - lag_s)
