"""Observations of ``flume doctor`` as values: sockets make them, :mod:`~flume.doctor.diagnosis` judges them. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from flume.media.ring import DATAGRAM_BYTES

_UNREACHABLE = {
    (4, 3, 0): "network unreachable",
    (4, 3, 1): "host unreachable",
    (4, 3, 2): "protocol unreachable",
    (4, 3, 3): "port unreachable",
    (4, 3, 4): "fragmentation needed",
    (4, 3, 9): "network prohibited",
    (4, 3, 10): "host prohibited",
    (4, 3, 13): "administratively prohibited",
    (6, 1, 0): "no route",
    (6, 1, 1): "administratively prohibited",
    (6, 1, 3): "address unreachable",
    (6, 1, 4): "port unreachable",
    (6, 1, 5): "source address refused",
    (6, 1, 6): "route rejected",
    (6, 2, 0): "packet too big",
}
"""By version, type and code (RFC 792, 1812, 4443)."""
_PROHIBITED = frozenset({(4, 3, 9), (4, 3, 10), (4, 3, 13), (6, 1, 1), (6, 1, 5), (6, 1, 6)})
_PORT_UNREACHABLE = frozenset({(4, 3, 3), (6, 1, 4), (4, 3, 2)})


class Icmp(NamedTuple):
    """An ICMP message in answer to a packet of ours: IP version, type, code, and its sender's address.

    >>> Icmp(4, 3, 13, "192.0.2.1").text
    'ICMP administratively prohibited from 192.0.2.1'
    """

    version: int
    kind: int
    code: int
    sender: str | None

    @property
    def _key(self) -> tuple[int, int, int]:
        return (self.version, self.kind, self.code)

    @property
    def text(self) -> str:
        """The message in words."""
        name = _UNREACHABLE.get(self._key, f"type {self.kind} code {self.code}")
        return f"ICMP {name}" + (f" from {self.sender}" if self.sender else "")

    @property
    def is_refusal(self) -> bool:
        """Whether a firewall or the destination refused the packet, in contrast to a path that leads nowhere."""
        return self._key in _PROHIBITED or self._key in _PORT_UNREACHABLE


class NameSeen(NamedTuple):
    """The look-up of a name. *reason* is the resolver's; without addresses and reason no answer came in time."""

    host: str
    addresses: tuple[str, ...]
    reason: str | None
    took_s: float


class TcpSeen(NamedTuple):
    """How one attempt to connect ended; *outcome* is open, refused, unreachable or silent."""

    address: str
    port: int
    outcome: str
    reason: str | None
    icmp: Icmp | None
    took_s: float


class HostSeen(NamedTuple):
    """Answers of a host on other ports than the one in question."""

    attempts: tuple[TcpSeen, ...]
    """On ports where usually nothing listens: a refusal proves that the host is there."""
    ping: bool | None
    """Whether the host answers ping; ``None``: this user may not send one."""
    udp_port_refused: bool | None = None
    """Whether the host answers on the server's UDP port that nothing listens there."""
    other_udp_refused: bool | None = None
    """The same of another UDP port."""


class ControlSeen(NamedTuple):
    """What came of the command ``status``.

    *outcome* is answered, silent, not_flume, turned_away, tls_required, tls_failed or login_required.
    """

    outcome: str
    text: str
    took_s: float
    unacknowledged_bytes: int | None = None


class TokenSeen(NamedTuple):
    """What came of sending the token; *outcome* is arrived, nothing, refused, forbidden, other_address or closed."""

    outcome: str
    sent: int
    took_s: float
    icmp: Icmp | None = None
    text: str = ""


class StreamSeen(NamedTuple):
    """A few seconds of the stream, and echoes of rising size beside it."""

    window_s: float
    received: int
    received_bytes: int
    sent: int | None
    """By the server's count; ``None`` where it gave none."""
    dropped_here: int = 0
    """Datagrams that found no room in the receive buffer."""
    longest_gap: int = 0
    """Most datagrams that are missing in a row."""
    echoes_asked: tuple[int, ...] = ()
    echoes_answered: tuple[int, ...] = ()
    """Sizes of the echoes in bytes, without the headers of UDP and IP."""
    datagram_bytes: int = DATAGRAM_BYTES
    """Size of the stream's datagrams, without the headers of UDP and IP; the usual one where none came."""
    fragment_bytes: int = 0
    """Size of the largest fragment in which a datagram came; 0: all came in one piece."""
    kernel_mtu: int | None = None
    """The path MTU that this kernel assumes."""
    closed: str | None = None
    """The code with which the server ended the session."""
    server_drops: Mapping[str, int] = {}
    """Datagrams that the server could not send, by its reason."""

    @property
    def largest_echo(self) -> int:
        """Size of the largest echo that came back, 0 if none did."""
        return max(self.echoes_answered, default=0)

    @property
    def is_cut_by_size(self) -> bool:
        """Whether short echoes came back and none as long as the stream's datagrams did, although they were asked for.

        Each size is asked for several times. Loss can still hit all long ones, so a single datagram of the stream that
        came in one piece shows that it is loss.
        """
        if self.received and not self.fragment_bytes:
            return False
        asked = any(size >= self.datagram_bytes for size in self.echoes_asked)
        return asked and 0 < self.largest_echo < self.datagram_bytes

    @property
    def lost(self) -> int:
        """Datagrams that the network lost."""
        return max(0, (self.sent or self.received) - self.received - self.dropped_here)

    @property
    def lost_pct(self) -> float:
        """The same in percent of the datagrams sent."""
        return 100 * self.lost / self.sent if self.sent else 0.0


class StateSeen(NamedTuple):
    """The stream after a silence: how many datagrams came before, and after, the token was sent again."""

    silence_s: float
    sent: int
    before_token: int
    after_token: int = 0
    closed: str | None = None
    """The code with which the server ended the session."""
    moved: str | None = None
    """The server's notice that the token came from another port or address."""
