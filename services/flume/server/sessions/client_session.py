"""One client's session: carries out what the pure session decides. Values in, values out; it knows no dialect."""

import asyncio
import logging
import socket
from collections.abc import Callable

from flume.control.endpoint import Address
from flume.control.messages import (
    Active,
    ClientCounters,
    Connect,
    Continued,
    Event,
    Refused,
    Reply,
    Request,
)
from flume.control.session import Command, Effect, Input, Session, Signal, State, allowed_commands
from flume.errors import IllegalCommandError, NetworkError
from flume.server.sending.tcp_delivery import FrameSink
from flume.server.sessions import replies
from flume.server.sessions.media_side import MediaSide
from flume.server.sessions.outbox import Outbox
from flume.server.sessions.services import SessionServices
from flume.server.sessions.tasks import SignalTasks

_log = logging.getLogger(__name__)


class ClientSession:
    """The session of one control connection. A front opens it by :class:`.table.SessionTable`.

    Commands and signals are carried out one at a time: stopping waits for the sender thread, and inputs that come
    meanwhile wait for the lock.
    """

    def __init__(
        self,
        services: SessionServices,
        peer: Address,
        send: Callable[[Reply | Event], None],
        *,
        local_host: str | None = None,
        sink: FrameSink | None = None,
        has_tokens: bool = True,
    ) -> None:
        """Begin in the state ``closed``.

        *send* queues a message on the control connection of *peer*. *local_host* is the address of this host that the
        connection was made to; media come from there. *sink* takes media over TCP.

        *has_tokens* is false for a dialect whose clients name their UDP port on the control connection. The handshake
        of TCP has proved the address, and the connection itself is the consent: the front ends the session with it.
        """
        self.peer = peer
        self.local_host = local_host
        self.leaving = False
        """The client's side of the connection has ended: earlier commands are answered, no delivery begins."""
        self.closing = False
        """The server is shutting down: no session begins."""
        self.number = 0
        """Which session of the server it is, the first being 1."""
        self.on_settled: Callable[[ClientSession, bool], None] = lambda _session, _is_settled: None
        """Called with ``True`` once the client has shown that it receives, with ``False`` after its session."""
        self._services = services
        self._session = Session()
        self._lock = asyncio.Lock()
        self._media = MediaSide(
            services,
            peer,
            local_host,
            sink,
            has_tokens=has_tokens,
            on_closed=self._on_port_closed,
            on_no_route=self._say_no_route,
        )
        self._windows = self._media.windows
        self._outbox = Outbox(send)
        self._tasks = SignalTasks()
        self.port_check, self.reception = self._media.check, self._media.reception

    @property
    def state(self) -> State:
        """The present state."""
        return self._session.state

    @property
    def quiet_s(self) -> float:
        """Seconds since the server last said anything to this client."""
        return self._outbox.quiet_s

    @property
    def counters(self) -> ClientCounters:
        """What this client was sent, in all windows of its connection."""
        return self._windows.counters()

    # -- inputs --------------------------------------------------------------------------------------------

    async def command(self, request: Request) -> None:
        """Carry out *request* and send its reply."""
        async with self._lock:
            command = request.command
            if (reason := replies.no_delivery(command, closing=self.closing, leaving=self.leaving)) is not None:
                self.refuse(command, *reason)
                return
            try:
                effects = self._feed(command)
            except IllegalCommandError as error:
                self.refuse(command, "not_allowed_now", str(error), error.allowed)
                return
            if isinstance(request, Connect):
                self._windows.payload, self._windows.transport = request.payload, request.transport
            await self._carry_out(effects, command)
            if Effect.START not in effects:  # it has sent the reply, before the first datagram
                self._outbox.tell(replies.answer(self._services, command, self.state, self._windows, self._media.token))
            if command is Command.CONNECT and self._windows.transport == "tcp" and not self.leaving:
                # The media go where the command came from: no token has to prove that address.
                await self._carry_out(self._feed(Signal.CONSENT), Signal.CONSENT)

    async def signal(self, signal: Signal, detail: str = "", *, about: socket.socket | None = None) -> None:
        """Carry out what *signal* means now. One *about* a media socket that has been replaced means nothing."""
        async with self._lock:
            if signal is Signal.CONSENT:
                current = self._media.follow(is_over=self.leaving or self.state is State.CLOSED)
            elif self._is_outdated(signal, about):
                current = None
            else:
                current = signal
            if current is not None:
                detail = detail or ("proof" if self._media.consent.lacks_proof else "")  # before the end forgets it
                await self._carry_out(self._feed(current), current, detail)

    def _is_outdated(self, signal: Signal, about: socket.socket | None) -> bool:
        """Whether *signal* has lost its meaning while it waited for the lock."""
        if signal is Signal.CONSENT_EXPIRED:
            return self._media.consent.is_running  # a token has come after all, or another session has begun
        return about is not None and not self._media.path.owns(about)

    def _spawn(self, signal: Signal, *, about: socket.socket | None = None) -> None:
        """Carry out *signal* in a task of its own."""
        self._tasks.spawn(self.signal(signal, about=about), f"{signal}")

    async def receive_at(self, source: Address) -> None:
        """The client receives at *source*, a port of its host, as its dialect says: the front answers for that.

        Returns when media may go there.
        """
        if not self.closing and source != self._media.path.address:
            self._media.consent.arrive(source)
            await self.signal(Signal.CONSENT)

    def dropped_at_port(self) -> int:
        """Return how many datagrams the kernel has dropped at the client's media socket: it was sent no tokens."""
        return self._media.dropped()

    def consent(self, source: Address) -> None:
        """The session's token came from *source*, a port of the client's host. Called for every token.

        The port has shown that it wants the stream (:mod:`.proofs`).
        """
        if self.leaving or self.closing:
            return
        if self.state is not State.CONNECTING and source == self._media.path.address:
            for effect in self._feed(Signal.CONSENT):
                self._apply(effect, Signal.CONSENT)
        elif not self._media.consent.has_arrival:
            # One signal is enough: tokens that come while it waits for the lock add none.
            self._media.consent.arrive(source)
            self._spawn(Signal.CONSENT)

    def on_refused(self, media: socket.socket) -> None:
        """ICMP port unreachable came for *media*."""
        self._media.on_refused(media)

    def _on_port_closed(self, media: socket.socket) -> None:
        self._spawn(Signal.PORT_UNREACHABLE, about=media)

    def on_writable(self) -> None:
        """The control connection has room for media again."""
        self._windows.pump()

    def send_aside(self, data: bytes) -> None:
        """Send *data* to the client's media port beside the stream, while the stream flows there.

        It is sent at once, so the stop promise holds for it as for the stream.
        """
        if self.state is State.ACTIVE:
            self._media.send_aside(data)

    def on_time(self, now_s: float) -> None:
        """End the session if its consent expired by *now_s* (monotonic), or ask for its token; keep it alive."""
        if self._media.consent.is_expired(now_s):
            self._media.consent.stop_clock()
            self._spawn(Signal.CONSENT_EXPIRED)
        elif self._media.consent.is_to_be_asked_for(now_s):
            self._media.consent.note_asked_for()
            self._outbox.tell(replies.token_late(self._services, self.state))
        self._outbox.keep_alive(self.state, now_s, self._services.settings.keepalive_s)

    def _feed(self, event: Input) -> tuple[Effect, ...]:
        """Give *event* to the state machine; see :meth:`.Session.feed`."""
        before = self.state
        effects = self._session.feed(event)
        if before is not self.state and self.state is not State.CONNECTING:
            self.on_settled(self, self.state is not State.CLOSED)
        return effects

    # -- effects -------------------------------------------------------------------------------------------

    async def _carry_out(self, effects: tuple[Effect, ...], cause: Input, detail: str = "") -> None:
        """Carry out *effects* in their order."""
        for effect in effects:
            if effect is Effect.STOP:
                await self._windows.unsubscribe()
            else:
                self._apply(effect, cause, detail)

    def _apply(self, effect: Effect, cause: Input, detail: str = "") -> None:
        match effect:
            case Effect.ISSUE_TOKEN:
                self._media.begin(self)
            case Effect.REFRESH:
                self._media.refresh()
            case Effect.MOVE:
                self._move()
            case Effect.START:
                self._start(cause)
            case Effect.RELEASE:
                self._media.release()
            case Effect.SAY_CLOSED:
                self._say_closed(cause, detail)

    def _say_no_route(self, error: NetworkError) -> None:
        _log.warning("%s", error)
        self.notice("no_route", str(error))

    def _move(self) -> None:
        old, new = self._media.move()
        if old is not None and new is not None:
            self.notice("media_moved", f"the token comes from port {new[1]} now, no more from {old[1]}")

    def _start(self, cause: Input) -> None:
        """Tell the client which datagram comes first, then subscribe it: it knows the number before it sees it."""
        # After a move the window goes on: datagrams to the old port that did not arrive are loss, and count as such.
        moved = cause is Signal.CONSENT_MOVED
        silent_s = None if moved else self._windows.without_keyframe_s()
        recipient, first = self._windows.prepare(same_window=moved)
        if cause is Command.CONTINUE:
            self._outbox.tell(Continued(state=self.state, **first._asdict()))
        elif not moved:
            address, port = self._media.path.address or self.peer
            self._outbox.tell(Active(state=self.state, address=address, port=port, **first._asdict()))
        if silent_s is not None:
            message = f"no keyframe came in the last {silent_s:.0f} s: the picture begins with the next one"
            self.notice("no_keyframe", message)
        self._windows.subscribe(recipient, owner=self)

    # -- messages ------------------------------------------------------------------------------------------

    def _say_closed(self, cause: Input, detail: str) -> None:
        last_sequence = self._windows.end_window().last_sequence
        event = replies.closed(self._services, Signal(cause), self.peer, detail=detail, last_sequence=last_sequence)
        _log.info("%s:%d: %s", *self.peer, event.message)
        self._outbox.tell(event)

    def refuse(self, command: str | None, code: str, message: str, allowed: tuple[str, ...] | None = None) -> None:
        """Answer that a request was not carried out; without a *command*, say goodbye."""
        possible = tuple(allowed_commands(self.state)) if allowed is None else allowed
        self._outbox.tell(Refused(state=self.state, command=command, code=code, message=message, allowed=possible))

    def tell(self, message: Reply | Event) -> None:
        """Queue *message* for the client."""
        self._outbox.tell(message)

    def notice(self, code: str, message: str) -> None:
        """Tell the client something that changes no state, at most once a second."""
        self._outbox.notice(self.state, code, message)
