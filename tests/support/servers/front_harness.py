"""The front for RTSP on a harness of sessions: the test is the transport, the sender thread and the source."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

from flume.control.session import State
from flume.server.access.logins import Logins
from flume.server.fronts.number_wrap import NumberWrapGuard
from flume.server.fronts.paced_input import READ_BYTES
from flume.server.fronts.rtsp import RtspConnection
from flume.server.fronts.rtsp_path import RtspStream
from flume.server.fronts.sender_reports import ReportClock
from flume.server.sending.rtcp_port import RtcpPort
from support.clients.rtsp_reading import Interleaved, Response, ServerStream, request
from support.servers.session_harness import SessionHarness, let_run

PEER = ("127.0.0.1", 40_000)
URI = "rtsp://127.0.0.1:5004/"
SSRC = 7
UDP, TCP = "RTP/AVP;unicast;client_port=40010-40011", "RTP/AVP/TCP;unicast;interleaved=4-5"

REACHED = {"init": (), "ready": ("SETUP",), "playing": ("SETUP", "PLAY"), "paused": ("SETUP", "PLAY", "PAUSE")}
"""How a player comes to each state of the front."""


class PaperTransport(asyncio.Transport):
    """Keeps what is written. Its socket takes options and is connected to nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.socket = socket.socket()
        self.written = b""
        self.reading = True
        self.closed = False
        self.unsent_bytes = 0
        """What the kernel has not taken, as the test says."""

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self.socket if name == "socket" else default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert (high, low) == (0, None)

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def close(self) -> None:
        self.closed = True

    abort = close


class PaperPlayer:
    """One player's connection. Use :meth:`ask`, or :meth:`receive` for bytes; :meth:`end` in any case."""

    def __init__(
        self,
        harness: SessionHarness,
        *,
        logins: Logins | None = None,
        rtcp: RtcpPort | None = None,
        seconds: float | None = None,
        newest: Callable[[], tuple[int, int] | None] = lambda: None,
        peer: tuple[str, int] = PEER,
    ) -> None:
        self.harness = harness
        guard = NumberWrapGuard(newest, ssrc=SSRC, packets=7)
        punches = harness.arrivals.punches
        stream = RtspStream("test", seconds, SSRC, harness.media_port.port, rtcp, newest, guard, punches, ReportClock())
        place = harness.table.admit(peer, lambda _goodbye: None)
        self.connection = RtspConnection(harness.table, place, stream, local_host="127.0.0.1", logins=logins)
        self.transport = PaperTransport()
        self.connection.connection_made(self.transport)
        self.items: list[Response | Interleaved] = []
        self._stream = ServerStream()
        self._read = 0
        self.cseq = 0
        self.session_id: str | None = None

    @property
    def state(self) -> State:
        """State of the session."""
        return self.connection._session.state

    @property
    def ended(self) -> bool:
        """Whether the server has closed the connection."""
        return self.transport.closed

    @property
    def login_is_open(self) -> bool:
        """Whether requests of this player are carried out."""
        return self.connection._login.is_open

    def received(self) -> list[Response | Interleaved]:
        """Return what the server has written since the last call, in order."""
        new, self._read = self.transport.written[self._read :], len(self.transport.written)
        items = self._stream.feed(new)
        self.items += items
        for item in items:
            if isinstance(item, Response) and "session" in item.headers:
                self.session_id = item.headers["session"].partition(";")[0]
        return items

    async def receive(self, data: bytes) -> list[Response | Interleaved]:
        """Be the event loop: give *data* as far as the connection reads, and return what it writes."""
        for at in range(0, len(data), READ_BYTES):
            for _ in range(100):
                if self.transport.reading:
                    break
                await let_run()
            piece = data[at : at + READ_BYTES]
            if self.ended:
                break
            self.connection.get_buffer(-1)[: len(piece)] = piece
            self.connection.buffer_updated(len(piece))
            await let_run()
        return self.received()

    def request(self, method: str, *headers: str, uri: str = URI, body: bytes = b"") -> bytes:
        """Return the next request, with the Session header of the last response that had one."""
        self.cseq += 1
        own = (
            ()
            if self.session_id is None or any(line.startswith("Session:") for line in headers)
            else (f"Session: {self.session_id}",)
        )
        return request(method, uri, self.cseq, *own, *headers, body=body)

    async def ask(self, method: str, *headers: str, uri: str = URI, body: bytes = b"") -> Response:
        """Send one request and return its response, the only one that comes."""
        items = await self.receive(self.request(method, *headers, uri=uri, body=body))
        (response,) = (item for item in items if isinstance(item, Response))
        assert response.cseq == self.cseq
        return response

    async def setup(self, transport: str = UDP) -> Response:
        return await self.ask("SETUP", f"Transport: {transport}", uri=f"{URI}stream=0")

    async def end(self) -> None:
        """The player's connection is lost."""
        self.connection.connection_lost(None)
        self.transport.socket.close()
        for _ in range(20):
            await let_run()
            if self.connection._task is None or self.connection._task.done():
                return
        raise AssertionError("the connection's task did not end")


@contextlib.asynccontextmanager
async def paper_player(**fields: object) -> AsyncIterator[PaperPlayer]:
    """Yield a player on a harness of its own."""
    harness = SessionHarness()
    player = PaperPlayer(harness, **fields)  # type: ignore[arg-type]
    try:
        yield player
    finally:
        await player.end()
        harness.media_port.close()


async def reach(player: PaperPlayer, state: str, transport: str = UDP) -> None:
    """Bring *player* to *state* of the front."""
    for method in REACHED[state]:
        response = await (player.setup(transport) if method == "SETUP" else player.ask(method))
        assert response.status == 200, (method, response)
