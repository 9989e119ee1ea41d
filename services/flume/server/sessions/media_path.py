"""The path of one client's media: a socket connected to where its token came from, replaced when that port changes.

Runs on the event loop. The sender thread uses the socket only while a recipient with it is on the roster. The session
stops the stream before the socket is closed, so no descriptor is used again under a running stream.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable

from flume.control.endpoint import Address
from flume.media.datagrams import PACKETS_PER_DATAGRAM
from flume.server.sending.group_sender import errno_name
from flume.server.sending.media_port import MediaPort, enable_segmentation, wire_size
from flume.server.sessions.echo import READ_BYTES
from flume.settings import PayloadKind
from flume.sockaddr import address_of

READS_AT_ONCE = 16
"""Reads in one callback, of datagrams and of ICMP messages."""

REST_S = 0.02
"""A token may wait so long after an ICMP message."""


class MediaPath:
    """The media socket of one session; empty until :meth:`prepare` and :meth:`use`."""

    def __init__(
        self,
        port: MediaPort,
        *,
        on_datagram: Callable[[bytes, Address], None],
        on_refused: Callable[[socket.socket], None],
        packets_per_datagram: int = PACKETS_PER_DATAGRAM,
    ) -> None:
        """Open sockets on *port*; pass on the datagrams that arrive on them, and ICMP port unreachable."""
        self._port = port
        self._packets = packets_per_datagram
        self._on_datagram = on_datagram
        self._on_refused = on_refused
        self._next: tuple[socket.socket, Address] | None = None
        self.socket: socket.socket | None = None
        self.address: Address | None = None
        self.since_s = float("-inf")
        """When the present address was taken into use, monotonic."""
        self.segmentation = False
        self.icmp_error: str | None = None
        """The latest error that was read from a socket of :meth:`prepare`, such as ``send_ehostunreach``."""

    def owns(self, media: socket.socket | None) -> bool:
        """Whether *media* is the present socket, or the one to be used next."""
        return media is not None and (media is self.socket or (self._next is not None and media is self._next[0]))

    def prepare(self, address: Address, local_host: str | None) -> None:
        """Connect a socket to *address*, to be used next. Raises :class:`NetworkError`, and changes nothing then.

        It is read from now on: ICMP messages about what is sent to *address* come to it.

        The socket is bound to *local_host*, the address of this host that the client called: a firewall or NAT on the
        path would not let datagrams from another address in.
        """
        if self._next is not None and self._next[1] == address:
            return
        self._drop_next()
        media = self._port.open_for(address, local_host)
        self._next, self.icmp_error = (media, address), None
        asyncio.get_running_loop().add_reader(media, self._on_readable, media)

    def use(self, *, segmentation: bool, payload: PayloadKind) -> None:
        """Close the present socket, if there is one, and use the prepared one."""
        if self._next is None:
            return
        self._close_present()
        (self.socket, self.address), self._next = self._next, None
        self.since_s = time.monotonic()
        self.segmentation = segmentation and enable_segmentation(self.socket, wire_size(payload, self._packets))

    def close(self) -> None:
        """Close all sockets; the sender thread must not use them any more."""
        self._drop_next()
        self._close_present()

    def _on_readable(self, media: socket.socket) -> None:
        # A few datagrams: a client that sends more is read again after the others. Most send one in two seconds. The
        # kernel reports an ICMP message before what waits in the queue, and another one may come before each read.
        refused = failed = False
        for _ in range(READS_AT_ONCE):
            try:
                data, source = media.recvfrom(READ_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                failed, refused = True, refused or isinstance(error, ConnectionRefusedError)
                self.icmp_error = f"send_{errno_name(error.errno or 0)}"
                continue
            # Between bind and connect the socket receives from any address: also a new client's token, which must
            # not be lost.
            self._on_datagram(data, address_of(source))
            if not self.owns(media):
                return
        if refused:
            self._on_refused(media)
        if failed:
            self._rest(media)

    def _rest(self, media: socket.socket) -> None:
        """Do not read *media* for :data:`REST_S`: ICMP messages may come as fast as the network brings them."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(media)
        loop.call_later(REST_S, self._resume, media)

    def _resume(self, media: socket.socket) -> None:
        if self.owns(media):
            asyncio.get_running_loop().add_reader(media, self._on_readable, media)

    def _close_present(self) -> None:
        if self.socket is not None:
            _close(self.socket)
        self.socket = self.address = None

    def _drop_next(self) -> None:
        if self._next is not None:
            _close(self._next[0])
        self._next = None


def _close(media: socket.socket) -> None:
    with contextlib.suppress(ValueError):
        asyncio.get_running_loop().remove_reader(media)
    media.close()
