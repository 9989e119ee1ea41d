"""Bursts of loss, and the gaps between them (RFC 3611, 4.7.2). Pure.

A burst begins and ends with a lost datagram, and within it fewer than *Gmin* datagrams in a row arrive. Everything
else is gap, and so is one lost datagram alone, with *Gmin* arrivals before and behind it: the RFC's example has one.
Before the first datagram and behind the last one, arrivals are assumed.
"""

from collections.abc import Iterable, Sequence
from copy import copy
from itertools import pairwise
from typing import NamedTuple

GMIN = 16
"""The value that RFC 3611 recommends."""


class BurstsAndGaps(NamedTuple):
    """Lengths are in datagrams."""

    bursts: int
    burst_datagrams: int
    burst_lost: int
    gaps: int
    gap_datagrams: int
    gap_lost: int

    @property
    def burst_density(self) -> float | None:
        """Share of datagrams in bursts that were lost, 0 to 1; None without a burst."""
        return self.burst_lost / self.burst_datagrams if self.burst_datagrams else None

    @property
    def gap_density(self) -> float | None:
        """Share of datagrams in gaps that were lost, 0 to 1; None without a gap."""
        return self.gap_lost / self.gap_datagrams if self.gap_datagrams else None

    @property
    def burst_mean(self) -> float | None:
        """Mean length of a burst; None without one."""
        return self.burst_datagrams / self.bursts if self.bursts else None

    @property
    def gap_mean(self) -> float | None:
        """Mean length of a gap; None without one."""
        return self.gap_datagrams / self.gaps if self.gaps else None

    def __add__(self, other: "BurstsAndGaps") -> "BurstsAndGaps":  # type: ignore[override]  # a tuple would become longer
        """Return the bursts and gaps of two intervals together; none goes from one into the other."""
        return BurstsAndGaps(*(a + b for a, b in zip(self, other, strict=True)))


NONE = BurstsAndGaps(0, 0, 0, 0, 0, 0)


def bursts_and_gaps(lost: Sequence[int], total: int, *, gmin: int = GMIN) -> BurstsAndGaps:
    """Return the bursts among *total* datagrams of which those at the rising positions *lost*, from 0, were lost.

    Raises :class:`ValueError` when *lost* does not rise, or a position is not below *total*.

    The example of RFC 3611, 4.7.2, one burst of 12 datagrams between gaps of 23 and 29 (the RFC rounds to 0.33 and
    0.04):

    >>> pattern = "11110111111111111111111X111X1011110111111111111111111X111111111"
    >>> found = bursts_and_gaps([at for at, mark in enumerate(pattern) if mark != "1"], len(pattern))
    >>> found.burst_mean, found.burst_density, found.gap_datagrams
    (12.0, 0.3333333333333333, 51)
    """
    if any(a >= b for a, b in pairwise(lost)) or (lost and not 0 <= lost[0] <= lost[-1] < total):
        raise ValueError(f"lost positions have to rise from 0 to below {total}")
    counter = BurstCounter(gmin=gmin)
    for at in lost:
        counter.add(at, at + 1)
    return counter.result(0, total)


class BurstCounter:
    """Counts bursts while the numbers come, and holds none of them.

    >>> counter = BurstCounter()
    >>> counter.add(10, 12), counter.add(100, 101)
    (None, None)
    >>> counter.result(0, 200)
    BurstsAndGaps(bursts=1, burst_datagrams=2, burst_lost=2, gaps=2, gap_datagrams=198, gap_lost=1)
    """

    def __init__(self, *, gmin: int = GMIN) -> None:
        """Begin without a loss."""
        self._gmin = gmin
        self._bursts = self._inside = self._burst_lost = self._lost = 0
        self._first = self._last = 0
        self._group: tuple[int, int, int] | None = None

    def add(self, begin: int, end: int) -> None:
        """Take the next run of lost datagrams, from *begin* to below *end*."""
        self._lost += end - begin
        if self._group is not None and begin - self._group[1] < self._gmin:
            self._group = self._group[0], end, self._group[2] + end - begin
            return
        self.close()
        self._group = begin, end, end - begin

    def close(self) -> None:
        """Count the last group of losses: more than one datagram is a burst."""
        if self._group is None or self._group[2] < 2:
            return
        begin, self._last, lost = self._group
        self._first = self._first if self._bursts else begin
        self._bursts, self._inside, self._burst_lost = (
            self._bursts + 1,
            self._inside + self._last - begin,
            self._burst_lost + lost,
        )

    def result(self, begin: int, end: int, more: Iterable[tuple[int, int]] = ()) -> BurstsAndGaps:
        """Return what is among the datagrams from *begin* to below *end*, with *more* runs of lost ones at the end."""
        whole = copy(self)
        for run in more:
            whole.add(*run)
        whole.close()
        return whole.total(begin, end)

    def total(self, begin: int, end: int) -> BurstsAndGaps:
        """Return what the closed groups make of the datagrams from *begin* to below *end*."""
        # At least Gmin arrivals lie between two bursts; the gaps before and behind them may be empty.
        gaps = self._bursts - 1 + (self._first > begin) + (self._last < end) if self._bursts else int(end > begin)
        around = end - begin - self._inside
        return BurstsAndGaps(self._bursts, self._inside, self._burst_lost, gaps, around, self._lost - self._burst_lost)
