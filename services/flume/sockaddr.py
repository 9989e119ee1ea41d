"""Addresses between text and the form that sockets take, with the interface of a link-local one.

Link-local addresses of IPv6 exist on every interface, so only with an interface (RFC 4007, *zone*) do they name a host.
Everywhere in this package the interface is a part of the host: ``("fe80::1%eth0", 5004)``. Python's sockets keep it
apart, as a number that is lost where only host and port are passed on.
"""

import contextlib
import socket
from typing import Any

from flume.control.endpoint import Address


def address_of(sockaddr: tuple[Any, ...]) -> Address:
    """Return host and port of *sockaddr*, as sockets return it.

    >>> address_of(("192.0.2.7", 5004)), address_of(("fe80::2", 5004, 0, 1))
    (('192.0.2.7', 5004), ('fe80::2%lo', 5004))
    """
    host, port = sockaddr[0], sockaddr[1]
    if len(sockaddr) < 4 or not sockaddr[3]:
        return host, port
    zone = str(sockaddr[3])
    with contextlib.suppress(OSError):  # the interface has gone
        zone = socket.if_indextoname(sockaddr[3])
    return f"{host.partition('%')[0]}%{zone}", port


def sockaddr_of(address: Address) -> tuple[Any, ...]:
    """Return what sockets take for *address*. Raises :class:`OSError` for an interface that this host does not have.

    >>> sockaddr_of(("fe80::2%lo", 5004)), sockaddr_of(("192.0.2.7", 5004))
    (('fe80::2', 5004, 0, 1), ('192.0.2.7', 5004))
    """
    host, port = address
    name, _, zone = host.partition("%")
    if not zone:
        return host, port
    return name, port, 0, int(zone) if zone.isdecimal() else socket.if_nametoindex(zone)


def has_address(host: str) -> bool:
    """Return whether *host*, an address that was this host's own, still is."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind(sockaddr_of((host, 0)))
    except OSError:
        return False
    return True


def source_towards(server: Address) -> str | None:
    """Return the address from which this host would reach *server* now, ``None`` without a route. Sends nothing."""
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(sockaddr_of(server))
            return address_of(probe.getsockname())[0]
    except OSError:
        return None
