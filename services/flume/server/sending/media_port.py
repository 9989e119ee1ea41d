"""The UDP port: one unconnected socket for new clients, and one connected socket a client.

A client's socket is non-blocking and bound to the same local port. So a sleeping or dead client fills no send buffer
but its own, a closed port shows as ECONNREFUSED within milliseconds, and the kernel sorts what comes in by client.
"""

import contextlib
import fcntl
import logging
import socket
import struct
import sys
from collections import Counter
from collections.abc import Collection

from flume.control.endpoint import Address, endpoint
from flume.errors import NetworkError
from flume.linux import IP_PKTINFO, TIOCOUTQ, UDP_SEGMENT
from flume.media.ring import datagram_bytes
from flume.media.rtp import HEADER_BYTES
from flume.server.ports import bind_beside, loopback_pair
from flume.server.sending import socket_filter
from flume.server.sending.group_sender import errno_name
from flume.settings import PayloadKind
from flume.sockaddr import sockaddr_of
from flume.socket_memory import dropped_by_kernel

SEND_BUFFER_BYTES = 1 << 20
"""A client's share of kernel memory, as far as net.core.wmem_max allows: half a second at 16 Mbit/s while a link
recovers. Not more: datagrams in this buffer cannot be taken back."""

LISTENER_BUFFER_BYTES = 1 << 20
"""For the tokens of clients that have no socket of their own yet: the default holds 270, and after a restart many
hundred clients come at the same moment. The kernel grants what net.core.rmem_max allows."""

_log = logging.getLogger(__name__)


def wire_size(payload: PayloadKind, packets: int) -> int:
    """Return the size on the wire, above UDP, of every datagram of *payload* with *packets* of MPEG-TS.

    >>> wire_size("rtp", 7), wire_size("ts", 6)
    (1328, 1128)
    """
    return datagram_bytes(packets) - (0 if payload == "rtp" else HEADER_BYTES)


class MediaPort:
    """The bound UDP port of one server."""

    def __init__(self, host: str, listener: socket.socket) -> None:
        """Own *listener*, which is bound to *host* (:func:`~flume.server.ports.bind_both`)."""
        self._host = host
        self.listener = listener
        self._prefix = b""
        self.port: int = listener.getsockname()[1]
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LISTENER_BUFFER_BYTES)

    def accept_only(self, prefix: bytes) -> None:
        """Let the kernel drop all datagrams to this port that do not begin with *prefix*, where it can."""
        if socket_filter.attach(self.listener, prefix):
            self._prefix = prefix

    def accept_also_from(self, hosts: Collection[str]) -> None:
        """Let short datagrams of *hosts* pass too, to the socket for new clients; no more those of a call before."""
        if self._prefix:
            socket_filter.attach(self.listener, self._prefix, hosts)

    @property
    def counts(self) -> Counter[str]:
        """Datagrams that the kernel dropped at the port: no tokens, or without room in the queue."""
        counts: Counter[str] = Counter()
        counts["dropped_at_port"] = dropped_by_kernel(self.listener)
        return +counts

    def open_for(self, peer: Address, local_host: str | None = None) -> socket.socket:
        """Return a socket that is connected to *peer*, bound to *local_host* or else to the port's own address.

        Raises :class:`NetworkError` without a route to *peer*, and without a free file descriptor.
        """
        try:
            media = bind_beside(self.listener, local_host or self._host)
            try:
                media.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
                if self._prefix:
                    socket_filter.attach(media, self._prefix)
                media.connect(sockaddr_of(peer))
            except OSError:
                media.close()
                raise
        except OSError as error:
            raise NetworkError(f"cannot send media to {endpoint(*peer)}: {error.strerror or error}") from error
        return media

    def send_back(self, data: bytes, peer: Address, local_host: str | None) -> str | None:
        """Send *data* to *peer* from the port, and from *local_host* if it is given; return why not, ``None``: it left.

        The unconnected socket sends it: a client's own socket segments what is longer than a datagram of the stream.
        """
        try:
            self.listener.sendmsg([data], _from_address(local_host), 0, sockaddr_of(peer))
        except OSError as error:  # full, unreachable, or the address has gone: the client will ask again
            _log.debug("echo to %s:%d: %s", *peer, error)
            return f"send_{errno_name(error.errno)}"
        return None

    def close(self) -> None:
        """Close the socket for new clients."""
        self.listener.close()


def _from_address(local_host: str | None) -> list[tuple[int, int, bytes]]:
    """Return the control message that makes a datagram leave from *local_host* (ip(7) IP_PKTINFO, RFC 3542)."""
    if local_host is None:
        return []
    address, _, _scope = local_host.partition("%")
    if ":" in address:
        packed = socket.inet_pton(socket.AF_INET6, address) + struct.pack("=I", 0)
        return [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, packed)]
    return [(socket.IPPROTO_IP, IP_PKTINFO, struct.pack("=I4s4s", 0, socket.inet_aton(address), bytes(4)))]


def enable_segmentation(media: socket.socket, size: int) -> bool:
    """Make one send of *media* carry a batch of datagrams of *size* bytes; return whether the kernel takes that."""
    try:
        media.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
    except OSError as error:
        _log.warning("no UDP segmentation on this socket (%s): one send a datagram", error.strerror)
        return False
    return True


def disable_segmentation(media: socket.socket) -> None:
    """Go back to one datagram a send on *media*."""
    with contextlib.suppress(OSError):  # a kernel without the option needs no undoing
        media.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 0)


def probe_segmentation() -> bool:
    """Whether this kernel cuts one send into datagrams: tried on loopback, with two of them."""
    try:
        with loopback_pair() as (sender, receiver):
            sender.sendmsg([bytes(200)], [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", 100))])
            return [len(receiver.recv(2048)) for _ in range(2)] == [100, 100]
    except OSError:  # also where loopback is down
        return False


def queued_bytes(media: socket.socket) -> int:
    """Return the bytes of *media*'s datagrams that this host still holds, by the kernel's count (SIOCOUTQ, udp(7)).

    They wait in the queue of a slow interface, or for a neighbour that does not answer; 0 when all have left.
    """
    try:
        return int.from_bytes(fcntl.ioctl(media, TIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:
        return 0
