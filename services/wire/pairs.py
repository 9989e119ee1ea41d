"""The packet sockets that carry frames between interfaces of this namespace and the kernel of the wire."""

import socket
import threading

from wire.requests import WireError

_ETH_P_ALL = 3
_SOL_PACKET, _PACKET_IGNORE_OUTGOING, _PACKET_QDISC_BYPASS = 263, 23, 20
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33

_BUFFER_BYTES = 8 << 20
"""User Mode Linux can lose a wake-up under load. A socket whose buffer is full never wakes it again; with this size
the buffer does not fill, and the next frame is the next wake-up. Only frames that wait take memory."""


def _packet_socket() -> socket.socket:
    """Return a packet socket that is bound to no interface, and so receives nothing yet."""
    one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    one.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    one.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _BUFFER_BYTES)
    one.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)  # else each frame that it sends comes back
    one.setsockopt(_SOL_PACKET, _PACKET_QDISC_BYPASS, 1)
    return one


class Pairs:
    """Pairs of packet sockets, one a link: the client's side, then the bridge's. Thread-safe.

    A pair serves one link once: when an interface goes, the kernel of the wire gives its socket up for good.
    """

    def __init__(self, links: int) -> None:
        """Open *links* pairs, all of them spare."""
        self.all = [(_packet_socket(), _packet_socket()) for _ in range(links)]
        self._used = 0
        self._plugged: dict[int, tuple[tuple[str, int], tuple[str, int]]] = {}
        """Pair → name and index of its interfaces, while both exist."""
        self._lock = threading.Lock()

    @property
    def spare(self) -> int:
        """How many pairs were never bound."""
        return len(self.all) - self._used

    def plug(self, client: str, bridge: str) -> int:
        """Bind the next spare pair to the interfaces *client* and *bridge*; return its number, from 0 on.

        Raises :class:`WireError` if no pair is spare or an interface does not exist; then no pair is used up.
        """
        with self._lock:
            if not self.spare:
                raise WireError(f"all {len(self.all)} links of this wire are used up")
            interfaces = _existing(client), _existing(bridge)
            pair = self._used
            self._used += 1
        try:
            for one, name in zip(self.all[pair], (client, bridge), strict=True):
                one.bind((name, _ETH_P_ALL))
        except OSError as error:
            raise WireError(f"the sockets of link {pair} cannot be bound to {client} and {bridge}: {error}") from error
        with self._lock:
            self._plugged[pair] = interfaces
        return pair

    def retire(self) -> list[int]:
        """Return the numbers of the pairs of which an interface has gone since the last call."""
        with self._lock:
            gone = [pair for pair, interfaces in self._plugged.items() if not all(map(_is_there, interfaces))]
            for pair in gone:
                del self._plugged[pair]
        return gone


def _existing(name: str) -> tuple[str, int]:
    """Return an interface's name and index; raises :class:`WireError` if there is none."""
    try:
        return name, socket.if_nametoindex(name)
    except OSError as error:
        raise WireError(f"the wire has no interface {name}") from error


def _is_there(interface: tuple[str, int]) -> bool:
    name, index = interface
    try:
        return socket.if_nametoindex(name) == index
    except OSError:
        return False
