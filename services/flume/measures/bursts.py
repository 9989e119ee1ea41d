"""Bursts of loss, and the gaps between them (RFC 3611, 4.7.2). Pure.

A burst begins and ends with a lost datagram, and within it fewer than *Gmin* datagrams in a row arrive. Everything
else is gap, and so is one lost datagram alone, with *Gmin* arrivals before and behind it: the RFC's example has one.
Before the first datagram and behind the last one, arrivals are assumed.
"""

from collections.abc import Sequence
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
    groups: list[list[int]] = []
    for at in lost:
        if groups and at - groups[-1][-1] - 1 < gmin:
            groups[-1].append(at)
        else:
            groups.append([at])
    bursts = [group for group in groups if len(group) > 1]
    inside = sum(group[-1] - group[0] + 1 for group in bursts)
    burst_lost = sum(map(len, bursts))
    return BurstsAndGaps(len(bursts), inside, burst_lost, _gaps(bursts, total), total - inside, len(lost) - burst_lost)


def _gaps(bursts: Sequence[Sequence[int]], total: int) -> int:
    """Count the gaps that hold a datagram: before, between and behind *bursts*."""
    if not bursts:
        return int(total > 0)
    between = len(bursts) - 1  # at least Gmin arrivals lie between two bursts
    return between + (bursts[0][0] > 0) + (bursts[-1][-1] < total - 1)
