"""The front for control lines: bytes of a TCP connection to requests, replies and events to bytes, media in frames.

A front owns the connections of one dialect. It turns bytes into the values of :mod:`flume.control.messages`, gives them
to a session, and turns what the session says into bytes. This one speaks JSON, one object a line, and puts media
between the lines in frames of RFC 4571. A front for another dialect has its place beside it and uses the same table of
sessions.

Every connection has a task of its own, a bounded queue of lines and a bounded write buffer. So a slow, silent or
malicious peer costs the other clients nothing.
"""

import asyncio
import contextlib
import logging
import socket

from flume.control.codec import Line, LineAssembler, encode, parse_request_untrusted
from flume.control.endpoint import Address
from flume.control.framing import frame_header
from flume.control.messages import IDLE, Closed, Event, Reply
from flume.control.session import State
from flume.errors import NetworkError, RemoteProtocolError
from flume.media.ring import DATAGRAM_BYTES
from flume.server.sending.tcp_delivery import UNSENT_BYTES
from flume.server.sessions.client_session import ClientSession
from flume.server.sessions.table import SessionTable

MAX_QUEUED_LINES = 32
"""Lines of one client that wait to be carried out; with more, reading from that client pauses."""

MAX_UNSENT_BYTES = 64 << 10
"""Unsent replies and events of one client. A client with more does not read, and its connection is aborted."""

MAX_PROTOCOL_ERRORS = 16
"""Lines in a row that are not the protocol, after which the connection is ended."""

USER_TIMEOUT_MS = 15_000
"""TCP_USER_TIMEOUT: data unacknowledged for so long means that the peer is gone (RFC 5482)."""

_log = logging.getLogger(__name__)


class ControlConnection(asyncio.Protocol):
    """One client's control connection, which also takes its media over TCP (a :class:`.tcp_delivery.FrameSink`)."""

    frame_header = frame_header(DATAGRAM_BYTES)

    def __init__(self, table: SessionTable, connections: set["ControlConnection"], *, idle_s: float) -> None:
        """Be one of *connections* while the connection lasts; end it after *idle_s* without session and command."""
        self._table = table
        self._idle_s = idle_s
        self._connections = connections
        connections.add(self)  # now: the server may end between this and connection_made
        self._assembler = LineAssembler()
        self._lines: asyncio.Queue[Line | None] = asyncio.Queue()
        self._paused = False
        self._lost = False
        self._transport: asyncio.Transport | None = None
        self._session: ClientSession | None = None
        self._task: asyncio.Task[None] | None = None
        self.ended = asyncio.Event()
        """Set when the connection is closed and its session has ended."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open a session, or turn the client away with the reason."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(transport)
        self._transport = transport
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        name = transport.get_extra_info("peername")
        peer: Address = (name[0], name[1])
        local_host = transport.get_extra_info("sockname")[0]
        try:
            self._session = session = self._table.open(peer, self.send, local_host=local_host, sink=self)
        except NetworkError as error:
            _log.warning("%s:%d is turned away: %s", *peer, error)
            code = "shutdown" if self._table.closing else "busy"
            self.send(Closed(state=State.CLOSED, code=code, message=str(error)))
            transport.close()
            return
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
        """Answer the commands that came before the client closed its side (``echo … | nc``), then end."""
        self._leave()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the task end."""
        _log.debug("control connection lost: %s", exc)
        self._lost = True
        self._leave()
        self._end_if_over()

    def _leave(self) -> None:
        # At once: a token that came at the same time must not start a stream to a client that is gone.
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

    # -- media over TCP ------------------------------------------------------------------------------------

    @property
    def is_clear(self) -> bool:
        """Whether it is open and all bytes written to it have gone to the kernel."""
        transport = self._transport
        return transport is not None and not transport.is_closing() and transport.get_write_buffer_size() == 0

    def begin_media(self) -> None:
        """Prepare for media. A connection that is closing has no socket any more, and is left alone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.set_write_buffer_limits(high=0)  # resume_writing comes as soon as there is room again
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)

    def write_media(self, frames: bytes) -> None:
        """Write *frames* behind all that was written before."""
        if self._transport is not None:
            self._transport.write(frames)

    def resume_writing(self) -> None:
        """All bytes that were written have gone to the kernel: more media may follow."""
        if self._session is not None:
            self._session.on_writable()

    # -- commands ------------------------------------------------------------------------------------------

    async def _serve(self, session: ClientSession) -> None:
        try:
            errors = 0
            while (line := await self._next_line(session)) is not None:
                errors = 0 if await self._answer(session, line) else errors + 1
                if errors >= MAX_PROTOCOL_ERRORS:
                    session.refuse(None, "too_many_errors", f"{errors} lines in a row were not the protocol: goodbye")
                    break
        except Exception:  # a fault of ours costs this client its connection, and the other clients nothing
            _log.exception("serving %s:%d failed", *session.peer)
            session.refuse(None, "internal_error", "the server met a fault of its own here: goodbye")
        finally:
            await self._table.drop(session)
            self.close()

    async def _next_line(self, session: ClientSession) -> Line | None:
        """Return the next line; ``None`` at the end, and after an idle time without a session."""
        while True:
            pending = self._assembler.pending_bytes
            try:
                line = await asyncio.wait_for(self._lines.get(), self._idle_s)
            except TimeoutError:
                if self._say_if_idle(session, pending):
                    return None
                continue
            if self._paused and self._lines.qsize() <= MAX_QUEUED_LINES // 2 and self._transport is not None:
                self._paused = False
                with contextlib.suppress(RuntimeError):  # it may be closing
                    self._transport.resume_reading()
            return line

    def _say_if_idle(self, session: ClientSession, pending: int) -> bool:
        """Say goodbye if no line came in the idle time; return whether that was said.

        *pending* bytes of a line had come before; if more have come since, a person types slowly.
        """
        if self._assembler.pending_bytes != pending:
            return False
        if pending:
            message = f"{pending} bytes of a line came, then {self._idle_s:g} s nothing"
            session.refuse(None, "incomplete_line", message)
            return True
        # A session that ended a moment ago may be begun again: the idle time counts from the server's last message.
        if session.state is State.CLOSED and session.quiet_s >= self._idle_s:
            session.refuse(None, IDLE, f"no session and no command for {self._idle_s:g} s: goodbye")
            return True
        return False

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

    # -- the end -------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close once the queued bytes are written."""
        if self._transport is not None:
            self._transport.close()
        self._lines.put_nowait(None)

    def abort(self) -> None:
        """Close now, without writing or carrying out what is queued."""
        if self._transport is not None:
            self._transport.abort()
        if self._task is not None:
            self._task.cancel()


class ControlListener:
    """The listening TCP socket and its connections."""

    def __init__(self, table: SessionTable, *, idle_s: float) -> None:
        """Open sessions in *table*; end a connection after *idle_s* without session and command."""
        self._table = table
        self._idle_s = idle_s
        self._connections: set[ControlConnection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, sock: socket.socket) -> None:
        """Accept connections on the bound socket *sock*."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: ControlConnection(self._table, self._connections, idle_s=self._idle_s), sock=sock
        )

    async def stop_accepting(self) -> None:
        """Accept no more connections; the open ones go on."""
        server, self._server = self._server, None
        if server is None:
            return
        for listening in server.sockets:
            asyncio.get_running_loop().remove_reader(listening.fileno())
        # A socket that was accepted a moment ago becomes a connection in the loop's next iteration. If its server is
        # closed by then, asyncio forgets the socket without closing it.
        await asyncio.sleep(0)
        server.close()

    async def close(self, *, timeout_s: float = 2.0) -> None:
        """Let the clients read what was said, then end the connections; a client that does not read is cut off."""
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
