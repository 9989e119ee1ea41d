"""Which frame each displayed picture is: the player's record laid beside the frames sent. Pure.

A picture whose number can be read is the next frame with that number. One without (the frame's upper part is damaged)
or with the number of the picture before it (its upper part is missing) is one of the frames between its neighbours.
Frames are displayed in the order in which they were sent, each once; so numbers that do not rise with the most of them
are misread.
"""

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from flume.lab.evidence.facts import Shown
from flume.lab.trial.card_numbers import LONGEST_LAG_S
from flume.lab.trial.frames import Frame

_HELD_S = 1.0
"""A frame that left this long before the last one of its window may wait in the decoder with it."""


class Misfit(NamedTuple):
    """A picture whose number no frame has that was sent by then and not yet displayed."""

    time_s: float
    number: int
    after: int
    """Position of the last frame before it that is placed by its number; -1 where there is none."""
    before: int
    """Position of the first one behind it; the number of frames where there is none."""
    nth: int
    """Which of the pictures between the two it is, from 1."""


class Placing(NamedTuple):
    """The result for one client."""

    shown_s: dict[int, float]
    """Position of a frame to the time at which it was displayed."""
    guessed: frozenset[int]
    """Of these, the frames that were placed by their time, because the number in the picture cannot be read."""
    extra: int
    """Pictures that are no frame of their own: a part of one was drawn over."""
    misfits: tuple[Misfit, ...]
    """In the order of time."""

    @property
    def unclear(self) -> int:
        """Pictures that were placed by their time."""
        return len(self.guessed)


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


class _Waiting(NamedTuple):
    """A picture that is placed by its time."""

    time_s: float
    number: int | None
    """None: it cannot be read, or is that of the picture before it."""


class _Placer:
    def __init__(self, frames: Sequence[Frame], numbers: Sequence[int | None]) -> None:
        self._frames = frames
        self._awaited_s = _awaited_s(frames)
        self._positions: dict[int, list[int]] = defaultdict(list)
        for position, number in enumerate(numbers):
            if number is not None:
                self._positions[number].append(position)
        self._shown_s: dict[int, float] = {}
        self._last = -1
        self._waiting: list[_Waiting] = []
        """Pictures without a clear number, since the last one with."""
        self._guessed: set[int] = set()
        self._misfits: list[Misfit] = []
        self._extra = 0

    def place(self, shown: Sequence[Shown]) -> Placing:
        candidates = self._candidates(shown)
        sure = set(_rising([(at, position) for at, position in enumerate(candidates) if position is not None]))
        before: int | None = None
        for at, (time_s, number) in enumerate(shown):
            position = candidates[at]
            if position is not None and at in sure:
                self._place_waiting(position)
                self._shown_s[position] = time_s
                self._last, before = position, number
                continue
            self._waiting.append(_Waiting(time_s, None if number == before else number))
        self._place_waiting(len(self._frames))
        return Placing(self._shown_s, frozenset(self._guessed), self._extra, tuple(self._misfits))

    def _candidates(self, shown: Sequence[Shown]) -> list[int | None]:
        """Return for each picture the frame whose number it shows; None without one, or with that of the last one."""
        found: list[int | None] = []
        before: int | None = None
        last = -1
        for time_s, number in shown:
            position = None if number is None or number == before else self._find(number, time_s, last)
            if position is not None:
                before, last = number, position
            found.append(position)
        return found

    def _find(self, number: int, time_s: float, last: int) -> int | None:
        """Return a frame with *number* that had been sent by *time_s*, not long before: the first one behind *last*.

        A new session may be sent a frame again that was displayed before.
        """
        positions = [
            position
            for position in self._positions.get(number, ())
            if self._frames[position].begun_s <= time_s <= self._awaited_s[position] + LONGEST_LAG_S
        ]
        return next((position for position in positions if position > last), positions[0] if positions else None)

    def _place_waiting(self, before: int) -> None:
        """Place the pictures that wait, among the frames between the last one placed and *before*."""
        waiting, self._waiting = self._waiting, []
        position = self._last + 1
        for at, (time_s, number) in enumerate(waiting):
            if number is not None:
                self._misfits.append(Misfit(time_s, number, self._last, before, at + 1))
            room = before - position - (len(waiting) - at - 1)
            # Where frames are missing too, the one that was sent as long before as the last picture was.
            while room > 1 and self._is_too_old(position, time_s):
                position, room = position + 1, room - 1
            if position < before and self._frames[position].begun_s <= time_s:
                self._shown_s[position] = time_s
                self._guessed.add(position)
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


def _awaited_s(frames: Sequence[Frame]) -> list[float]:
    """Return for each frame the time from which its lag counts: when it left, or when the next window began.

    The last frames before a pause wait in the decoder for the first one behind it, however long the pause is.
    """
    found: list[float] = []
    behind: Frame | None = None
    next_s, last_s = 0.0, math.inf
    for frame in reversed(frames):
        if behind is not None and frame.window != behind.window:
            next_s, last_s = behind.begun_s, frame.begun_s
        found.append(next_s if last_s - frame.begun_s <= _HELD_S else frame.begun_s)
        behind = frame
    return found[::-1]


def _rising(pairs: Sequence[tuple[int, int]]) -> list[int]:
    """Return the first numbers of the most *pairs* whose second numbers rise, as the positions of frames do.

    A misread number may be that of a frame that is yet to be displayed. Taken for true, it would make all those between
    look wrong.

    >>> _rising([(0, 10), (1, 11), (2, 40), (3, 12), (4, 13)]), _rising([(0, 10), (1, 11), (2, 10), (3, 11), (4, 12)])
    ([0, 1, 3, 4], [0, 1, 4])
    """
    ends: list[int] = []
    """Of the chains of each length: the position at which the one with the lowest end does."""
    indices: list[int] = []
    before: list[int] = []
    for index, (_, position) in enumerate(pairs):
        at = bisect_left(ends, position)
        before.append(indices[at - 1] if at else -1)
        if ends[at : at + 1] != [position]:  # of two pictures that are read alike, the first one is the frame
            ends[at : at + 1] = [position]
            indices[at : at + 1] = [index]
    chain, index = list[int](), indices[-1] if indices else -1
    while index >= 0:
        chain.append(pairs[index][0])
        index = before[index]
    return chain[::-1]
