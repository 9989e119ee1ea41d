"""What ``flume doctor`` sees, as values: the doctor's sockets make them, ``diagnosis`` concludes from them. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

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
    """An ICMP message that answered what was sent: IP version, type, code, and who sent it."""

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
        """Whether somebody refused what would have reached its destination."""
        return self._key in _PROHIBITED or self._key in _PORT_UNREACHABLE


class NameSeen(NamedTuple):
    """*reason* is the resolver's; without addresses and reason nobody answered in time."""

    host: str
    addresses: tuple[str, ...]
    reason: str | None
    took_s: float


class TcpSeen(NamedTuple):
    """The end of one attempt to connect; *outcome* is open, refused, unreachable or silent."""

    address: str
    port: int
    outcome: str
    reason: str | None
    icmp: Icmp | None
    took_s: float


class HostSeen(NamedTuple):
    """Signs of life beside the port in question."""

    attempts: tuple[TcpSeen, ...]
    """On ports where nothing listens, as a rule: a refusal proves that somebody is there."""
    ping: bool | None
    """``None``: not allowed to ask."""
    udp_port_refused: bool | None = None
    """Whether the server's UDP port answers that nothing listens, ..."""
    other_udp_refused: bool | None = None
    """... and whether another one does."""


class ControlSeen(NamedTuple):
    """What came of the question for the status; *outcome*: answered, silent, ended, foreign or turned_away."""

    outcome: str
    text: str
    took_s: float
    unacknowledged_bytes: int | None = None


class TokenSeen(NamedTuple):
    """What came of sending the token; *outcome*: arrived, nothing, refused, forbidden, other_address or closed."""

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
    """As the server says; ``None`` if it does not."""
    dropped_here: int = 0
    longest_gap: int = 0
    echoes_asked: tuple[int, ...] = ()
    echoes_answered: tuple[int, ...] = ()
    """Sizes above UDP."""
    fragment_bytes: int = 0
    """The largest piece in which a datagram came; 0: all came whole."""
    kernel_mtu: int | None = None
    closed: str | None = None
    """The code with which the server ended the session."""
    server_drops: Mapping[str, int] = {}
    """Why the server could not send, as it says."""

    @property
    def largest_echo(self) -> int:
        """The largest echo that came back."""
        return max(self.echoes_answered, default=0)

    @property
    def lost(self) -> int:
        """Datagrams that the network took."""
        return max(0, (self.sent or self.received) - self.received - self.dropped_here)

    @property
    def lost_pct(self) -> float:
        """The same in percent of those sent."""
        return 100 * self.lost / self.sent if self.sent else 0.0


class StateSeen(NamedTuple):
    """What came after a silence, before and after the token was sent again."""

    silence_s: float
    sent: int
    before_token: int
    after_token: int = 0
    closed: str | None = None
    moved: str | None = None
