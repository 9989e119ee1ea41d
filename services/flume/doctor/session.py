"""One session of the doctor with the server: control and media in one thread, counted and not played.

:class:`ControlChannel` is the control connection, :class:`MediaProbe` the media socket. :class:`Poller` reads both
until a condition holds::

    poller = Poller(ControlChannel(connection))
    status = poller.request(messages.StatusQuery(), messages.Status, time.monotonic() + 2.5)
"""

import contextlib
import errno
import itertools
import select
import socket
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from flume.client.reception.media_socket import granted_bytes
from flume.control import messages
from flume.control.codec import LineAssembler, encode, parse_from_server_untrusted
from flume.doctor.observations import Icmp
from flume.doctor.sockets import Endpoint, fragment_bytes, icmp_behind, media_socket
from flume.errors import RemoteProtocolError
from flume.media import rtp
from flume.settings import ECHO_MARK, PROOF_MARK
from flume.socket_memory import dropped_by_kernel

READS_AT_ONCE = 256
"""Most datagrams that are read before control has its turn."""

Message = messages.Reply | messages.Event
AMessage = TypeVar(
    "AMessage",
    messages.Connected,
    messages.Interrupted,
    messages.Continued,
    messages.Disconnected,
    messages.Status,
    messages.LoggedIn,
    messages.Refused,
    messages.Active,
    messages.Closed,
    messages.Notice,
)


class ControlConnection(Protocol):
    """What is used of a socket that does not block, or of a :class:`.secure_socket.SecureSocket`."""

    def fileno(self) -> int:
        """Return the descriptor, for ``select``."""

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        """Set an option of the TCP connection."""

    def send(self, data: bytes, /) -> int:
        """Send *data*."""

    def recv(self, most: int, /) -> bytes:
        """Return what has come."""

    def close(self) -> None:
        """Close the connection."""


class ControlChannel:
    """A connected control socket; messages of the server stay in :attr:`received` until they are taken."""

    def __init__(self, connection: ControlConnection) -> None:
        """Own *connection*, which does not block."""
        self.socket = connection
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received: list[Message] = []
        self.first_bytes = b""
        """The first bytes that arrived, at most 256."""
        self.not_flume: str | None = None
        """Why the bytes that arrived are not flume control."""
        self.ended: str | None = None
        """Why the connection ended."""
        self._lines = LineAssembler()

    @property
    def is_open(self) -> bool:
        """Whether the peer can still answer."""
        return self.ended is None and self.not_flume is None

    def ask(self, request: messages.Request | messages.Login) -> None:
        """Send *request*; a failure is kept in :attr:`ended`."""
        if not self.is_open:
            return
        try:
            self.socket.send(encode(request))
        except OSError as error:
            self.ended = error.strerror or str(error)

    def read(self) -> None:
        """Read the bytes that have arrived and keep their messages."""
        try:
            data = self.socket.recv(65_536)
        except BlockingIOError:
            return
        except OSError as error:
            self.ended = error.strerror or str(error)
            return
        if not data:
            self.ended = "the other side closed the connection"
            return
        self.first_bytes = (self.first_bytes + data)[:256]
        for line in self._lines.feed_untrusted(data):
            self._take_untrusted(line)

    def _take_untrusted(self, line: bytes | RemoteProtocolError) -> None:
        try:
            if isinstance(line, RemoteProtocolError):
                raise line
            message = parse_from_server_untrusted(line)
            # A server asks for a late token while silence is examined: that is no finding.
            if not (isinstance(message, messages.Notice) and message.code == messages.TOKEN_LATE):
                self.received.append(message)
        except RemoteProtocolError as error:
            self.not_flume = self.not_flume or str(error)

    def take(self, kind: type[AMessage]) -> AMessage | None:
        """Remove and return the first message of *kind*; ``None`` if none has arrived."""
        for position, message in enumerate(self.received):
            if isinstance(message, kind):
                del self.received[position]
                return message
        return None

    def has(self, *kinds: type[Message]) -> bool:
        """Whether a message of one of *kinds* has arrived and was not taken."""
        return any(isinstance(message, kinds) for message in self.received)

    def close(self) -> None:
        """Close the connection, at which the server ends the session too."""
        self.socket.close()


class MediaProbe:
    """The media socket: sends tokens and requests for echoes, counts the datagrams that arrive."""

    def __init__(self, endpoint: Endpoint, token: str, *, buffer_bytes: int) -> None:
        """Open a socket to *endpoint*; raises ``OSError``."""
        self.socket = media_socket(endpoint, buffer_bytes=buffer_bytes)
        self.token = token.encode()
        self.tokens_sent = 0
        self.token_sent_s = 0.0
        self.send_error: OSError | None = None
        self.refused: Icmp | None = None
        self.is_refused = False
        self.echoes_asked: set[int] = set()
        self.echoes_answered: set[int] = set()
        self.fragment_bytes = self.datagram_bytes = 0
        self.numbers: dict[int, None] = {}
        """RTP sequence numbers in the order of their arrival."""
        self.bytes = 0

    @property
    def granted_bytes(self) -> int:
        """The receive buffer that the kernel grants, in bytes."""
        return granted_bytes(self.socket)

    @property
    def dropped(self) -> int:
        """Datagrams for which the receive buffer had no room."""
        return dropped_by_kernel(self.socket)

    @property
    def received(self) -> int:
        """Datagrams of the stream since :meth:`begin`, each counted once."""
        return len(self.numbers)

    @property
    def longest_gap(self) -> int:
        """Most sequence numbers that are missing in a row between two that arrived."""
        if not self.numbers:
            return 0
        first = next(iter(self.numbers))
        present = sorted(rtp.extend_sequence(number, first) for number in self.numbers)
        return max((b - a - 1 for a, b in itertools.pairwise(present)), default=0)

    def begin(self) -> None:
        """Count the stream from zero."""
        self.numbers.clear()
        self.bytes = 0

    def send_token(self) -> None:
        """Send the token; an error is kept in :attr:`send_error`."""
        self.tokens_sent += 1
        self.token_sent_s = time.monotonic()
        self._send(self.token)

    def ask_echo(self, size: int) -> None:
        """Ask for an echo of *size* bytes; a request too long for this machine's own link is not sent."""
        self.echoes_asked.add(size)
        self._send((self.token + ECHO_MARK).ljust(size, b"."))

    def _send(self, data: bytes) -> None:
        for _ in range(2):  # the kernel reports an ICMP message about an earlier datagram once, instead of sending
            try:
                self.socket.send(data)
            except BlockingIOError:
                return
            except OSError as error:
                self._note(error)
                if isinstance(error, ConnectionRefusedError):
                    continue
            return

    def read(self) -> None:
        """Read all datagrams that have arrived, at most :data:`READS_AT_ONCE`."""
        for _ in range(READS_AT_ONCE):
            try:
                data, ancillary, _, _ = self.socket.recvmsg(65_535, 128)
            except BlockingIOError:
                return
            except ConnectionRefusedError as error:
                self._note(error)
            except OSError as error:
                self._note(error)
                icmp_behind(self.socket)  # a message left there would make the socket readable for ever
                return
            else:
                self._accept_untrusted(data, fragment_bytes(ancillary))

    def _note(self, error: OSError) -> None:
        """Keep the reason why a call failed: an ICMP refusal with its message, any other error as it is."""
        if isinstance(error, ConnectionRefusedError):
            self.is_refused = True
            self.refused = icmp_behind(self.socket) or self.refused
        elif error.errno != errno.EMSGSIZE:  # too long for this machine's own link: the missing echo shows that
            self.send_error = error

    def _accept_untrusted(self, data: bytes, largest_fragment: int) -> None:
        if data.startswith(self.token + PROOF_MARK):
            self._send(data)  # the server asks whether this port wants the stream
            return
        if data[: len(self.token)] == self.token:
            self.echoes_answered.add(len(data))
            return
        try:
            packet = rtp.parse_untrusted(data)
        except RemoteProtocolError:
            return
        if packet.sequence not in self.numbers:
            self.bytes += len(data)
            self.numbers[packet.sequence] = None
        self.datagram_bytes = max(self.datagram_bytes, len(data))
        self.fragment_bytes = max(self.fragment_bytes, largest_fragment)

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


class Poller:
    """Reads a control connection and, once there is one, a media socket, in the calling thread."""

    def __init__(self, control: ControlChannel) -> None:
        """Begin without media."""
        self.control = control
        self.media: MediaProbe | None = None

    def poll(self, until_s: float, done: Callable[[], bool] = lambda: False) -> None:
        """Read until *done*, or until *until_s* (monotonic), or until the control connection ends."""
        while not done() and self.control.is_open:
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return
            media = self.media
            sockets = [self.control.socket, *([media.socket] if media is not None else [])]
            readable, _, _ = select.select(sockets, [], [], left_s)
            if media is not None and media.socket in readable:
                media.read()
            if self.control.socket in readable:
                self.control.read()

    def request(
        self, request: messages.Request | messages.Login, kind: type[AMessage], until_s: float
    ) -> AMessage | None:
        """Send *request* and return its reply of *kind*; ``None`` if another one or none arrives until *until_s*."""
        control = self.control
        control.ask(request)
        self.poll(until_s, lambda: control.has(kind, messages.Refused, messages.Closed))
        return control.take(kind)
