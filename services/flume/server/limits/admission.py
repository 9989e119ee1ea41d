"""Which control connections are let in, and which ones give way to newcomers. Pure.

A connection is *half-open* until its client has shown that it receives: it has no session, or its token has not come
yet. Half-open connections cost their owner nothing, so a full server does not turn a newcomer away for them: the oldest
one of the network that has most of them gives way. A client that receives, or is interrupted, never gives way.
"""

import functools
import ipaddress
from collections import Counter
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from flume.errors import NetworkError
from flume.settings import ServerSettings

Member = TypeVar("Member")


@functools.lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Return the network that *address* counts for: a /24 of IPv4, in either notation, or a /64 of IPv6.

    One host of IPv6 has a whole /64 to take addresses from.

    >>> network_of("192.0.2.77"), network_of("::ffff:192.0.2.77"), network_of("2001:db8::1%eth0")
    ('192.0.2.0/24', '192.0.2.0/24', '2001:db8::/64')
    """
    if ":" not in address:
        return f"{address.rpartition('.')[0]}.0/24"
    parsed = ipaddress.IPv6Address(address.partition("%")[0])
    if parsed.ipv4_mapped is not None:
        return network_of(str(parsed.ipv4_mapped))
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def host_of(address: str) -> str:
    """Return the host that *address* counts for: itself, in either notation, or its /64 of IPv6.

    >>> host_of("192.0.2.7"), host_of("::ffff:192.0.2.7"), host_of("2001:db8::7")
    ('192.0.2.7', '192.0.2.7', '2001:db8::/64')
    """
    if ":" not in address:
        return address
    without_zone = address.partition("%")[0]
    return without_zone.rpartition(":")[2] if "." in without_zone else network_of(address)


class _Home(NamedTuple):
    """Where a member comes from."""

    address: str
    network: str


class Admission(Generic[Member]):
    """The connections that are let in.

    >>> door = Admission(ServerSettings(max_sessions=1), refused=Counter())
    >>> door.admit("first", "192.0.2.1"), door.admit("second", "198.51.100.1")
    (None, 'first')
    >>> door.settle("second")
    >>> door.admit("third", "192.0.2.1")
    Traceback (most recent call last):
    flume.errors.NetworkError: this server takes 1 sessions and has them: try later
    """

    def __init__(
        self, settings: ServerSettings, *, refused: Counter[str], room: Callable[[], int] = lambda: 1 << 30
    ) -> None:
        """Take the limits of *settings*; *room* returns for how many sessions there are file descriptors.

        What is turned away, and what gives way, is counted in *refused*.
        """
        self._settings = settings
        # One address may always use up what it is allowed, though its network were allowed less.
        self._per_network = max(settings.max_sessions_per_network, settings.max_sessions_per_address)
        self._refused = refused
        self._room = room
        self._homes: dict[Member, _Home] = {}
        self._addresses: Counter[str] = Counter()
        self._networks: Counter[str] = Counter()
        self._half_open: dict[str, dict[Member, None]] = {}
        """Half-open members by their network, the oldest first."""
        self._half_open_count = 0

    def __len__(self) -> int:
        """Return how many are let in."""
        return len(self._homes)

    def admit(self, member: Member, address: str) -> Member | None:
        """Let *member* from *address* in; return the one that gave way to it, ``None`` where there was room.

        Raises :class:`NetworkError`, with the reason for its client, and lets it not in.
        """
        home = _Home(address, network_of(address))
        leaver = self._make_room(home)
        if leaver is not None:
            self._refused["gave_way"] += 1
            self.remove(leaver)
        self._homes[member] = home
        self._addresses[home.address] += 1
        self._networks[home.network] += 1
        self._half_open.setdefault(home.network, {})[member] = None
        self._half_open_count += 1
        return leaver

    def _make_room(self, home: _Home) -> Member | None:
        """Return the member that gives way for one more of *home*, ``None`` for none; see :meth:`admit`."""
        settings, room = self._settings, self._room()
        same, near, count = self._addresses[home.address], self._networks[home.network], len(self._homes)
        neighbours = self._half_open.get(home.network, {})
        if same >= settings.max_sessions_per_address:
            leaver = next((one for one in neighbours if self._homes[one].address == home.address), None)
            message = f"{home.address} has {same} sessions already, which is the most for one address"
            return self._or_refuse(leaver, "address", message)
        if near >= self._per_network:
            message = f"{home.network} has {near} sessions already, which is the most for one network"
            return self._or_refuse(next(iter(neighbours), None), "network", message)
        if count >= settings.max_sessions:
            message = f"this server takes {settings.max_sessions} sessions and has them: try later"
            return self._or_refuse(self._idlest(), "sessions", message)
        if count >= room:
            message = f"this server has file descriptors for {room} sessions (ulimit -n) and has them: try later"
            return self._or_refuse(self._idlest(), "descriptors", message)
        return self._idlest() if self._half_open_count >= settings.max_half_open else None

    def _or_refuse(self, leaver: Member | None, reason: str, message: str) -> Member:
        if leaver is None:
            self._refused[reason] += 1
            raise NetworkError(message)
        return leaver

    def _idlest(self) -> Member | None:
        """Return the oldest half-open member of the network that has most of them."""
        most = max(self._half_open.values(), key=len, default=None)
        return None if most is None else next(iter(most))

    def settle(self, member: Member) -> None:
        """The client of *member* receives: it gives way to nobody any more."""
        home = self._homes.get(member)
        if home is not None and member in self._half_open.get(home.network, ()):
            del self._half_open[home.network][member]
            self._half_open_count -= 1
            if not self._half_open[home.network]:
                del self._half_open[home.network]

    def unsettle(self, member: Member) -> None:
        """The session of *member* has ended, and its connection goes on: it is half-open, and the youngest."""
        home = self._homes.get(member)
        if home is not None and member not in self._half_open.get(home.network, ()):
            self._half_open.setdefault(home.network, {})[member] = None
            self._half_open_count += 1

    def remove(self, member: Member) -> None:
        """The connection of *member* has ended; nothing happens if it was removed before."""
        self.settle(member)
        home = self._homes.pop(member, None)
        if home is not None:
            for counter, key in ((self._addresses, home.address), (self._networks, home.network)):
                counter[key] -= 1
                if not counter[key]:
                    del counter[key]  # or every address that ever came would be kept
