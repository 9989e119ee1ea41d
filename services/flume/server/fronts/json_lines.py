"""The TCP port: the only file of the server that makes control sockets.

Every connection has its own task, a bounded queue of lines and a bounded write buffer: a slow, silent or
malicious peer costs the others nothing.
"""

import asyncio
import contextlib
import logging
import socket

from flume.control.codec import Line, LineAssembler, encode, parse_request_untrusted
from flume.control.messages import IDLE, Closed, Event, Reply
from flume.control.session import State
from flume.errors import NetworkError, RemoteProtocolError
from flume.server.sending.media_port import Address
from flume.server.sending.tcp_delivery import UNSENT_BYTES
from flume.server.sessions.client_session import ClientSession
from flume.server.sessions.table import SessionTable

MAX_QUEUED_LINES = 32
"""Lines of one client that wait for their turn; beyond that we stop reading from it."""

MAX_UNSENT_BYTES = 64 << 10
"""Unsent replies and events of one client; beyond that it is not reading, and is cut off."""

MAX_PROTOCOL_ERRORS = 16
"""In a row. Somebody is not speaking to us but at us."""

USER_TIMEOUT_MS = 15_000
"""TCP_USER_TIMEOUT: data unacknowledged for so long means that the peer is gone (RFC 5482)."""

_log = logging.getLogger(__name__)


class ControlConnection(asyncio.Protocol):
    """One client's control connection."""

    def __init__(self, table: SessionTable, connections: set["ControlConnection"]) -> None:
        """Be one of *connections* while the connection lasts."""
        self._table = table
        self._connections = connections
        connections.add(self)  # already now: a connection may be accepted in the moment in which the server ends
        self._assembler = LineAssembler()
        self._lines: asyncio.Queue[Line | None] = asyncio.Queue()
        self._paused = False
        self._lost = False
        self._transport: asyncio.Transport | None = None
        self._session: ClientSession | None = None
        self._task: asyncio.Task[None] | None = None
        self.ended = asyncio.Event()
        """Set when the connection is closed and its session over."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open a session, or say why not."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(transport)
        self._transport = transport
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        name = transport.get_extra_info("peername")
        peer: Address = (name[0], name[1])
        try:
            self._session = session = self._table.open(peer, self.send)
        except NetworkError as error:
            _log.warning("%s:%d is turned away: %s", *peer, error)
            code = "shutdown" if self._table.closing else "busy"
            self.send(Closed(state=State.CLOSED, code=code, message=str(error)))
            transport.close()
            return
        session.local_host = transport.get_extra_info("sockname")[0]
        session.sink = self
        self._task = asyncio.get_running_loop().create_task(self._serve(session))
        self._task.add_done_callback(self._on_task_done)

    def data_received(self, data: bytes) -> None:
        """Queue complete lines."""
        for line in self._assembler.feed_untrusted(data):
            self._lines.put_nowait(line)
        if self._lines.qsize() > MAX_QUEUED_LINES and self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Answer what was asked before the client closed its side (``echo … | nc``), then end."""
        self._leave()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the task end."""
        _log.debug("control connection lost: %s", exc)
        self._lost = True
        self._leave()
        self._end_if_over()

    def _leave(self) -> None:
        # At once: a token that came in the same moment must not begin a stream to somebody who is gone.
        if self._session is not None:
            self._session.leaving = True
        self._lines.put_nowait(None)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("ending a session failed", exc_info=error)
        self._end_if_over()

    def _end_if_over(self) -> None:
        if self._lost and (self._task is None or self._task.done()):
            self._connections.discard(self)
            self.ended.set()

    def send(self, message: Reply | Event) -> None:
        """Queue *message*, behind the media written before; a peer that does not read is cut off."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            _log.warning("a client does not read its control connection: cut off")
            transport.abort()
            return
        transport.write(encode(message))

    # -- media, for clients that take them here ------------------------------------------------------------

    @property
    def is_clear(self) -> bool:
        """Whether it is open and everything written has gone to the kernel."""
        transport = self._transport
        return transport is not None and not transport.is_closing() and transport.get_write_buffer_size() == 0

    def begin_media(self) -> None:
        """Prepare for media; a connection that is closing has no socket any more, and gets none."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.set_write_buffer_limits(high=0)  # hear at once when there is room again
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)

    def write_media(self, frames: bytes) -> None:
        """Write *frames* behind everything that was written before."""
        if self._transport is not None:
            self._transport.write(frames)

    def resume_writing(self) -> None:
        """All that was written has gone to the kernel."""
        if self._session is not None:
            self._session.on_writable()

    def close(self) -> None:
        """Close once what was queued is written."""
        if self._transport is not None:
            self._transport.close()
        self._lines.put_nowait(None)

    def abort(self) -> None:
        """Close now, whatever waits to be written or done."""
        if self._transport is not None:
            self._transport.abort()
        if self._task is not None:
            self._task.cancel()

    async def _serve(self, session: ClientSession) -> None:
        try:
            errors = 0
            while (line := await self._next_line(session)) is not None:
                errors = 0 if await self._answer(session, line) else errors + 1
                if errors >= MAX_PROTOCOL_ERRORS:
                    session.refuse(None, "too_many_errors", f"{errors} lines in a row were not the protocol: goodbye")
                    break
        except Exception:  # a fault of ours costs this client its connection, and nobody else anything
            _log.exception("serving %s:%d failed", *session.peer)
            session.refuse(None, "internal_error", "the server met a fault of its own here: goodbye")
        finally:
            await self._table.drop(session)
            self.close()

    async def _next_line(self, session: ClientSession) -> Line | None:
        """Return the next line, ``None`` at the end or after a silence that means nobody is there."""
        idle_s = self._table.settings.idle_control_s
        while True:
            pending = self._assembler.pending_bytes
            try:
                line = await asyncio.wait_for(self._lines.get(), idle_s)
            except TimeoutError:
                if self._assembler.pending_bytes != pending:
                    continue  # somebody types slowly
                if pending:
                    session.refuse(
                        None, "incomplete_line", f"{pending} bytes of a line came, then {idle_s:g} s nothing"
                    )
                    return None
                # A session that ended a moment ago may be begun again: silence counts from what we said last.
                if session.state is State.CLOSED and session.quiet_s >= idle_s:
                    session.refuse(None, IDLE, f"no session and no command for {idle_s:g} s: goodbye")
                    return None
                continue
            if self._paused and self._lines.qsize() <= MAX_QUEUED_LINES // 2 and self._transport is not None:
                self._paused = False
                with contextlib.suppress(RuntimeError):  # it may be closing
                    self._transport.resume_reading()
            return line

    async def _answer(self, session: ClientSession, line: Line) -> bool:
        """Carry out one line; ``False`` if it was not the protocol."""
        try:
            if isinstance(line, RemoteProtocolError):
                raise line
            request = parse_request_untrusted(line)
        except RemoteProtocolError as error:
            session.refuse(None, error.code, str(error))
            return False
        await session.command(request)
        return True


class ControlListener:
    """The listening TCP socket and its connections."""

    def __init__(self, table: SessionTable) -> None:
        """Serve sessions of *table*."""
        self._table = table
        self._connections: set[ControlConnection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, sock: socket.socket) -> None:
        """Accept connections on the bound socket *sock*."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: ControlConnection(self._table, self._connections), sock=sock)

    async def stop_accepting(self) -> None:
        """Take no more connections; those that there are go on."""
        server, self._server = self._server, None
        if server is None:
            return
        for listening in server.sockets:
            asyncio.get_running_loop().remove_reader(listening.fileno())
        # What was accepted a moment ago becomes a connection in the loop's next turn, and asyncio forgets it, open,
        # if its server is closed by then.
        await asyncio.sleep(0)
        server.close()

    async def close(self, *, timeout_s: float = 2.0) -> None:
        """Let what was said be read, then end the connections; one that does not read is cut off."""
        await self.stop_accepting()
        connections = tuple(self._connections)
        for connection in connections:
            connection.close()
        if not connections:
            return
        ends = [asyncio.ensure_future(connection.ended.wait()) for connection in connections]
        _, late = await asyncio.wait(ends, timeout=timeout_s)
        if late:
            for connection in tuple(self._connections):
                connection.abort()
            await asyncio.wait(late, timeout=timeout_s)
