"""A player of plain sockets, so that tests can also break the rules of RTSP."""

import contextlib
import select
import socket
import struct
import time
from typing import Self

from support.clients.rtsp_reading import Interleaved, Response, ServerStream, request

LOOPBACK = "127.0.0.1"


class RtspClient:
    """Speaks to *host*. Media over UDP come to :attr:`media`; on the connection they are kept in :attr:`frames`."""

    def __init__(
        self,
        port: int,
        *,
        host: str = LOOPBACK,
        source: str = "",
        connection: socket.socket | None = None,
        media: socket.socket | None = None,
        receive_buffer_bytes: int | None = None,
    ) -> None:
        self.server = (host, port)
        self.uri = f"rtsp://{f'[{host}]' if ':' in host else host}:{port}/"
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.connection = connection or socket.socket(family)
        if connection is None and source:
            self.connection.bind((source, 0))
        if receive_buffer_bytes is not None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.connection.settimeout(10)
        self.connection.connect(self.server)
        self.media = media or self.new_media(source)
        self._stream = ServerStream()
        self._items: list[Response | Interleaved] = []
        self.frames: list[bytes] = []
        """Packets of media that came on the connection."""
        self.rtcp: list[bytes] = []
        """Packets of the other channel."""
        self.channel = 0
        self.cseq = 0
        self.session: str | None = None
        self.gone = False
        """Whether the server has closed the connection."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self, *, reset: bool = False) -> None:
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.media.close()

    def new_media(self, source: str = "") -> socket.socket:
        """Return another socket for media of this host; the caller closes it, or replaces the first one by it."""
        media = socket.socket(self.connection.family, socket.SOCK_DGRAM)
        media.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        media.bind((source or self.connection.getsockname()[0], 0))
        media.setblocking(False)
        return media

    @property
    def udp(self) -> str:
        """A Transport header for media over UDP to :attr:`media`, without RTCP."""
        return f"RTP/AVP;unicast;client_port={self.media.getsockname()[1]}"

    # -- requests ------------------------------------------------------------------------------------------

    def request(self, method: str, *headers: str, uri: str | None = None, body: bytes = b"") -> bytes:
        """Return the next request, with the session that SETUP has given."""
        self.cseq += 1
        has_session = self.session is None or any(line.lower().startswith("session:") for line in headers)
        own = () if has_session else (f"Session: {self.session}",)
        return request(method, uri or self.uri, self.cseq, *own, *headers, body=body)

    def send(self, *requests: bytes) -> None:
        """Send *requests* in one segment; what a server that has closed said before can still be read."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.sendall(b"".join(requests))

    def response(self, *, timeout_s: float = 10.0) -> Response | None:
        """Return the next response; ``None`` once the server has closed. Packets before it are kept."""
        until_s = time.monotonic() + timeout_s
        while True:
            while self._items:
                item = self._items.pop(0)
                if isinstance(item, Response):
                    return item
                (self.frames if item.channel == self.channel else self.rtcp).append(item.data)
            if self.gone:
                return None
            self._read(until_s - time.monotonic())

    def _read(self, timeout_s: float) -> None:
        self.connection.settimeout(max(timeout_s, 0.001))
        try:
            data = self.connection.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        self.gone = not data
        self._items += self._stream.feed(data)

    def ask(self, method: str, *headers: str, uri: str | None = None, body: bytes = b"") -> Response:
        """Send one request and return its response."""
        self.send(self.request(method, *headers, uri=uri, body=body))
        response = self.response()
        assert response is not None, f"the server closed instead of answering {method}"
        assert response.cseq == self.cseq
        if method == "SETUP" and response.status == 200:
            self.session = response.headers["session"].partition(";")[0]
        elif method == "TEARDOWN" and response.status == 200:
            self.session = None
        return response

    def setup(self, transport: str | None = None) -> Response:
        """Ask for *transport*, by default UDP to :attr:`media`."""
        return self.ask("SETUP", f"Transport: {transport or self.udp}", uri=f"{self.uri}stream=0")

    def setup_tcp(self) -> Response:
        """Ask for the media on this connection."""
        return self.setup("RTP/AVP/TCP;unicast;interleaved=0-1")

    def play(self) -> int:
        """Play; return the number of the first datagram, as RTP-Info says."""
        response = self.ask("PLAY", "Range: npt=0.000-")
        assert response.status == 200, response
        (number,) = [part[4:] for part in response.headers["rtp-info"].split(";") if part.startswith("seq=")]
        return int(number)

    def wait_for_end(self, *, timeout_s: float) -> float:
        """Return after how many seconds the server closes the connection; fail if it does not within *timeout_s*."""
        began_s = time.monotonic()
        assert self.response(timeout_s=timeout_s) is None
        return time.monotonic() - began_s

    # -- media ---------------------------------------------------------------------------------------------

    def punch(self) -> None:
        """Send what opens a firewall for the media, as FFmpeg does."""
        self.media.sendto(b"\x80" + bytes(11), self.server)

    def receive(self, *, for_s: float, at_least: int | None = None) -> list[bytes]:
        """Return the datagrams of the next *for_s* seconds; return sooner when *at_least* have come."""
        deadline = time.monotonic() + for_s
        datagrams: list[bytes] = []
        while (left := deadline - time.monotonic()) > 0 and (at_least is None or len(datagrams) < at_least):
            if select.select([self.media], [], [], left)[0]:
                try:
                    datagrams.append(self.media.recv(65536))
                except ConnectionRefusedError:
                    continue
        return datagrams

    def receive_frames(self, count: int, *, timeout_s: float = 10.0) -> list[bytes]:
        """Return the next *count* packets of media on the connection; no response may come between them."""
        until_s = time.monotonic() + timeout_s
        while len(self.frames) < count:
            while self._items:
                item = self._items.pop(0)
                assert isinstance(item, Interleaved), item
                (self.frames if item.channel == self.channel else self.rtcp).append(item.data)
            if len(self.frames) < count:
                assert not self.gone, "the server closed"
                self._read(until_s - time.monotonic())
        taken, self.frames = self.frames[:count], self.frames[count:]
        return taken

    def the_rest(self) -> list[bytes]:
        """Read datagrams until none has arrived for 0.1 s."""
        datagrams: list[bytes] = []
        while more := self.receive(for_s=0.1):
            datagrams += more
        return datagrams


def sequences(datagrams: list[bytes]) -> list[int]:
    """Return the RTP sequence numbers of *datagrams*, which are MPEG-TS in RTP; without those of :func:`is_reset`."""
    assert {datagram[:2] for datagram in datagrams} <= {b"\x80\x21", b"\x80\xa1"}
    return [int.from_bytes(datagram[2:4], "big") for datagram in datagrams if not is_reset(datagram)]


def is_reset(datagram: bytes) -> bool:
    """Whether it only says 65535 once more, to a player like VLC's, after the numbers have begun again at 0.

    It has RTP's marker and null packets alone. The first number of a stream is random, so a test that reads 600
    datagrams meets them once in a hundred runs.
    """
    return datagram[:4] == b"\x80\xa1\xff\xff" and {datagram[at : at + 3] for at in range(12, len(datagram), 188)} == {
        b"\x47\x1f\xff"
    }
