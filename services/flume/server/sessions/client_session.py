"""One client's session: carries out what the pure session decides. Values in, values out; it knows no dialect."""

import asyncio
import logging
import socket
from collections.abc import Callable

from flume.control.endpoint import Address
from flume.control.messages import (
    Active,
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
from flume.server.sessions.consent import Consent
from flume.server.sessions.media_path import MediaPath
from flume.server.sessions.outbox import Outbox
from flume.server.sessions.port_check import PortCheck, PortReports
from flume.server.sessions.services import SessionServices
from flume.server.sessions.tasks import SignalTasks
from flume.server.sessions.windows import DeliveryWindows

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
    ) -> None:
        """Begin in the state ``closed``.

        *send* queues a message on the control connection of *peer*. *local_host* is the address of this host that the
        connection was made to; media come from there. *sink* takes media over TCP.
        """
        self.peer = peer
        self.local_host = local_host
        self.leaving = False
        """The client's side of the connection has ended: earlier commands are answered, no delivery begins."""
        self.closing = False
        """The server is shutting down: no session begins."""
        self.on_settled: Callable[[ClientSession, bool], None] = lambda _session, _is_settled: None
        """Called with ``True`` once the client has shown that it receives, with ``False`` after its session."""
        self._services = services
        self._session = Session()
        self._lock = asyncio.Lock()
        self._token: str | None = None
        self._path = MediaPath(
            services.media_port,
            on_datagram=services.arrivals.on_datagram_untrusted,
            on_refused=self.on_refused,
            packets_per_datagram=services.settings.datagram_packets,
        )
        segmentation, counts = services.segmentation, services.tokens.counts
        self._consent = Consent(self._path, settings=services.settings, segmentation=segmentation, counts=counts)
        self._windows = DeliveryWindows(services.ring, services.subscriptions, self._path, sink)
        self._outbox = Outbox(send)
        self._tasks = SignalTasks()
        reports = PortReports(self._ask_port, self._on_port_closed, self._say_no_route)
        self.port_check = PortCheck(self._consent, local_host, reports)

    @property
    def state(self) -> State:
        """The present state."""
        return self._session.state

    @property
    def quiet_s(self) -> float:
        """Seconds since the server last said anything to this client."""
        return self._outbox.quiet_s

    # -- inputs --------------------------------------------------------------------------------------------

    async def command(self, request: Request) -> None:
        """Carry out *request* and send its reply."""
        async with self._lock:
            command = request.command
            if command is Command.CONNECT and self.closing:
                self.refuse(command, "shutdown", "the server is shutting down and begins no session")
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
                self._outbox.tell(replies.answer(self._services, command, self.state, self._windows, self._token))
            if command is Command.CONNECT and self._windows.transport == "tcp" and not self.leaving:
                # The media go where the command came from: no token has to prove that address.
                await self._carry_out(self._feed(Signal.CONSENT), Signal.CONSENT)

    async def signal(self, signal: Signal, detail: str = "", *, about: socket.socket | None = None) -> None:
        """Carry out what *signal* means now. One *about* a media socket that has been replaced means nothing."""
        async with self._lock:
            if signal is Signal.CONSENT:
                current = self._follow_token()
            elif self._is_outdated(signal, about):
                current = None
            else:
                current = signal
            if current is not None:
                detail = detail or ("proof" if self._consent.lacks_proof else "")  # before the end forgets it
                await self._carry_out(self._feed(current), current, detail)

    def _is_outdated(self, signal: Signal, about: socket.socket | None) -> bool:
        """Whether *signal* has lost its meaning while it waited for the lock."""
        if signal is Signal.CONSENT_EXPIRED:
            return self._consent.is_running  # a token has come after all, or another session has begun
        return about is not None and not self._path.owns(about)

    def _spawn(self, signal: Signal, *, about: socket.socket | None = None) -> None:
        """Carry out *signal* in a task of its own."""
        self._tasks.spawn(self.signal(signal, about=about), f"{signal}")

    def consent(self, source: Address) -> None:
        """The session's token came from *source*, a port of the client's host. Called for every token.

        The port has shown that it wants the stream (:mod:`.proofs`). A front whose dialect names the client's UDP port
        calls this itself, with that port, and answers for it.
        """
        if self.leaving or self.closing:
            return
        if self.state is not State.CONNECTING and source == self._path.address:
            for effect in self._feed(Signal.CONSENT):
                self._apply(effect, Signal.CONSENT)
        elif not self._consent.has_arrival:
            # One signal is enough: tokens that come while it waits for the lock add none.
            self._consent.arrive(source)
            self._spawn(Signal.CONSENT)

    def on_refused(self, media: socket.socket) -> None:
        """ICMP port unreachable came for *media*. Any host can forge it: the port is asked again for its proof."""
        if self._token is not None:
            self._services.arrivals.note_refused(self.peer[0])
            self.port_check.begin(media)

    def _on_port_closed(self, media: socket.socket) -> None:
        self._spawn(Signal.PORT_UNREACHABLE, about=media)

    def _ask_port(self) -> None:  # without an address only tokens are answered by questions, two for each
        if self._path.address is not None and self._token is not None:
            self._services.arrivals.request_proof(self._token.encode(), self._path.address, self.local_host)

    def on_writable(self) -> None:
        """The control connection has room for media again."""
        self._windows.pump()

    def on_time(self, now_s: float) -> None:
        """End the session if its consent expired by *now_s* (monotonic), or ask for its token; keep it alive."""
        if self._consent.is_expired(now_s):
            self._consent.stop_clock()
            self._spawn(Signal.CONSENT_EXPIRED)
        elif self._consent.is_to_be_asked_for(now_s):
            self._consent.note_asked_for()
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
                self._token = self._services.tokens.issue(self) if self._windows.transport == "udp" else None
                self._windows.begin_session()
                self._refresh()
            case Effect.REFRESH:
                self._refresh()
            case Effect.MOVE:
                self._move()
            case Effect.START:
                self._start(cause)
            case Effect.RELEASE:
                self._release()
            case Effect.SAY_CLOSED:
                self._say_closed(cause, detail)

    def _refresh(self) -> None:
        # Over TCP the connection itself shows when the client is gone.
        if self._windows.transport == "udp":
            self._consent.refresh()

    def _follow_token(self) -> Signal | None:
        """Prepare the path for the port that the token came from; return what that means, ``None`` for nothing."""
        if self._token is None or self.leaving:
            self._consent.drop_arrival()
            return None  # a late token of an ended session
        try:
            return self._consent.follow(self.local_host, self._windows.payload)
        except NetworkError as error:
            self._say_no_route(error)
            return None

    def _say_no_route(self, error: NetworkError) -> None:
        _log.warning("%s", error)
        self.notice("no_route", str(error))

    def _move(self) -> None:
        old = self._path.address
        self._consent.move(self._windows.payload)
        new = self._path.address
        if old is not None and new is not None:
            self.notice("media_moved", f"the token comes from port {new[1]} now, no more from {old[1]}")

    def _start(self, cause: Input) -> None:
        """Tell the client which datagram comes first, then subscribe it: it knows the number before it sees it."""
        # After a move the window goes on: datagrams to the old port that did not arrive are loss, and count as such.
        moved = cause is Signal.CONSENT_MOVED
        silent_s = None if moved else self._windows.without_keyframe_s()
        recipient, first_sequence = self._windows.prepare(same_window=moved)
        if cause is Command.CONTINUE:
            self._outbox.tell(Continued(state=self.state, first_sequence=first_sequence))
        elif not moved:
            address, port = self._path.address or self.peer
            self._outbox.tell(Active(state=self.state, address=address, port=port, first_sequence=first_sequence))
        if silent_s is not None:
            message = f"no keyframe came in the last {silent_s:.0f} s: the picture begins with the next one"
            self.notice("no_keyframe", message)
        self._windows.subscribe(recipient, owner=self)

    def _release(self) -> None:
        if self._token is not None:
            self._services.tokens.forget(self._token)
            self._token = None
        self._consent.end()

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
