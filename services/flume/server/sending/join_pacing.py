"""How fast lagging clients catch up without costing the clients at the live edge a datagram. Pure."""

import math

from flume.settings import ServerSettings

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
        self.tick_s = tick_s
        self._factor = factor
        self._weight = min(1.0, tick_s / AVERAGING_S)
        self.rate = 0.0
        """Datagrams a tick, averaged. The thread that observes sets it; any thread may read it."""

    def observe(self, due: int) -> None:
        """*due* datagrams of the stream came due in this tick."""
        self.rate += (due - self.rate) * self._weight

    def quota(self, due: int, *, behind: int, clients: int) -> int:
        """Return the datagrams of this tick for each of the *behind* clients, of *clients* in all; *due* are new."""
        steady = max(self.rate, due)
        return max(2, due, math.ceil(steady + self.surplus(steady, behind=behind, clients=clients)))

    def surplus(self, steady: float, *, behind: int, clients: int) -> float:
        """Return what each of the *behind* clients may get in a tick beyond the stream's *steady* datagrams a tick.

        *clients* are all there are, those at the live edge included.
        """
        shared = steady * max(clients, ALWAYS_AT_FULL_SPEED * (self._factor - 1)) / max(1, behind)
        return min((self._factor - 1) * steady, shared)


def join_pacing(settings: ServerSettings) -> JoinPacing:
    """Return the pacing that *settings* ask for."""
    return JoinPacing(factor=settings.catch_up_factor, tick_s=settings.tick_ms / 1000)
