"""The control connection: the TCP socket and the thread that reads it.

Messages of the server, and media that come over this connection, are handed over from one thread in the order of the
bytes. A reply also wakes the thread that waits for it. The link ends once: by :meth:`ControlLink.close`, by the server,
or by the server's silence.
"""

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from flume.control import messages
from flume.control.codec import Line, encode, parse_from_server_untrusted
from flume.control.endpoint import Address, lacks_interface, without_brackets
from flume.control.framing import Demultiplexer, Frame, Item
from flume.errors import LoginError, NetworkError, RemoteProtocolError
from flume.secret import Secret
from flume.sockaddr import address_of

SILENCE_S = 15.0
"""A server sends ``alive`` to a session every 5 s. After three missed ones it counts as gone."""

USER_TIMEOUT_MS = 10_000
"""Unacknowledged bytes for this long end the connection (TCP_USER_TIMEOUT, RFC 5482)."""

LOGIN_S = 8.0
"""What a login may take beside the round trip: a server hashes two secrets at once, 0.25 s each."""

Message = messages.Reply | messages.Event
OnPackets = Callable[[Sequence[bytes]], None]
"""Takes RTP packets that came in frames (RFC 4571)."""


class Credentials(NamedTuple):
    """What to log in with."""

    user: str
    secret: Secret


class AccessChoice(NamedTuple):
    """How a connection begins."""

    tls: bool = False
    ca: str | None = None
    """PEM file of the issuers that are believed; ``None``: those of the system."""
    credentials: Credentials | None = None
    """``None``: no login."""


PLAIN = AccessChoice()


class Connection(Protocol):
    """What is used of a socket, or of a :class:`.secure_socket.SecureSocket`."""

    @property
    def family(self) -> socket.AddressFamily:
        """The address family in use."""

    def settimeout(self, value: float | None, /) -> None:
        """Bound each wait to *value* seconds."""

    def getpeername(self) -> Any:
        """Return the server's address."""

    def getsockname(self) -> Any:
        """Return this host's address."""

    def sendall(self, data: bytes, /) -> None:
        """Send *data*."""

    def recv(self, most: int, /) -> bytes:
        """Return what has come."""

    def shutdown(self, how: int, /) -> None:
        """End both directions."""

    def close(self) -> None:
        """Close the socket."""


def login_request(credentials: Credentials) -> messages.Login:
    """Return what to send, which holds the secret."""
    return messages.Login(user=credentials.user, secret=credentials.secret.reveal())


def _secure(connection: socket.socket, host: str, ca: str | None, *, timeout_s: float) -> Connection:
    """Return *connection* with TLS; raises :class:`NetworkError` or :class:`SettingsError`."""
    from flume.client.session.secure_socket import SecureSocket  # noqa: PLC0415 - OpenSSL is not needed otherwise

    return SecureSocket.open(connection, host, ca=ca, timeout_s=timeout_s)


def _drop(_packets: Sequence[bytes]) -> None:
    """Media that were not asked for."""


class ControlLink:
    """One connection. Make it with :meth:`open`."""

    def __init__(
        self,
        connection: Connection,
        *,
        on_message: Callable[[Message], None],
        on_lost: Callable[["ControlLink", str], None],
        on_packets: OnPackets = _drop,
        silence_s: float = SILENCE_S,
    ) -> None:
        """Own *connection*; *on_message*, *on_packets* and *on_lost* are called from the reading thread."""
        self._connection = connection
        self._on_message, self._on_lost, self._on_packets = on_message, on_lost, on_packets
        self._silence_s = silence_s
        self._local_host = address_of(connection.getsockname())[0]
        self._request_lock = threading.Lock()
        self._replies: queue.SimpleQueue[messages.Reply | NetworkError] = queue.SimpleQueue()
        self._closed = threading.Event()
        self.expects_alive = False
        """Whether there is a session: then :data:`SILENCE_S` without a byte ends the link."""
        self._thread = threading.Thread(target=self._read, name="flume-control", daemon=True)

    @classmethod
    def open(
        cls,
        host: str,
        port: int,
        *,
        timeout_s: float,
        on_message: Callable[[Message], None],
        on_lost: Callable[["ControlLink", str], None],
        on_packets: OnPackets = _drop,
        silence_s: float = SILENCE_S,
        access: AccessChoice = PLAIN,
    ) -> "ControlLink":
        """Connect to *host*, and log in by *access*; raises :class:`NetworkError`, or :class:`LoginError`.

        *timeout_s* holds for each step.
        """
        try:
            connection = socket.create_connection((without_brackets(host), port), timeout=timeout_s)
        except (socket.gaierror, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise NetworkError(
                f"the server's name {host!r} is not known here ({reason}): check it, or give the server's address"
            ) from error
        except OSError as error:
            reason = getattr(error, "strerror", None) or str(error) or "no answer"
            if lacks_interface(host):
                reason, example = "a link-local address needs its interface", f"{without_brackets(host)}%eth0"
                raise NetworkError(f"no connection to {host} port {port} (TCP): {reason}, as in {example}") from error
            raise NetworkError(
                f"no connection to {host} port {port} (TCP): {reason}; is 'flume serve' running there, "
                "and is the port open in its firewall?"
            ) from error
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        stream: Connection = connection
        if access.tls:
            try:
                stream = _secure(connection, host, access.ca, timeout_s=timeout_s)
            except BaseException:
                connection.close()
                raise
        stream.settimeout(0.5)  # how often the reader checks for silence
        link = cls(stream, on_message=on_message, on_lost=on_lost, on_packets=on_packets, silence_s=silence_s)
        link._thread.start()
        if access.credentials is not None:
            try:
                link._log_in(access.credentials, timeout_s=timeout_s + LOGIN_S)
            except NetworkError:
                link.close()
                raise
        return link

    def _log_in(self, credentials: Credentials, *, timeout_s: float) -> None:
        """Log in; raises :class:`LoginError` with the server's reason, or :class:`NetworkError`."""
        reply = self.request(login_request(credentials), timeout_s=timeout_s)
        if isinstance(reply, messages.Refused):
            if reply.code == "unknown_command":
                raise LoginError("no_users", "this server is older and has no users: connect without --user")
            raise LoginError(reply.code, reply.message)

    @property
    def peer(self) -> Address:
        """The server's address and port."""
        return address_of(self._connection.getpeername())

    @property
    def local_host(self) -> str:
        """This host's address, as the server sees it where nothing on the path translates it."""
        return self._local_host

    @property
    def family(self) -> socket.AddressFamily:
        """The address family in use."""
        return self._connection.family

    @property
    def is_open(self) -> bool:
        """Whether requests can be sent."""
        return not self._closed.is_set()

    def request(self, request: messages.Request | messages.Login, *, timeout_s: float) -> messages.Reply:
        """Send *request* and return its reply.

        Raises :class:`NetworkError` when the link ends first, or when no reply comes in time; the link is closed
        then, because a later reply would be taken for that of another request.
        """
        with self._request_lock:
            if not self.is_open:
                raise NetworkError("the control connection is closed")
            try:
                self._connection.sendall(encode(request))
                answer = self._replies.get(timeout=timeout_s)
            except queue.Empty:
                self._lose(f"the server did not answer for {timeout_s:g} s")
                raise NetworkError(f"the server did not answer {request.command} within {timeout_s:g} s") from None
            except OSError as error:
                self._lose(f"sending failed: {error}")
                raise NetworkError(f"the control connection broke: {error}") from error
        if isinstance(answer, NetworkError):
            raise answer
        return answer

    def close(self) -> None:
        """End the link without a call of *on_lost*; a request that waits for its reply fails at once."""
        self._closed.set()
        self._shut()
        self._replies.put(NetworkError("the control connection was closed"))
        if self._thread is not threading.current_thread() and self._thread.ident is not None:
            self._thread.join()

    def lose(self, reason: str) -> None:
        """End the link as if the network had, for *reason*; *on_lost* is called."""
        self._lose(reason)

    def _shut(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def _lose(self, reason: str) -> None:
        if self._closed.is_set():
            return
        self._closed.set()
        self._shut()
        self._replies.put(NetworkError(f"the control connection ended: {reason}"))
        self._on_lost(self, reason)

    def _read(self) -> None:
        stream = Demultiplexer()
        received_s = time.monotonic()
        try:
            while not self._closed.is_set():
                try:
                    data = self._connection.recv(65_536)
                except TimeoutError:
                    if self.expects_alive and time.monotonic() - received_s > self._silence_s:
                        self._lose(f"the server was silent for {self._silence_s:g} s")
                    continue
                if not data:
                    self._lose("the server closed it")
                    return
                received_s = time.monotonic()
                self._hand_over(stream.feed_untrusted(data))
        except OSError as error:
            self._lose(error.strerror or str(error))
        finally:
            self._connection.close()

    def _hand_over(self, items: Sequence[Item]) -> None:
        """Pass on lines and packets in their order; packets without a line between them go together."""
        packets: list[bytes] = []
        for item in items:
            if isinstance(item, Frame):
                packets.append(item.packet)
                continue
            if packets:
                self._on_packets(packets)
                packets = []
            self._take_untrusted(item)
        if packets:
            self._on_packets(packets)

    def _take_untrusted(self, line: Line) -> None:
        try:
            if isinstance(line, RemoteProtocolError):
                raise line
            message = parse_from_server_untrusted(line)
        except RemoteProtocolError as error:
            self._lose(f"{error}; is it 'flume serve' that listens on this port?")
            return
        self._on_message(message)
        if isinstance(message, messages.Reply):
            self._replies.put(message)
