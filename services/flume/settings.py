"""Settings of the programs, checked when they are built, and the figures that server and client share.

Names carry the unit. A value out of range raises :class:`~flume.errors.SettingsError` with the key, the value and the
allowed range. No value is clipped silently::

    ServerSettings(port=6004, tick_ms=5)
    ClientSettings(host="192.0.2.7", transport="udp")
"""

import ipaddress
from typing import Literal

import msgspec

from flume.errors import SettingsError
from flume.secret import Secret

DEFAULT_PORT = 5004
"""RTP's registered port (IANA). Control (TCP) and media (UDP) share the number, so one number opens a firewall."""

MAX_RECEIVE_BUFFER_BYTES = (1 << 30) - 1
"""The most that Linux grants: it keeps the double of the number in a signed 32-bit integer."""

PayloadKind = Literal["rtp", "ts"]
"""``rtp``: RTP carrying MPEG-TS (RFC 2250, payload type 33). ``ts``: the transport packets without a header."""

Transport = Literal["udp", "tcp"]
"""What carries the media: datagrams, or frames on the control connection (RFC 4571)."""

TransportChoice = Literal["auto", "udp", "tcp"]
"""``auto``: UDP, and TCP where UDP does not arrive."""

SenderKind = Literal["io_uring", "loop"]
"""How the datagrams of one tick are sent: in one system call for all clients (Linux's io_uring), or in one a client."""

MAX_LINE_BYTES = 4096
"""Longest control line in either direction, the newline included. The longest legal one is below 1 KiB."""

TOKEN_INTERVAL_S = 2.0
"""Time between two tokens of a client: well below the 30 s for which many NATs keep a UDP mapping (RFC 4787 asks for
120 s)."""

CONSENT_TIMEOUT_S = 7.0
"""Time without a token after which consent ends: three lost tokens and one second more."""

PROOF_MARK = b"!"
"""Follows the token in the datagram by which the server asks a new port whether it wants the stream. The datagram has
to come back as it is, from that port."""

ECHO_MARK = b"?"
"""Follows the token in a datagram that the server is asked to send back unchanged (``flume doctor``)."""

ECHOES_PER_S, ECHO_BURST = 20, 60
"""Most echoes for one address. An examination asks for about thirty; 20 a second of 1472 bytes are 236 kbit/s."""


def check(condition: bool, key: str, value: object, allowed: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Raise :class:`SettingsError` for *key* unless *condition* holds."""
    if not condition:
        raise SettingsError(key, value, allowed)


def check_port(key: str, port: int, *, lowest: int = 1) -> None:
    """Raise :class:`SettingsError` for *key* unless *port* is a port; *lowest* is 0 where the kernel may choose one."""
    check(lowest <= port <= 65535, key, port, f"a port from {lowest} to 65535")


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of ``flume serve``."""

    host: str = "0.0.0.0"
    port: int = DEFAULT_PORT
    datagram_packets: int = 7
    """MPEG-TS packets of 188 bytes in a datagram. Seven fill an MTU of 1500 bytes best; six pass an MTU of 1280, the
    least of IPv6, without fragments."""
    tick_ms: float = 10.0
    """Interval between two ticks. At 5 to 10 ms a batch delays datagrams by less than one video frame."""
    batch_datagrams: int = 48
    """Most datagrams in one segmentation batch: as many as the kernel takes (65,507 bytes). All datagrams of a tick
    leave at once anyway, in one batch or several. The tick decides how deep a queue at the bottleneck must be."""
    sender: SenderKind | Literal["auto"] = "auto"
    """``auto``: io_uring where the kernel and the container allow it."""
    catch_up_factor: float = 4.0
    """A joining client receives the datagrams since the last keyframe at this multiple of the stream's rate."""
    ring_mib: int = 21
    """Most memory for recent datagrams, from which clients join: 4 s at 40 Mbit/s. Higher rates or longer groups of
    pictures need more. Without it clients join at the live edge."""
    ring_s: float = 20.0
    """Oldest keyframe at which a client may join."""
    token_interval_s: float = TOKEN_INTERVAL_S
    consent_timeout_s: float = CONSENT_TIMEOUT_S
    allow: tuple[str, ...] = ()
    """Networks from which clients may come; empty: from everywhere. See :mod:`flume.server.access.networks`."""
    deny: tuple[str, ...] = ()
    """Networks from which no client may come."""
    tls_certificate: str | None = None
    """PEM file of the certificate, and of those between it and its issuer; with it control is encrypted."""
    tls_key: str | None = None
    """PEM file of its key, which only its owner may read; ``None``: in the same file."""
    tls_handshake_s: float = 10.0
    """How long a TLS handshake may take."""
    users: str | None = None
    """File of names and hashed secrets, one of which every client has to log in with; ``None``: no login."""
    login_without_tls: bool = False
    """Take secrets that come unencrypted."""
    rtsp: bool = True
    """Serve players that speak RTSP, on the same port; RTCP on the next one."""
    rtsp_udp: bool = True
    """Send media to such players over UDP; else they are told to take them on their connection (status 461)."""
    max_sessions: int = 1000
    max_sessions_per_address: int = 64
    max_sessions_per_network: int = 256
    """Of one IPv4 /24 or IPv6 /64, or as many as one address may have if that is more."""
    max_half_open: int = 500
    """Control connections whose client does not receive, and has not been interrupted: the oldest give way."""
    connections_per_s_per_address: float = 50.0
    """Control connections that are taken a second; as many at once as twice its sessions."""
    connections_per_s_per_network: float = 200.0
    """Of one IPv4 /24 or IPv6 /64, or as many as one address may make if that is more."""
    idle_control_s: float = 60.0
    """Time without a line after which a control connection without a session is closed."""
    commands_per_s: float = 50.0
    """Lines of one connection a second, blank ones and pieces of up to 4 KiB included. One in two seconds is usual."""
    commands_per_s_per_address: float = 250.0
    commands_per_s_in_all: float = 1000.0
    """Measured: 1000 ``status`` a second cost a tenth of a core."""
    max_line_bytes: int = MAX_LINE_BYTES
    """Longest line that a client may send, the newline included."""
    max_unsent_kib: int = 64
    """Replies and events that wait for a client that does not read; with more, its connection is aborted."""
    keepalive_s: float = 5.0
    """Interval of the event ``alive`` on a control connection with a session."""
    segmentation: bool = True
    """Try UDP segmentation offload (UDP_SEGMENT). Off: for studies, and for devices that fail with it."""

    def __post_init__(self) -> None:
        """Check every range."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            raise SettingsError("host", self.host, "an IPv4 or IPv6 address of this machine") from None
        check_port("port", self.port, lowest=0)
        check(1 <= self.tick_ms <= 100, "tick_ms", self.tick_ms, "1 to 100 milliseconds")
        check(1 <= self.datagram_packets <= 7, "datagram_packets", self.datagram_packets, "1 to 7 packets")
        check(1 <= self.batch_datagrams <= 48, "batch_datagrams", self.batch_datagrams, "1 to 48 datagrams")
        check(self.sender in {"auto", "io_uring", "loop"}, "sender", self.sender, "auto, io_uring or loop")
        check(1 < self.catch_up_factor <= 100, "catch_up_factor", self.catch_up_factor, "above 1, at most 100")
        check(1 <= self.ring_mib <= 4096, "ring_mib", self.ring_mib, "1 to 4096 MiB")
        check(0.1 <= self.ring_s <= 3600, "ring_s", self.ring_s, "0.1 to 3600 seconds")
        check(0.1 <= self.token_interval_s <= 30, "token_interval_s", self.token_interval_s, "0.1 to 30 seconds")
        check(
            self.consent_timeout_s >= 2 * self.token_interval_s,
            "consent_timeout_s",
            self.consent_timeout_s,
            f"at least twice token_interval_s ({self.token_interval_s} s), or one lost datagram ends the stream",
        )
        check(1 <= self.max_sessions <= 100_000, "max_sessions", self.max_sessions, "1 to 100000")
        check(
            self.tls_key is None or self.tls_certificate is not None,
            "tls_key",
            self.tls_key,
            "together with tls_certificate",
        )
        check(
            self.users is None or self.tls_certificate is not None or self.login_without_tls,
            "users",
            self.users,
            "together with tls_certificate, or anyone on the path reads the secrets (login_without_tls permits that)",
        )
        check(0.1 <= self.tls_handshake_s <= 300, "tls_handshake_s", self.tls_handshake_s, "0.1 to 300 seconds")
        check(self.idle_control_s > 0, "idle_control_s", self.idle_control_s, "above 0 seconds")
        check(self.keepalive_s > 0, "keepalive_s", self.keepalive_s, "above 0 seconds")
        self._check_limits()

    def _check_limits(self) -> None:
        # They may be above max_sessions, so that a person can lower max_sessions alone.
        for key in ("max_sessions_per_address", "max_sessions_per_network", "max_half_open"):
            check(1 <= getattr(self, key) <= 100_000, key, getattr(self, key), "1 to 100000")
        for key in ("connections_per_s_per_address", "connections_per_s_per_network"):
            check(1 <= getattr(self, key) <= 1_000_000, key, getattr(self, key), "1 to 1000000 a second")
        for key in ("commands_per_s", "commands_per_s_per_address", "commands_per_s_in_all"):
            check(1 <= getattr(self, key) <= 1_000_000, key, getattr(self, key), "1 to 1000000 a second")
        check(512 <= self.max_line_bytes <= 65_536, "max_line_bytes", self.max_line_bytes, "512 to 65536 bytes")
        check(1 <= self.max_unsent_kib <= 65_536, "max_unsent_kib", self.max_unsent_kib, "1 to 65536 KiB")


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of ``flume watch``."""

    host: str
    port: int = DEFAULT_PORT
    tls: bool = False
    """Encrypt the control connection, and verify the server's certificate."""
    ca: str | None = None
    """PEM file of the issuers that are believed; ``None``: those of the system."""
    user: str | None = None
    """Name to log in with; ``None``: no login."""
    secret: Secret | None = None
    """The user's. The settings do not care whether it is sent encrypted: that is asked where a person gives it."""
    payload: PayloadKind = "rtp"
    transport: TransportChoice = "auto"
    """What carries the media. TCP is the second choice: it delays where UDP loses."""
    reorder_ms: float = 60.0
    """How long a gap may wait for a late datagram before it counts as lost and later datagrams go on."""
    buffer_datagrams: int = 4096
    """Most datagrams that the jitter buffer holds: 1.4 s at 30 Mbit/s, 5 MiB."""
    receive_buffer_bytes: int = 4 << 20
    """SO_RCVBUF asked for: 0.77 s at 50 Mbit/s, enough for a restart of the player or for other load on this host. The
    kernel's default holds about 90 datagrams: 19 ms."""
    network_caching_ms: int = 300
    """libvlc's own buffer, after the jitter buffer."""
    connect_timeout_s: float = 5.0
    record: bool = False
    """Keep which numbers were given up as lost and which came too late, until they are taken: for the lab."""
    reconnect: bool = True
    reconnect_max_s: float = 10.0
    """Longest pause between two attempts to connect; pauses begin at 0.25 s and double."""

    def __post_init__(self) -> None:
        """Check every range."""
        check(bool(self.host.strip()), "host", self.host, "the server's name or address")
        check_port("port", self.port)
        check(
            (self.user is None) is (self.secret is None), "user", self.user, "a user and a secret, or neither of them"
        )
        check(self.payload in {"rtp", "ts"}, "payload", self.payload, "rtp or ts")
        check(self.transport in {"auto", "udp", "tcp"}, "transport", self.transport, "auto, udp or tcp")
        check(
            self.transport != "tcp" or self.payload == "rtp",
            "payload",
            self.payload,
            "rtp with the transport tcp, whose frames carry RTP packets (RFC 4571)",
        )
        check(0 <= self.reorder_ms <= 5000, "reorder_ms", self.reorder_ms, "0 to 5000 milliseconds")
        check(16 <= self.buffer_datagrams <= 65536, "buffer_datagrams", self.buffer_datagrams, "16 to 65536")
        check(
            4096 <= self.receive_buffer_bytes <= MAX_RECEIVE_BUFFER_BYTES,
            "receive_buffer_bytes",
            self.receive_buffer_bytes,
            f"4096 to {MAX_RECEIVE_BUFFER_BYTES} bytes",
        )
        check(
            0 <= self.network_caching_ms <= 60000,
            "network_caching_ms",
            self.network_caching_ms,
            "0 to 60000 ms",
        )
        check(0.1 <= self.connect_timeout_s <= 300, "connect_timeout_s", self.connect_timeout_s, "0.1 to 300 s")
        check(0.1 <= self.reconnect_max_s <= 3600, "reconnect_max_s", self.reconnect_max_s, "0.1 to 3600 s")
