"""Bound sockets, and why binding one failed.

Control (TCP) and media (UDP) share one port number, and the UDP port is the server's alone. Client sockets of the media
port are bound here too, because sockets of one UDP port must agree to share it.
"""

import contextlib
import errno
import ipaddress
import socket
from collections.abc import Iterator
from typing import NamedTuple

from flume.control.endpoint import lacks_interface
from flume.errors import NetworkError
from flume.linux import IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_DONT, PMTUDISC_WANT
from flume.sockaddr import sockaddr_of

PORT_TRIES = 16
"""How often the kernel's choice of a TCP port is tried for UDP as well."""

CONTROL_BACKLOG = 4096
"""Connections that the kernel completes before they are accepted, as far as net.core.somaxconn allows. In a queue that
overflows, a SYN is dropped, and the client repeats it after one second, then three."""

CONTROL_RECEIVE_BYTES = 16 << 10
"""SO_RCVBUF of a control connection. Commands are short: a flood fills this, and then the sender's own memory."""


CONTROL_SEGMENT_BYTES = 1220
"""TCP_MAXSEG of a control connection: with the headers of IPv6 and TCP 1280 bytes, which every path of IPv6 carries
(RFC 8200, section 5). So media over TCP, the way out where UDP is blocked, need no ICMP to find the path's MTU."""


class BoundPorts(NamedTuple):
    """The two sockets of one server: *control* listens on TCP, *media* is bound to the same number of UDP."""

    control: socket.socket
    media: socket.socket


def bind_both(host: str, port: int) -> BoundPorts:
    """Bind TCP and UDP to one number; with *port* 0 to one that is free for both.

    *host* is an IPv4 or IPv6 address of this machine. Raises :class:`NetworkError` that names host, port and the fix.
    """
    for attempt in range(PORT_TRIES):
        control = _bind_control(host, port)
        number: int = control.getsockname()[1]
        try:
            return BoundPorts(control, bind_media(host, number))
        except OSError as error:
            control.close()
            if port or attempt == PORT_TRIES - 1:
                raise NetworkError(explain_bind_error("UDP", host, number, error)) from error
    raise AssertionError("unreachable")


def bind_media(host: str, port: int) -> socket.socket:
    """Return a non-blocking UDP socket bound to *host*:*port*, which no other program has or can get.

    Raises :class:`OSError`. Without SO_REUSEADDR and SO_REUSEPORT on this socket the kernel refuses any other socket
    whose address overlaps, whatever its options. With them ``vlc rtp://@:5004`` would be given a part of the tokens.
    """
    return _bound_udp(host, port, is_shared=False)


def bind_beside(listener: socket.socket, host: str) -> socket.socket:
    """Return a non-blocking UDP socket on *host* and the port of *listener*, for one client. Raises :class:`OSError`.

    SO_REUSEADDR admits a socket where all sockets with an overlapping address have it. Client sockets keep it, for
    those that come after them. *listener* has it only within this call, so no other program gets the port meanwhile.
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        return _bound_udp(host, listener.getsockname()[1], is_shared=True)
    finally:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)


def _bound_udp(host: str, port: int, *, is_shared: bool) -> socket.socket:
    bound = socket.socket(_family(host), socket.SOCK_DGRAM)
    try:
        bound.setblocking(False)  # noqa: FBT003 - the standard library's signature
        _set_fragmentation(bound)
        if is_shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(sockaddr_of((host, port)))
    except (OSError, OverflowError):  # the latter for port 65536, above the last one
        bound.close()
        raise
    return bound


def _set_fragmentation(media: socket.socket) -> None:
    """Let routers fragment over IPv4, and this host over IPv6, where no router may: docs/decisions/0015-path-mtu.md."""
    with contextlib.suppress(OSError):
        if media.family == socket.AF_INET6:
            media.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_WANT)
        media.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DONT)  # also IPv4 on a socket of IPv6


def _bind_control(host: str, port: int) -> socket.socket:
    """Return a listening, non-blocking TCP socket; raises :class:`NetworkError`."""
    control = socket.socket(_family(host), socket.SOCK_STREAM)
    try:
        control.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        control.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CONTROL_RECEIVE_BYTES)  # the connections inherit it
        control.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, CONTROL_SEGMENT_BYTES)
        control.bind(sockaddr_of((host, port)))
        control.listen(CONTROL_BACKLOG)
        control.setblocking(False)  # noqa: FBT003 - the standard library's signature
    except OSError as error:
        control.close()
        raise NetworkError(explain_bind_error("TCP", host, port, error)) from error
    return control


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def reached_at(host: str) -> str:
    """Return an address at which other hosts reach a server on *host*: *host* itself, unless that is all addresses.

    Then it is the address from which this host would send to the world; no datagram is sent.
    """
    if not ipaddress.ip_address(host.partition("%")[0]).is_unspecified:
        return host
    there = "2001:db8::1" if ":" in host else "192.0.2.1"  # for documentation (RFC 5737, RFC 3849)
    with socket.socket(_family(host), socket.SOCK_DGRAM) as asking:
        try:
            asking.connect((there, 9))
        except OSError:  # without a route this host is its whole world
            return "::1" if ":" in host else "127.0.0.1"
        return str(asking.getsockname()[0])


@contextlib.contextmanager
def loopback_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Give a non-blocking UDP sender on loopback and the receiver that it is connected to, which waits 1 s.

    For trying out what this kernel can do. Raises :class:`OSError` where loopback is down.
    """
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(1.0)
        sender.setblocking(False)  # noqa: FBT003 - the standard library's signature
        sender.connect(receiver.getsockname())
        yield sender, receiver


def explain_bind_error(transport: str, host: str, port: int, error: OSError) -> str:
    """Return one line: why binding *transport* ("TCP" or "UDP") *host*:*port* failed, and what to do."""
    look = f"ss -anp{transport[0].lower()} 'sport = :{port}'"
    fixes = {
        errno.EADDRINUSE: f"another program has it (see: {look}); end it or choose another --port",
        errno.EACCES: "ports below 1024 need privileges; choose a higher --port",
        errno.EADDRNOTAVAIL: "this machine has no such address; choose another --host (0.0.0.0 is all of them)",
    }
    if lacks_interface(host):
        fixes[errno.EINVAL] = "a link-local address needs its interface, as in fe80::1%eth0"
    fix = fixes.get(error.errno or 0, error.strerror or str(error))
    return f"cannot listen on {transport} {host} port {port}: {fix}"
