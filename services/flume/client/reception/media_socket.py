"""The media socket: a connected UDP socket, its buffer in the kernel, and the kernel's own count of drops.

Reading is one ``recv`` a datagram, and UDP_GRO stays off: see "Receiving" in services/README.md for what was measured.
"""

import contextlib
import logging
import socket
from collections.abc import Iterator

from flume.client.reception.receive_buffer import ReceiveBuffer
from flume.control.endpoint import Address
from flume.errors import NetworkError
from flume.linux import SO_RCVBUFFORCE
from flume.settings import PROOF_MARK
from flume.sockaddr import address_of, sockaddr_of
from flume.socket_memory import dropped_by_kernel, kernel_buffer_bytes

MAX_DATAGRAM_BYTES = 65_535

MAX_PROOF_BYTES = 64
"""Longest datagram that is sent back to the server as a proof of this port."""

_log = logging.getLogger(__name__)


class MediaSocket:
    """A socket to one server at a time, that never waits. Use it from one thread at a time."""

    def __init__(self, *, buffer_bytes: int) -> None:
        """Ask for *buffer_bytes* of receive buffer; nothing is opened before :meth:`open`."""
        self._buffer_bytes = buffer_bytes
        self._socket: socket.socket | None = None
        self._server: Address | None = None
        self._dropped_before = 0

    def open(self, server: Address, family: socket.AddressFamily, local_host: str | None = None) -> None:
        """Connect to *server* from *local_host*, or else from the address that the kernel chooses.

        A socket that has both ends already is kept. Raises :class:`NetworkError`.
        """
        if self._socket is not None and self._server == server and local_host in {None, self._local_host()}:
            return
        self.close()
        try:
            self._socket = open_media_socket(server, family, buffer_bytes=self._buffer_bytes, local_host=local_host)
        except OSError as error:
            address, port = server
            raise NetworkError(f"cannot open a media socket to {address} port {port}: {error.strerror}") from error
        self._server = server

    def close(self) -> None:
        """Close the socket, if there is one, and keep its count of drops."""
        if self._socket is not None:
            self._dropped_before += dropped_by_kernel(self._socket)
            self._socket.close()
            self._socket = None

    @property
    def is_open(self) -> bool:
        """Whether there is a socket."""
        return self._socket is not None

    def fileno(self) -> int:
        """Return the descriptor to poll, -1 without a socket."""
        return -1 if self._socket is None else self._socket.fileno()

    def send(self, data: bytes) -> None:
        """Send one datagram; what the network refuses is logged alone, because the token repeats by itself."""
        if self._socket is None:
            return
        try:
            self._socket.send(data)
        except OSError as error:  # refused, unreachable, no route
            _log.debug("sending to %s: %s", self._server, error)

    def prove_untrusted(self, data: bytes, token: str) -> bool:
        """Send *data* back if the server of *token* asks by it whether this port wants the stream; that is returned."""
        asks = bool(token) and len(data) <= MAX_PROOF_BYTES and data.startswith(token.encode() + PROOF_MARK)
        if asks:
            self.send(data)
        return asks

    def read_untrusted(self, *, most: int) -> Iterator[bytes]:
        """Yield at most *most* of the datagrams in the socket buffer; never waits."""
        media = self._socket
        if media is None:
            return
        for _ in range(most):
            try:
                yield media.recv(MAX_DATAGRAM_BYTES)
            except BlockingIOError:
                return
            except OSError as error:  # ECONNREFUSED: an earlier token met a closed port
                _log.debug("media socket: %s", error)

    def local_address(self) -> Address | None:
        """Return the socket's own address and port, ``None`` without a socket."""
        if self._socket is None:
            return None
        return address_of(self._socket.getsockname())

    def _local_host(self) -> str | None:
        local = self.local_address()
        return None if local is None else local[0]

    def buffer(self) -> ReceiveBuffer | None:
        """Return what became of the receive buffer asked for, ``None`` without a socket."""
        if self._socket is None:
            return None
        return ReceiveBuffer(self._buffer_bytes, granted_bytes(self._socket), dropped_by_kernel(self._socket))

    def kernel_buffer_bytes(self) -> int:
        """Return the receive buffer in the kernel's count; 0 without a socket, or where the system does not say."""
        return 0 if self._socket is None else kernel_buffer_bytes(self._socket)

    def dropped(self) -> int:
        """Return the datagrams that had no room in the buffer, of this socket and all before it."""
        return self._dropped_before + (0 if self._socket is None else dropped_by_kernel(self._socket))


def open_media_socket(
    server: Address, family: socket.AddressFamily, *, buffer_bytes: int, local_host: str | None = None
) -> socket.socket:
    """Return a socket to *server* that never waits, with as much of *buffer_bytes* as is granted; raises ``OSError``.

    It is connected: the kernel refuses other senders, and reports when the server's port is closed. It is bound to
    *local_host* if that is given: the server takes tokens only from the address of the control connection.
    """
    media = socket.socket(family, socket.SOCK_DGRAM)
    try:
        media.settimeout(0)
        ask_for_buffer(media, buffer_bytes)
        if local_host is not None:
            media.bind(sockaddr_of((local_host, 0)))
        media.connect(sockaddr_of(server))
    except OSError:
        media.close()
        raise
    return media


def ask_for_buffer(media: socket.socket, buffer_bytes: int) -> None:
    """Give *media* a receive buffer of *buffer_bytes*, or what net.core.rmem_max leaves of it."""
    media.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    if granted_bytes(media) < buffer_bytes:
        with contextlib.suppress(OSError):  # EPERM without CAP_NET_ADMIN; other systems do not know the option
            media.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, buffer_bytes)


def granted_bytes(media: socket.socket) -> int:
    """Return the receive buffer of *media*, counted as it was asked for (Linux doubles that for its book-keeping)."""
    return media.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
