"""A player's sockets, polled in one thread: the RTSP connection, and two UDP ports for media and reports.

:meth:`RtspChannel.ask` sends a request and returns its response; meanwhile media are counted::

    channel = RtspChannel(connection)
    response = channel.ask("OPTIONS", "rtsp://192.0.2.7:5004/", {}, time.monotonic() + 3)
"""

import contextlib
import random
import select
import socket
import time
from collections.abc import Callable, Mapping

from flume.client.reception.media_socket import ask_for_buffer
from flume.control.rtsp.headers import session_id
from flume.control.rtsp.messages import Fault, Packet, Response
from flume.control.rtsp.responses import ResponseBuffer, encode_request
from flume.doctor.rtsp.arrivals import Arrivals
from flume.doctor.rtsp.observations import PLAYERS_PORTS
from flume.doctor.sockets import plain_address
from flume.settings import ClientSettings
from flume.sockaddr import sockaddr_of

READ_BYTES = 65_536
READS_AT_ONCE = 256
"""Most datagrams that are read before the connection has its turn."""

FIRST_BYTES = 1024
"""Kept to tell another program by. What a full server says is a third of it."""

MOST_RESPONSES = 64
"""Kept until they are taken; a server that sends more answers something that was not asked."""

PUNCH, RTCP_PUNCH = b"\x80" + bytes(11), b"\x80\xc9\x00\x01" + bytes(4)
"""What FFmpeg sends from its ports, so that firewalls on the path let the stream in: an RTP header, an empty report."""


class RtspChannel:
    """One connection to an RTSP server, in a session once it has given one."""

    def __init__(self, connection: socket.socket) -> None:
        """Own *connection*, which does not block."""
        self.socket = connection
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.first_bytes = b""
        """The first bytes that arrived, at most :data:`FIRST_BYTES`."""
        self.not_rtsp: str | None = None
        """Why the bytes that arrived are not RTSP."""
        self.ended: str | None = None
        """Why the connection ended."""
        self.session: str | None = None
        self.credentials: str | None = None
        """The Authorization header of each request."""
        self.ports: PlayerPorts | None = None
        self.arrivals: Arrivals | None = None
        """Of the media on this connection, once they are asked for there."""
        self.channel = 0
        self._buffer = ResponseBuffer()
        self._responses: list[Response] = []
        self._cseq = 0

    @property
    def is_open(self) -> bool:
        """Whether the server can still answer."""
        return self.ended is None and self.not_rtsp is None

    def ask(self, method: str, uri: str, headers: Mapping[str, str], until_s: float) -> Response | None:
        """Send a request and return its response; ``None`` if none arrives until *until_s* (monotonic)."""
        if not self.is_open:
            return None
        self._cseq += 1
        own = {"User-Agent": "flume doctor"}
        if self.session is not None:
            own["Session"] = self.session
        if self.credentials is not None:
            own["Authorization"] = self.credentials
        try:
            self.socket.send(encode_request(method, uri, self._cseq, own | dict(headers)))
        except OSError as error:
            self.ended = error.strerror or str(error)
            return None
        answer: list[Response] = []

        def answered() -> bool:
            while self._responses and not answer:
                response = self._responses.pop(0)
                if response.cseq in {self._cseq, None} and response.status >= 200:
                    answer.append(response)
            return bool(answer)

        self.poll(until_s, answered)
        response = answer[0] if answered() else None
        if response is not None and method == "SETUP" and response.status == 200:
            self.session = session_id(response.headers.get("session")) or None
        return response

    def poll(self, until_s: float, done: Callable[[], bool] = lambda: False) -> None:
        """Read until *done*, or until *until_s* (monotonic), or until the connection ends."""
        while not done() and self.is_open:
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return
            ports = self.ports
            sockets = [self.socket, *(ports.sockets if ports is not None else ())]
            readable, _, _ = select.select(sockets, [], [], left_s)
            if ports is not None:
                ports.read()
            if self.socket in readable:
                self._read()

    def _read(self) -> None:
        try:
            data = self.socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self.ended = error.strerror or str(error)
            return
        if not data:
            self.ended = "the server closed the connection"
            return
        self.first_bytes = (self.first_bytes + data)[:FIRST_BYTES]
        if self._has_another_beginning():
            self.not_rtsp = "it begins with something else"
            return
        self._buffer.append_untrusted(data)
        now_s = time.monotonic()
        while (item := self._buffer.take_untrusted()) is not None:
            self._take(item, now_s)

    def _has_another_beginning(self) -> bool:
        """Whether what comes first is no response: seen at its first line, or where no text begins so."""
        begin = self.first_bytes.lstrip(b"\r\n")
        if not begin or begin[:1] == b"$" or begin.startswith(b"RTSP/") or b"RTSP/".startswith(begin):
            return False
        return b"\n" in begin or begin[0] < ord(" ")

    def _take(self, item: Response | Packet | Fault, now_s: float) -> None:
        match item:
            case Response():
                if len(self._responses) < MOST_RESPONSES:
                    self._responses.append(item)
            case Packet() if self.arrivals is not None:
                if item.channel == self.channel:
                    self.arrivals.take_untrusted(item.data, at_s=now_s)
                else:
                    self.arrivals.take_report_untrusted(item.data, at_s=now_s)
            case Fault() if not item.is_last and self.session is not None:
                pass  # a request of the server's own, which players need not answer
            case Fault():
                self.not_rtsp = item.message

    def close(self) -> None:
        """Close the connection, at which many servers end the session too."""
        self.socket.close()


class PlayerPorts:
    """An even UDP port for media, and the next one for reports, as players have them."""

    def __init__(self, family: socket.AddressFamily, server: str) -> None:
        """Bind them, and take what *server* sends, an address; raises ``OSError``."""
        self.arrivals = Arrivals()
        self.sources = {plain_address(server)}
        """Addresses whose datagrams count."""
        self.from_ports: set[int] = set()
        """Ports that media came from."""
        self.strangers = 0
        """Datagrams from other addresses."""
        self._media, self._reports = _bind_pair(family)
        self.port: int = self._media.getsockname()[1]
        with contextlib.suppress(OSError):
            ask_for_buffer(self._media, ClientSettings(host="localhost").receive_buffer_bytes)

    @property
    def sockets(self) -> tuple[socket.socket, socket.socket]:
        """For ``select``."""
        return self._media, self._reports

    def read(self) -> None:
        """Read what has come, at most :data:`READS_AT_ONCE` datagrams of each socket."""
        for sock, take in (
            (self._media, self.arrivals.take_untrusted),
            (self._reports, self.arrivals.take_report_untrusted),
        ):
            for _ in range(READS_AT_ONCE):
                try:
                    data, source = sock.recvfrom(READ_BYTES)
                except BlockingIOError:
                    break
                except OSError:  # ICMP in answer to a punch: the server's port does not listen
                    continue
                if plain_address(source[0]) not in self.sources:
                    self.strangers += 1
                    continue
                if sock is self._media:
                    self.from_ports.add(source[1])
                take(data, at_s=time.monotonic())

    def wait(self, seconds: float) -> None:
        """Read what comes for *seconds*, whatever becomes of the connection."""
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            if select.select(self.sockets, [], [], left_s)[0]:
                self.read()

    def punch(self, host: str, port: int | None, rtcp_port: int | None) -> None:
        """Send a datagram to each of the server's ports: a firewall that keeps state then lets the stream in."""
        for sock, to, data in ((self._media, port, PUNCH), (self._reports, rtcp_port, RTCP_PUNCH)):
            if to is not None:
                with contextlib.suppress(OSError):
                    sock.sendto(data, sockaddr_of((host, to)))

    def close(self) -> None:
        """Close both sockets."""
        self._media.close()
        self._reports.close()


def _bind_pair(family: socket.AddressFamily) -> tuple[socket.socket, socket.socket]:
    """Return sockets on an even port and the next one, of all addresses of this machine; raises ``OSError``."""
    error = OSError("no two UDP ports in a row are free")
    for port in random.sample(PLAYERS_PORTS, len(PLAYERS_PORTS)):
        with contextlib.ExitStack() as stack:
            try:
                media, reports = (stack.enter_context(_bound(family, each)) for each in (port, port + 1))
            except OSError as refused:
                error = refused
                continue
            stack.pop_all()
            return media, reports
    raise error


def _bound(family: socket.AddressFamily, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
        sock.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
    except OSError:
        sock.close()
        raise
    return sock
