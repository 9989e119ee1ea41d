"""The path of one client's media: a socket connected to where its token came from, replaced when that port changes.

Runs on the event loop. The sender thread uses the socket only while a recipient with it is on the roster. The session
stops the stream before the socket is closed, so no descriptor is used again under a running stream.
"""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable

from flume.control.endpoint import Address
from flume.media.datagrams import PACKETS_PER_DATAGRAM
from flume.server.sending.media_port import MediaPort, enable_segmentation, wire_size
from flume.server.sessions.echo import READ_BYTES
from flume.settings import PayloadKind
from flume.sockaddr import address_of

_log = logging.getLogger(__name__)


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

    def prepare(self, address: Address, local_host: str | None) -> None:
        """Connect a socket to *address*, to be used next. Raises :class:`NetworkError`, and changes nothing then.

        The socket is bound to *local_host*, the address of this host that the client called: a firewall or NAT on the
        path would not let datagrams from another address in.
        """
        self._drop_next()
        self._next = (self._port.open_for(address, local_host), address)

    def use(self, *, segmentation: bool, payload: PayloadKind) -> None:
        """Close the present socket, if there is one, and use the prepared one."""
        if self._next is None:
            return
        self._close_present()
        (self.socket, self.address), self._next = self._next, None
        self.since_s = time.monotonic()
        self.segmentation = segmentation and enable_segmentation(self.socket, wire_size(payload, self._packets))
        asyncio.get_running_loop().add_reader(self.socket, self._on_readable, self.socket)

    def close(self) -> None:
        """Close all sockets; the sender thread must not use them any more."""
        self._drop_next()
        self._close_present()

    def _on_readable(self, media: socket.socket) -> None:
        # One datagram: a client that sends more is read again after the others. Most send one in two seconds.
        try:
            data, source = media.recvfrom(READ_BYTES)
        except BlockingIOError:
            return
        except ConnectionRefusedError:
            self._on_refused(media)
            return
        except OSError as error:
            _log.debug("media socket of %s: %s", self.address, error)
            return
        # Between bind and connect the socket receives from any address: also a new client's token, which must not be
        # lost.
        self._on_datagram(data, address_of(source))

    def _close_present(self) -> None:
        if self.socket is not None:
            with contextlib.suppress(ValueError):
                asyncio.get_running_loop().remove_reader(self.socket)
            self.socket.close()
        self.socket = self.address = None

    def _drop_next(self) -> None:
        if self._next is not None:
            self._next[0].close()
        self._next = None
