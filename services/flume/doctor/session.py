"""One session with the server as the doctor has it: control and media in one thread, everything noted, nothing played.

:class:`ControlTalk` is one control connection, :class:`MediaProbe` the media socket; :class:`Ears` listens to both.
"""

import contextlib
import errno
import itertools
import select
import socket
import time
from collections.abc import Callable
from typing import TypeVar

from flume.client.reception.media_socket import dropped_by_kernel, granted_bytes
from flume.control import messages as m
from flume.control.codec import LineAssembler, encode, parse_from_server_untrusted
from flume.doctor.observations import Icmp
from flume.doctor.sockets import Place, fragment_bytes, icmp_behind, media_socket
from flume.errors import RemoteProtocolError
from flume.media import rtp
from flume.media.ring import DATAGRAM_BYTES
from flume.settings import ECHO_MARK

READS_AT_ONCE = 256
Message = m.Reply | m.Event
AMessage = TypeVar(
    "AMessage",
    m.Connected,
    m.Interrupted,
    m.Continued,
    m.Disconnected,
    m.Status,
    m.Refused,
    m.Active,
    m.Closed,
    m.Notice,
)


class ControlTalk:
    """A connected control socket; what the server says is kept in :attr:`heard` until it is taken."""

    def __init__(self, connection: socket.socket) -> None:
        """Own *connection*, which does not block."""
        self.socket = connection
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.heard: list[Message] = []
        self.beginning = b""
        """The first bytes, as they came."""
        self.foreign: str | None = None
        """Why what came is not flume control."""
        self.ended: str | None = None
        self._lines = LineAssembler()

    @property
    def is_open(self) -> bool:
        """Whether it makes sense to ask or to wait."""
        return self.ended is None and self.foreign is None

    def ask(self, request: m.Request) -> None:
        """Send *request*; a failure shows as the end."""
        if not self.is_open:
            return
        try:
            self.socket.send(encode(request))
        except OSError as error:
            self.ended = error.strerror or str(error)

    def read(self) -> None:
        """Take what has come."""
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
        self.beginning = (self.beginning + data)[:256]
        for line in self._lines.feed_untrusted(data):
            self._take_untrusted(line)

    def _take_untrusted(self, line: bytes | RemoteProtocolError) -> None:
        try:
            if isinstance(line, RemoteProtocolError):
                raise line
            self.heard.append(parse_from_server_untrusted(line))
        except RemoteProtocolError as error:
            self.foreign = self.foreign or str(error)

    def take(self, kind: type[AMessage]) -> AMessage | None:
        """Return the first message of *kind* and forget it, ``None`` if none has come."""
        for position, message in enumerate(self.heard):
            if isinstance(message, kind):
                del self.heard[position]
                return message
        return None

    def has(self, *kinds: type[Message]) -> bool:
        """Whether a message of one of *kinds* has come."""
        return any(isinstance(message, kinds) for message in self.heard)

    def close(self) -> None:
        """Close the connection, which ends the session for the server too."""
        self.socket.close()


class MediaProbe:
    """The media socket: sends tokens and requests for echoes, counts what comes."""

    def __init__(self, place: Place, token: str, *, buffer_bytes: int) -> None:
        """Open a socket to *place*; raises ``OSError``."""
        self.socket = media_socket(place, buffer_bytes=buffer_bytes)
        self.token = token.encode()
        self.tokens_sent = 0
        self.token_sent_s = 0.0
        self.send_error: OSError | None = None
        self.refused: Icmp | None = None
        self.is_refused = False
        self.echoes_asked: set[int] = set()
        self.echoes_answered: set[int] = set()
        self.fragment_bytes = 0
        self.numbers: dict[int, None] = {}
        """RTP numbers in the order of their coming."""
        self.bytes = 0
        self.first_s: float | None = None

    @property
    def granted_bytes(self) -> int:
        """The receive buffer, as the kernel grants it."""
        return granted_bytes(self.socket)

    @property
    def dropped(self) -> int:
        """Datagrams for which the buffer had no room."""
        return dropped_by_kernel(self.socket)

    @property
    def received(self) -> int:
        """Datagrams of the stream since :meth:`begin`, each counted once."""
        return len(self.numbers)

    @property
    def longest_gap(self) -> int:
        """The longest run of numbers that did not come between two that did."""
        if not self.numbers:
            return 0
        first = next(iter(self.numbers))
        present = sorted(rtp.extend_sequence(number, first) for number in self.numbers)
        return max((b - a - 1 for a, b in itertools.pairwise(present)), default=0)

    def begin(self) -> None:
        """Count from zero."""
        self.numbers.clear()
        self.bytes = 0
        self.first_s = None

    def send_token(self) -> None:
        """Send the token; an error is kept in :attr:`send_error`."""
        self.tokens_sent += 1
        self.token_sent_s = time.monotonic()
        self._send(self.token)

    def ask_echo(self, size: int) -> None:
        """Ask for an echo of *size* bytes; one that is too long for this machine's own link is not sent."""
        self.echoes_asked.add(size)
        self._send((self.token + ECHO_MARK).ljust(size, b"."))

    def _send(self, data: bytes) -> None:
        for _ in range(2):  # an ICMP message about an earlier datagram is told once, instead of sending
            try:
                self.socket.send(data)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                self._note_refusal()
                continue
            except OSError as error:
                if error.errno not in {errno.EMSGSIZE}:
                    self.send_error = error
                return
            return

    def _note_refusal(self) -> None:
        self.is_refused = True
        self.refused = icmp_behind(self.socket) or self.refused

    def read(self) -> None:
        """Take what has come."""
        for _ in range(READS_AT_ONCE):
            try:
                data, ancillary, _, _ = self.socket.recvmsg(65_535, 128)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                self._note_refusal()
                continue
            except OSError as error:
                if error.errno not in {errno.EMSGSIZE}:
                    self.send_error = error
                icmp_behind(self.socket)  # or the socket would be readable for ever
                return
            self._accept_untrusted(data, fragment_bytes(ancillary))

    def _accept_untrusted(self, data: bytes, piece_bytes: int) -> None:
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
        if self.first_s is None:
            self.first_s = time.monotonic()
        if len(data) == DATAGRAM_BYTES:
            self.fragment_bytes = max(self.fragment_bytes, piece_bytes)

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


class Ears:
    """Listens to a control connection and, once there is one, to a media socket."""

    def __init__(self, control: ControlTalk) -> None:
        """Begin without media."""
        self.control = control
        self.media: MediaProbe | None = None

    def listen(self, until_s: float, done: Callable[[], bool] = lambda: False) -> None:
        """Take what comes until *done*, or *until_s* (monotonic), or the end of the control connection."""
        while not done() and self.control.is_open:
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return
            media = self.media
            sockets = [self.control.socket] + ([media.socket] if media is not None else [])
            readable, _, _ = select.select(sockets, [], [], left_s)
            if media is not None and media.socket in readable:
                media.read()
            if self.control.socket in readable:
                self.control.read()

    def request(self, request: m.Request, kind: type[AMessage], until_s: float) -> AMessage | None:
        """Send *request* and return its reply of *kind*; ``None`` if another or none comes."""
        control = self.control
        control.ask(request)
        self.listen(until_s, lambda: control.has(kind, m.Refused, m.Closed))
        return control.take(kind)
