"""How many connections a second are taken: of one address and of one network. Pure.

A connection that asks for the stream and leaves costs the server 0.2 ms of CPU. So a storm of connections would keep
the queue of the kernel full, and a newcomer waiting behind it. A connection over budget is closed at once, which costs
0.05 ms, and is told why as long as few are.
"""

from flume.server.limits.admission import network_of
from flume.server.limits.buckets import AddressBuckets, Bucket, Rate
from flume.settings import ServerSettings

ROUNDS = 2
"""So many times as many connections as an address, or a network, may have sessions are taken at once: a class that
connects again after a restart of its network tries more than once."""

GOODBYES = Rate(per_s=50, burst=100)
"""Connections that are told why, a second."""


class Newcomers:
    """The budgets of all connections.

    >>> newcomers = Newcomers(ServerSettings(connections_per_s_per_address=1, max_sessions_per_address=1))
    >>> [newcomers.admits("192.0.2.1", now_s) for now_s in (0.0, 0.0, 0.0, 1.0)]
    [True, True, False, True]
    """

    def __init__(self, settings: ServerSettings) -> None:
        """Take the rates of *settings*."""
        address, network = settings.max_sessions_per_address, settings.max_sessions_per_network
        self._addresses = AddressBuckets(Rate(settings.connections_per_s_per_address, ROUNDS * address))
        # One address may always use up what it is allowed, though its network were allowed less.
        per_s = max(settings.connections_per_s_per_network, settings.connections_per_s_per_address)
        self._networks = AddressBuckets(Rate(per_s, ROUNDS * max(network, address)))
        self._goodbyes = Bucket(GOODBYES)

    def admits(self, address: str, now_s: float) -> bool:
        """Count a connection from *address* at *now_s* (monotonic); return whether it is taken."""
        if not self._addresses.of(address, now_s).take(now_s):
            return False
        return self._networks.of(network_of(address), now_s).take(now_s)

    def may_tell(self, now_s: float) -> bool:
        """Whether there is time to tell a connection that is not taken why."""
        return self._goodbyes.take(now_s)
