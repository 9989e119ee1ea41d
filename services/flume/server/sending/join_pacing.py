"""How fast clients that are behind catch up, so that those who watch lose nothing. Pure."""

import math

ALWAYS_AT_FULL_SPEED = 8
"""So many may join at once at the full factor, however few are watching."""

AVERAGING_S = 1.0
"""Over which the stream's rate is averaged: what catching up is a multiple of."""


class JoinPacing:
    """Datagrams a tick for each client that is behind.

    A single one gets *factor* times the stream's rate. Many at once share a surplus: all together, with those who
    watch, at most twice what this server sends when everybody has caught up. So a crowd that joins loads the link no
    more than twice the crowd that watches, and nobody is ever slower than real time.
    """

    def __init__(self, *, factor: float, tick_s: float) -> None:
        """Catch up at *factor* times the stream's rate at most, in ticks of *tick_s*."""
        self._factor = factor
        self._weight = min(1.0, tick_s / AVERAGING_S)
        self._rate = 0.0

    def observe(self, due: int) -> None:
        """*due* datagrams of the stream came due in this tick."""
        self._rate += (due - self._rate) * self._weight

    def quota(self, due: int, *, behind: int, clients: int) -> int:
        """Return the datagrams of this tick for each of the *behind* clients, of *clients* in all; *due* are new."""
        steady = max(self._rate, due)
        surplus = steady * max(clients, ALWAYS_AT_FULL_SPEED * (self._factor - 1)) / max(1, behind)
        return max(2, due, math.ceil(min(self._factor * steady, steady + surplus)))
