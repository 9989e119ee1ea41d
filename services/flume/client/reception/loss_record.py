"""Which numbers the receiver gave up as lost, and which came too late: a record for the lab. Pure."""

from collections import deque
from typing import NamedTuple

MOST_ENTRIES = 4096
"""Entries held until they are taken, once a second. Beyond that the oldest are forgotten."""
_NUMBERS = 1 << 16


class GivenUp(NamedTuple):
    """The wait for the RTP numbers *first* to *last* ended at *time_s*."""

    time_s: float
    first: int
    last: int


class TooLate(NamedTuple):
    """The RTP number *number* arrived at *time_s*, after it had been given up."""

    time_s: float
    number: int


class LossRecord:
    """Numbers go in extended, and come out as the 16 bits that are in the datagrams. Times are monotonic seconds.

    >>> record = LossRecord()
    >>> record.give_up(range(65535, 65538), 7.0)
    >>> record.too_late(65536, 7.1)
    >>> record.take()
    ([GivenUp(time_s=7.0, first=65535, last=1)], [TooLate(time_s=7.1, number=0)])
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._given_up: deque[GivenUp] = deque(maxlen=MOST_ENTRIES)
        self._too_late: deque[TooLate] = deque(maxlen=MOST_ENTRIES)

    def give_up(self, numbers: range, now_s: float) -> None:
        """Note that the wait for *numbers*, at least one, is over."""
        self._given_up.append(GivenUp(now_s, numbers[0] % _NUMBERS, numbers[-1] % _NUMBERS))

    def too_late(self, number: int, now_s: float) -> None:
        """Note that *number* has come after all."""
        self._too_late.append(TooLate(now_s, number % _NUMBERS))

    def take(self) -> tuple[list[GivenUp], list[TooLate]]:
        """Return what was noted since the last call, in its order."""
        taken = list(self._given_up), list(self._too_late)
        self._given_up.clear()
        self._too_late.clear()
        return taken
