"""The doctor's sockets: ordinary sockets that report all that the kernel knows about a failure.

For a socket with ``IP_RECVERR`` (ip(7)) Linux keeps the ICMP message behind an error, with its sender's address. It
reports the sizes of fragments (``IP_RECVFRAGSIZE``) and the path MTU that it assumes. On a system that lacks one of
these the finding is less precise, and the examination goes on.
"""

import contextlib
import errno
import ipaddress
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from flume.client.reception.media_socket import ask_for_buffer
from flume.doctor.observations import Icmp, NameSeen, TcpSeen
from flume.linux import TIOCOUTQ
from flume.sockaddr import address_of

IP_MTU_DISCOVER, IP_RECVERR, IP_MTU, IP_RECVFRAGSIZE = 10, 11, 14, 25
IPV6_MTU_DISCOVER, IPV6_MTU, IPV6_RECVERR, IPV6_RECVFRAGSIZE = 23, 24, 25, 77
"""linux/in.h and linux/in6.h; the module socket does not name them."""
PMTUDISC_DO = 2
"""Set "don't fragment" and refuse to send datagrams above the path MTU."""
_ORIGIN_ICMP = frozenset({2, 3})
"""linux/errqueue.h: SO_EE_ORIGIN_ICMP and _ICMP6."""

_IN_PROGRESS = frozenset({0, errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK})


class HasDescriptor(Protocol):
    """A socket, or what has one."""

    def fileno(self) -> int:
        """Return the descriptor."""


class Endpoint(NamedTuple):
    """One address and port of a server, as ``getaddrinfo`` returns them for its name."""

    family: socket.AddressFamily
    sockaddr: tuple[Any, ...]

    @property
    def host(self) -> str:
        """The address as text, with the interface of a link-local one."""
        return address_of(self.sockaddr)[0]

    @property
    def zone(self) -> str:
        """The interface of a link-local address, with a percent sign before it."""
        _, percent, zone = self.host.partition("%")
        return percent + zone

    def at(self, port: int) -> "Endpoint":
        """Return another port of the same host."""
        return Endpoint(self.family, (self.sockaddr[0], port, *self.sockaddr[2:]))


def plain_address(address: object) -> str:
    """Return *address* without a scope, and an IPv4 address that is mapped into IPv6 as IPv4.

    >>> plain_address("::ffff:192.0.2.7"), plain_address("fe80::1%eth0")
    ('192.0.2.7', 'fe80::1')
    """
    without_scope = str(address).partition("%")[0]
    with contextlib.suppress(ValueError):
        parsed = ipaddress.ip_address(without_scope)
        mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
        return str(mapped or parsed)
    return without_scope


def resolve(host: str, port: int, *, timeout_s: float) -> tuple[NameSeen, list[Endpoint]]:
    """Return the look-up of *host* and the endpoints that this machine can reach.

    The system's resolver cannot be interrupted. After *timeout_s* its thread is abandoned.
    """
    began_s = time.monotonic()
    found: list[Endpoint] = []
    reasons: list[str] = []

    def ask() -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            reasons.append(getattr(error, "strerror", None) or str(error))
            return
        found.extend(Endpoint(family, sockaddr) for family, _, _, _, sockaddr in answers)

    asking = threading.Thread(target=ask, name="flume-resolver", daemon=True)
    asking.start()
    asking.join(timeout_s)
    took_s = time.monotonic() - began_s
    if asking.is_alive():
        return NameSeen(host, (), None, took_s), []
    endpoints = [endpoint for endpoint in dict.fromkeys(found) if _is_supported(endpoint.family)]
    addresses = tuple(plain_address(endpoint.host) + endpoint.zone for endpoint in dict.fromkeys(found))
    return NameSeen(host, addresses, "".join(reasons) or None, took_s), endpoints


def _is_supported(family: socket.AddressFamily) -> bool:
    """Whether this machine has sockets of *family*: a kernel without IPv6 still resolves names to its addresses."""
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM):
        return True
    return False


def see_errors(sock: socket.socket) -> None:
    """Make the kernel keep the ICMP messages that concern *sock*."""
    with contextlib.suppress(OSError):
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)


def icmp_behind(sock: socket.socket) -> Icmp | None:
    """Return the latest ICMP message that the kernel kept for *sock*."""
    seen = None
    with contextlib.suppress(OSError):
        while True:
            _, ancillary, _, _ = sock.recvmsg(2048, 512, socket.MSG_ERRQUEUE)
            for _, _, data in ancillary:
                seen = _icmp_untrusted(data) or seen
    return seen


def _icmp_untrusted(data: bytes) -> Icmp | None:
    """Parse ``struct sock_extended_err`` and the address after it (linux/errqueue.h)."""
    if len(data) < 24 or data[4] not in _ORIGIN_ICMP:
        return None
    family = struct.unpack_from("=H", data, 16)[0]
    offender: str | None = None
    if family == socket.AF_INET:
        offender = socket.inet_ntop(socket.AF_INET, data[20:24])
    elif family == socket.AF_INET6 and len(data) >= 40:
        offender = plain_address(socket.inet_ntop(socket.AF_INET6, data[24:40]))
    return Icmp(version=4 if data[4] == 2 else 6, kind=data[5], code=data[6], sender=offender)


class ConnectAttempt:
    """One attempt to open a TCP connection; :attr:`seen` is set when its outcome is known."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Send the SYN."""
        self.endpoint = endpoint
        self.seen: TcpSeen | None = None
        self._began_s = time.monotonic()
        self.socket = socket.socket(endpoint.family, socket.SOCK_STREAM)
        self.socket.setblocking(False)  # noqa: FBT003 - the standard library's signature
        see_errors(self.socket)
        number = self.socket.connect_ex(endpoint.sockaddr)
        if number not in _IN_PROGRESS:
            self._conclude(number)

    @property
    def is_open(self) -> bool:
        """Whether the connection is established."""
        return self.seen is not None and self.seen.outcome == "open"

    def fileno(self) -> int:
        """Return the descriptor, for ``select``."""
        return self.socket.fileno()

    def on_ready(self) -> None:
        """Note the outcome; to be called when ``select`` reports the socket."""
        if self.seen is None:
            self._conclude(self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def give_up(self) -> TcpSeen:
        """Return the outcome; "silent" where there is none yet, which ends the attempt."""
        if self.seen is None:
            self.seen = TcpSeen(plain_address(self.endpoint.host), self._port, "silent", None, None, self._took_s())
        return self.seen

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    @property
    def _port(self) -> int:
        return int(self.endpoint.sockaddr[1])

    def _took_s(self) -> float:
        return time.monotonic() - self._began_s

    def _conclude(self, number: int) -> None:
        icmp = icmp_behind(self.socket)
        if number == 0:
            outcome = "open"
        elif number == errno.ECONNREFUSED:
            outcome = "refused"
        elif number == errno.ETIMEDOUT:
            outcome = "silent"
        else:
            outcome = "unreachable"
        reason = os.strerror(number) if number else None
        self.seen = TcpSeen(plain_address(self.endpoint.host), self._port, outcome, reason, icmp, self._took_s())


def await_attempts(attempts: Sequence[ConnectAttempt], until_s: float, done: Callable[[], bool]) -> None:
    """Wait until the outcome of all *attempts* is known, or *done*, or until *until_s* (monotonic)."""
    while not done():
        waiting = [attempt for attempt in attempts if attempt.seen is None]
        left_s = until_s - time.monotonic()
        if not waiting or left_s <= 0:
            return
        _, writable, failed = select.select([], waiting, waiting, left_s)
        for attempt in {*writable, *failed}:
            attempt.on_ready()


class Ping:
    """An ICMP echo request, where the system allows an ordinary user to send one (``net.ipv4.ping_group_range``)."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Send the request to the host of *endpoint*."""
        self._socket: socket.socket | None = None
        kind = (socket.AF_INET6, socket.IPPROTO_ICMPV6, 128) if endpoint.family == socket.AF_INET6 else None
        family, protocol, request = kind or (socket.AF_INET, socket.IPPROTO_ICMP, 8)
        with contextlib.suppress(OSError):
            self._socket = socket.socket(family, socket.SOCK_DGRAM, protocol)
            self._socket.setblocking(False)  # noqa: FBT003 - the standard library's signature
            self._socket.connect(endpoint.at(0).sockaddr)
            self._socket.send(struct.pack("!BBHHH", request, 0, 0, 0, 1) + b"flume doctor")

    def read_answer(self) -> bool | None:
        """Return whether a reply has come, and take it; ``None`` where the request could not be sent."""
        if self._socket is None:
            return None
        with contextlib.suppress(OSError):
            return self._socket.recv(512)[:1] in {b"\x00", b"\x81"}
        return False

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()


def try_udp_port(endpoint: Endpoint, *, timeout_s: float) -> bool:
    """Send a datagram to *endpoint*; return whether ICMP port unreachable answers it."""
    with contextlib.suppress(OSError), socket.socket(endpoint.family, socket.SOCK_DGRAM) as probe:
        probe.connect(endpoint.sockaddr)
        probe.settimeout(timeout_s)
        try:
            probe.send(b"?")
            probe.recv(16)
        except ConnectionRefusedError:
            return True
    return False


def unacknowledged_bytes(control: HasDescriptor) -> int | None:
    """Return how many bytes written to *control* the peer's kernel has not acknowledged; ``None`` except on Linux."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl  # noqa: PLC0415 - not on every system

        return int(struct.unpack("=i", fcntl.ioctl(control, TIOCOUTQ, bytes(4)))[0])
    return None


def known_path_mtu(media: socket.socket) -> int | None:
    """Return the path MTU that the kernel assumes for the connected socket *media*."""
    level, option = (socket.IPPROTO_IPV6, IPV6_MTU) if media.family == socket.AF_INET6 else (socket.IPPROTO_IP, IP_MTU)
    with contextlib.suppress(OSError):
        return media.getsockopt(level, option)
    return None


def media_socket(endpoint: Endpoint, *, buffer_bytes: int) -> socket.socket:
    """Return a UDP socket connected to *endpoint* that sets "don't fragment" and reports fragment sizes and errors.

    Raises ``OSError``.
    """
    media = socket.socket(endpoint.family, socket.SOCK_DGRAM)
    try:
        media.setblocking(False)  # noqa: FBT003 - the standard library's signature
        ask_for_buffer(media, buffer_bytes)
        see_errors(media)
        options = [(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DO), (socket.IPPROTO_IP, IP_RECVFRAGSIZE, 1)]
        if endpoint.family == socket.AF_INET6:
            options += [
                (socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_DO),
                (socket.IPPROTO_IPV6, IPV6_RECVFRAGSIZE, 1),
            ]
        for level, option, value in options:
            with contextlib.suppress(OSError):
                media.setsockopt(level, option, value)
        media.connect(endpoint.sockaddr)
    except OSError:
        media.close()
        raise
    return media


def fragment_bytes(ancillary: Iterable[tuple[int, int, bytes]]) -> int:
    """Return the size of the largest fragment in which a datagram came, 0 if it came in one piece."""
    kinds = {(socket.IPPROTO_IP, IP_RECVFRAGSIZE), (socket.IPPROTO_IPV6, IPV6_RECVFRAGSIZE)}
    for level, kind, data in ancillary:
        if (level, kind) in kinds and len(data) >= 4:
            return int(struct.unpack_from("=i", data)[0])
    return 0
