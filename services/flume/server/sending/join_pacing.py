"""How fast lagging clients catch up without costing the clients at the live edge a datagram. Pure."""

import math

ALWAYS_AT_FULL_SPEED = 8
"""So many clients may join at once at the full factor, however few are at the live edge."""

AVERAGING_S = 1.0
"""Over which the stream's rate is averaged: catching up is a multiple of this average."""


class JoinPacing:
    """Datagrams a tick for each lagging client.

    A single one gets *factor* times the stream's rate. Many at once share a surplus: all clients together get at most
    twice what this server sends when every client has caught up. So a crowd that joins loads the link with at most
    twice its own steady load, and no client is slower than real time.

    >>> pacing = JoinPacing(factor=4.0, tick_s=1.0)
    >>> pacing.observe(8)
    >>> pacing.quota(8, behind=1, clients=1)
    32
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
