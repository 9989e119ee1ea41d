"""What connections of all dialects have in common: one task each, bounded input and output, media between messages.

A dialect is a subclass: it has a cutter for what its client sends, carries the items out, and writes what the session
says. Every connection has a task of its own, and reads no more than it can carry out. So a slow, silent or malicious
peer costs the other clients nothing.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Generic, TypeVar

from flume.control.messages import IDLE, Closed, Event, Reply
from flume.control.session import Signal, State
from flume.server.access.logins import Logins
from flume.server.fronts.login_gate import LoginGate
from flume.server.fronts.paced_input import Cutter, ExcessError, PacedInput
from flume.server.limits.commands import EXCESS_S
from flume.server.sending.tcp_delivery import UNSENT_BYTES
from flume.server.sessions.client_session import ClientSession
from flume.server.sessions.table import Place, SessionTable

MAX_PROTOCOL_ERRORS = 16
"""Items in a row that are not the protocol, after which the connection is ended."""

USER_TIMEOUT_MS = 15_000
"""TCP_USER_TIMEOUT: data unacknowledged for so long means that the peer is gone (RFC 5482)."""

LOGIN_REVOKED = "login_revoked"
_REVOKED = "the user of this login was removed, or has another secret now: goodbye"

T = TypeVar("T")

_log = logging.getLogger(__name__)


def idle_message(idle_s: float) -> str:
    """Return the goodbye to a connection on which nothing came for *idle_s*."""
    return f"no session and no command for {idle_s:g} s: goodbye"


class FrontConnection(asyncio.BufferedProtocol, Generic[T]):
    """One client's connection, which also takes its media over TCP (a :class:`.tcp_delivery.FrameSink`)."""

    frame_header: bytes
    """What stands before each packet of media, of a datagram's size."""

    def __init__(
        self,
        table: SessionTable,
        place: Place,
        cutter: Cutter[T],
        *,
        local_host: str,
        logins: Logins | None,
        has_tokens: bool = True,
    ) -> None:
        """Open a session in *table* for the connection of *place* to *local_host*, which is about to be made.

        *cutter* gives out what the client asks. With *logins* nothing is carried out before a login. *has_tokens*: see
        :class:`.ClientSession`.
        """
        self._table = table
        self._settings = table.settings
        self.peer_host = place.peer[0]
        self._login = LoginGate(table, logins)
        self._revocation: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._lost = False
        self.on_ended: Callable[[FrontConnection[T]], None] = lambda _connection: None
        """Called when the connection is closed and its session has ended."""
        self._input = PacedInput(
            table.command_budget.open(place.peer[0]),
            cutter,
            set_reading=self._set_reading,
            on_delayed=self._on_delayed,
        )
        self._session = table.open(
            place.peer, self.send, local_host=local_host, sink=self, place=place, has_tokens=has_tokens
        )
        place.dismiss = self._dismiss

    # -- what a dialect does -------------------------------------------------------------------------------

    def send(self, message: Reply | Event) -> None:
        """Write what the session says."""
        raise NotImplementedError

    async def answer(self, item: T) -> bool:
        """Carry out one item; ``False`` if it was not the protocol."""
        raise NotImplementedError

    # -- the connection ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Carry out the commands that come."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(transport)
        self._transport = transport
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._task = asyncio.get_running_loop().create_task(self._serve())
        self._task.add_done_callback(self._on_task_done)

    async def fail(self) -> None:
        """No connection has come of it: end the session."""
        self._lost = True
        await self._table.drop(self._session)
        self._end_if_over()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the size is ours to choose
        """Return where the next bytes go."""
        return self._input.space()

    def buffer_updated(self, nbytes: int) -> None:
        """Keep the *nbytes* that came."""
        self._input.received(nbytes)

    def eof_received(self) -> bool:
        """Answer the commands that came before the client closed its side (``echo … | nc``), then end."""
        # At once: a token that came at the same time must not start a stream to a client that is gone.
        self._session.leaving = True
        self._input.end()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the commands that came, and let the task end."""
        _log.debug("control connection lost: %s", exc)
        self._lost = True
        self._session.leaving = True
        self._input.discard()
        self._end_if_over()

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("ending a session failed", exc_info=error)
        self._end_if_over()

    def _end_if_over(self) -> None:
        if self._lost and (self._task is None or self._task.done()):
            self.on_ended(self)

    def _set_reading(self, on: bool) -> None:  # noqa: FBT001 - a state
        transport = self._transport
        if transport is not None and not transport.is_closing():
            with contextlib.suppress(RuntimeError):  # it has been paused by its own end
                (transport.resume_reading if on else transport.pause_reading)()

    def _on_delayed(self) -> None:
        self._table.refused["commands"] += 1
        message = "commands come faster than this server carries them out: they wait"
        self._session.notice("slow_down", message)

    def write(self, data: bytes) -> None:
        """Queue *data*, behind the media written before; a peer that does not read is cut off."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > self._settings.max_unsent_kib << 10:
            self._table.refused["unread"] += 1
            _log.warning("a client does not read its control connection: cut off")
            transport.abort()
            return
        transport.write(data)

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
        # Not now: asyncio's transport, which is in the middle of a write, would end twice if the next one failed.
        asyncio.get_running_loop().call_soon(self._session.on_writable)

    # -- commands ------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        session = self._session
        try:
            await self._carry_out(session)
        except ExcessError:
            self._table.refused["too_many_commands"] += 1
            message = f"for {EXCESS_S:g} s more than {self._settings.commands_per_s:g} lines a second came: goodbye"
            session.refuse(None, "too_many_commands", message)
        except Exception:  # a fault of ours costs this client its connection, and the other clients nothing
            _log.exception("serving %s:%d failed", *session.peer)
            session.refuse(None, "internal_error", "the server met a fault of its own here: goodbye")
        finally:
            await self._table.drop(session)
            self.close()

    async def _carry_out(self, session: ClientSession) -> None:
        """Carry out items until the end, an idle time without a session, or too many that are no commands."""
        errors = 0
        while (item := await self._next_item(session)) is not None:
            errors = 0 if await self.answer(item) else errors + 1
            if errors >= MAX_PROTOCOL_ERRORS:
                self._table.refused["too_many_errors"] += 1
                session.refuse(None, "too_many_errors", f"{errors} lines in a row were not the protocol: goodbye")
                return

    async def _next_item(self, session: ClientSession) -> T | None:
        """Return the next item; ``None`` at the end, and after an idle time without a session."""
        while True:
            pending = self._input.pending_bytes
            try:
                return await self._input.next_item(self._settings.idle_control_s)
            except TimeoutError:
                if self._say_if_idle(session, pending):
                    return None

    def _say_if_idle(self, session: ClientSession, pending: int) -> bool:
        """Say goodbye if no item came in the idle time; return whether that was said.

        *pending* bytes of an item had come before; if more have come since, a person types slowly.
        """
        idle_s = self._settings.idle_control_s
        if self._input.pending_bytes != pending:
            return False
        if pending:
            self._table.refused["incomplete_line"] += 1
            session.refuse(None, "incomplete_line", f"{pending} bytes of a line came, then {idle_s:g} s nothing")
            return True
        # A session that ended a moment ago may be begun again: the idle time counts from the server's last message.
        if session.state is State.CLOSED and session.quiet_s >= idle_s:
            self._table.refused["idle"] += 1
            session.refuse(None, IDLE, idle_message(idle_s))
            return True
        return False

    def end_if_revoked(self) -> None:
        """End the session and the connection if its user may not log in any more."""
        if self._login.close_if_revoked():
            _log.warning("%s:%d: its user was removed, or has another secret", *self._session.peer)
            self._session.leaving = True  # a token that comes now starts nothing
            self._revocation = asyncio.get_running_loop().create_task(self._revoke())

    async def _revoke(self) -> None:
        had_session = self._session.state is not State.CLOSED
        await self._session.signal(Signal.PEER_GONE)  # no datagram follows what is said
        if had_session:
            self.send(Closed(state=State.CLOSED, code=LOGIN_REVOKED, message=_REVOKED))
        else:
            self._session.refuse(None, LOGIN_REVOKED, _REVOKED)
        self.close()

    def _dismiss(self, goodbye: Reply | Event) -> None:
        self.send(goodbye)
        self.close()

    # -- the end -------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close once the queued bytes are written, and carry out no more commands."""
        if self._transport is not None:
            self._transport.close()
        self._input.discard()

    def abort(self) -> None:
        """Close now, without writing or carrying out what is queued."""
        if self._transport is not None:
            self._transport.abort()
        if self._task is not None:
            self._task.cancel()
