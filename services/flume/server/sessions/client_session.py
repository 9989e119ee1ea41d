"""One client's session: carries out what the pure session decides, on the event loop."""

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from flume.control import messages as m
from flume.control.session import Command, Effect, Session, Signal, State, allowed_commands
from flume.errors import IllegalCommandError, NetworkError
from flume.server.sending.media_port import Address
from flume.server.sending.roster import Recipient
from flume.server.sending.subscriptions import wire_bytes
from flume.server.sending.tcp_delivery import FrameSink, TcpRecipient
from flume.server.sessions.echo import EchoAllowance
from flume.server.sessions.media_path import MediaPath
from flume.settings import PayloadKind, Transport

if TYPE_CHECKING:
    from flume.server.sessions.table import SessionTable

NOTICE_INTERVAL_S = 1.0
"""A stranger's datagrams must not become a flood of notices on somebody's control connection."""

_log = logging.getLogger(__name__)

END_MESSAGES = {
    Signal.CONSENT_EXPIRED: "no datagram with the token came from {address} within {timeout_s:g} s: is UDP port {port} "
    "open from the client to the server, and does the client send the token as it is from its media socket?",
    Signal.PORT_UNREACHABLE: "the client's media port answered ICMP port unreachable: nothing listens there",
    Signal.SOURCE_ENDED: "the video is over: {detail}",
    Signal.SHUTDOWN: "the server is shutting down: {detail}",
}


class _Window:
    """What was delivered between a start and the stop that ends it, in one stretch or, if the client moved, several."""

    __slots__ = ("datagrams", "last_index")

    def __init__(self) -> None:
        self.datagrams = 0
        self.last_index: int | None = None


class ClientSession:
    """One control connection's session, with its token, media socket and window of delivery."""

    def __init__(self, table: "SessionTable", peer: Address, send: Callable[[m.Reply | m.Event], None]) -> None:
        """Begin closed; *send* queues a message on the control connection of *peer*."""
        self.peer = peer
        self.local_host: str | None = None
        """The address of this machine that the control connection was made to."""
        self.sink: FrameSink | None = None
        """The control connection as a way for media, where the client asks for them there."""
        self.leaving = False
        """The client's side of the control connection has ended: what was asked before is answered, no more begun."""
        self.expires_s: float | None = None
        self.echoes = EchoAllowance()
        self._table = table
        self._send = send
        self._session = Session()
        # Stopping waits for a tick; whatever comes meanwhile waits its turn.
        self._turn = asyncio.Lock()
        self._token: str | None = None
        self._payload: PayloadKind = "rtp"
        self._transport: Transport = "udp"
        self._path = MediaPath(table.media_port, on_datagram=table.on_datagram_untrusted, on_refused=self.on_refused)
        self._arriving: Address | None = None
        self._recipient: Recipient | TcpRecipient | None = None
        self._last_index: int | None = None
        self._window = _Window()
        self._sent = m.ClientCounters()
        self._said_s = time.monotonic()
        self._noticed_s = float("-inf")

    @property
    def state(self) -> State:
        """The present state."""
        return self._session.state

    @property
    def quiet_s(self) -> float:
        """Seconds since the server last said anything to this client."""
        return time.monotonic() - self._said_s

    # -- commands ------------------------------------------------------------------------------------------

    async def command(self, request: m.Request) -> None:
        """Carry out *request* and send its reply."""
        async with self._turn:
            command = request.command
            if command is Command.CONNECT and self._table.closing:
                self.refuse(command, "shutdown", "the server is shutting down and begins no session")
                return
            try:
                effects = self._session.feed(command)
            except IllegalCommandError as error:
                self.refuse(command, "not_allowed_now", str(error), error.allowed)
                return
            if isinstance(request, m.Connect):
                self._payload = request.payload
                self._transport = request.transport
            await self._carry_out(effects)
            recipient = self._prepare() if Effect.START in effects else None
            if recipient is not None:
                self._window = _Window()
            self.tell(self._reply(command, recipient))
            if recipient is not None:
                # After the reply: the client knows the first sequence number before it sees it.
                self._enter(recipient)
            if command is Command.CONNECT and self._transport == "tcp" and not self.leaving:
                # The connection that the client asks on is where it wants the media: no token has to prove it.
                await self._carry_out(self._session.feed(Signal.CONSENT))
                self._begin(Signal.CONSENT)

    def _reply(self, command: Command, recipient: Recipient | TcpRecipient | None) -> m.Reply:
        state = self.state
        match command:
            case Command.CONNECT:
                settings = self._table.settings
                return m.Connected(
                    state=state,
                    token=self._token or "",
                    port=self._table.media_port.port,
                    payload=self._payload,
                    ssrc=self._table.ring.ssrc,
                    token_interval_ms=round(settings.token_interval_s * 1000),
                    consent_timeout_ms=round(settings.consent_timeout_s * 1000),
                    transport=self._transport,
                )
            case Command.INTERRUPT:
                last_sequence, datagrams = self._end_window()
                return m.Interrupted(state=state, last_sequence=last_sequence, datagrams=datagrams)
            case Command.CONTINUE:
                return m.Continued(state=state, first_sequence=self._first_sequence(recipient))
            case Command.DISCONNECT:
                last_sequence, datagrams = self._end_window()
                return m.Disconnected(state=state, last_sequence=last_sequence, datagrams=datagrams)
            case Command.STATUS:
                return m.Status(state=state, session=self._counters(), server=self._table.view.server_status())

    def refuse(self, command: str | None, code: str, message: str, allowed: tuple[str, ...] | None = None) -> None:
        """Answer that a request was not carried out."""
        possible = tuple(allowed_commands(self.state)) if allowed is None else allowed
        self.tell(m.Refused(state=self.state, command=command, code=code, message=message, allowed=possible))

    # -- signals -------------------------------------------------------------------------------------------

    async def signal(self, signal: Signal, detail: str = "", *, about: socket.socket | None = None) -> None:
        """Carry out what *signal* means now; one *about* a media socket that has been replaced means nothing."""
        async with self._turn:
            moment = self._moment(signal, about)
            if moment is None:
                return
            effects = self._session.feed(moment)
            await self._carry_out(effects)
            if Effect.START in effects:
                self._begin(moment)
            if Effect.TELL in effects:
                self._say_closed(moment, detail)

    def _moment(self, signal: Signal, about: socket.socket | None) -> Signal | None:
        """Return what *signal* has become while it waited for its turn, ``None`` if it is no more news."""
        if signal is Signal.CONSENT:
            return self._arrive()
        if signal is Signal.CONSENT_EXPIRED and self.expires_s is not None:
            return None  # a token has come after all, or another session has begun
        if about is not None and about is not self._path.socket:
            return None
        return signal

    def _begin(self, signal: Signal) -> None:
        recipient = self._prepare()
        address, port = self._path.address or self.peer
        if signal is Signal.CONSENT_MOVED:
            # The same window: what was sent to the old port and did not arrive is loss, and counts as such.
            self._enter(recipient)
            return
        self._window = _Window()
        first_sequence = self._first_sequence(recipient)
        self.tell(m.Active(state=self.state, address=address, port=port, first_sequence=first_sequence))
        self._enter(recipient)

    def _say_closed(self, signal: Signal, detail: str) -> None:
        message = END_MESSAGES[signal].format(
            address=self.peer[0],
            port=self._table.media_port.port,
            timeout_s=self._table.settings.consent_timeout_s,
            detail=detail,
        )
        _log.info("%s:%d: %s", *self.peer, message)
        last_sequence, _ = self._end_window()
        self.tell(m.Closed(state=self.state, code=str(signal), message=message, last_sequence=last_sequence))

    # -- effects -------------------------------------------------------------------------------------------

    async def _carry_out(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            match effect:
                case Effect.ISSUE_TOKEN:
                    self._token = self._table.issue_token(self) if self._transport == "udp" else None
                    self._last_index = None
                    self._refresh()
                case Effect.REFRESH:
                    self._refresh()
                case Effect.MOVE:
                    self._move()
                case Effect.STOP:
                    await self._stop()
                case Effect.RELEASE:
                    self._release()
                case Effect.START | Effect.TELL:
                    pass  # the caller's: they have their place around the reply

    def _refresh(self) -> None:
        # Over TCP the connection itself tells when nobody is there any more.
        if self._transport == "udp":
            self.expires_s = time.monotonic() + self._table.settings.consent_timeout_s

    def _prepare(self) -> Recipient | TcpRecipient:
        """Return the next stretch of delivery; what it will begin with is fixed now, so that it can be named."""
        start = self._table.ring.start_after(self._last_index)
        if self._transport == "tcp" and self.sink is not None:
            return TcpRecipient(self.sink, start=start)
        if self._path.socket is None:
            raise NetworkError("no media socket: consent has not been given")
        return Recipient(self._path.socket, payload=self._payload, start=start, segmentation=self._path.segmentation)

    def _enter(self, recipient: Recipient | TcpRecipient) -> None:
        self._recipient = recipient
        self._table.subscriptions.add(recipient, owner=self)

    async def _stop(self) -> None:
        recipient, self._recipient = self._recipient, None
        if recipient is None:
            return
        await self._table.subscriptions.remove(recipient)
        self._account(recipient)

    def _account(self, recipient: Recipient | TcpRecipient) -> None:
        if recipient.last_index is not None:
            self._last_index = self._window.last_index = recipient.last_index
        if isinstance(recipient, Recipient):
            self._path.segmentation = recipient.segmentation
        self._window.datagrams += recipient.datagrams
        self._sent = self._counters(recipient)

    def _end_window(self) -> tuple[int | None, int]:
        """Return the last sequence number and the count of the window that has ended; told once, then none and 0."""
        window, self._window = self._window, _Window()
        if window.last_index is None or self._payload != "rtp":
            return None, window.datagrams
        return self._table.ring.sequence(window.last_index), window.datagrams

    def _release(self) -> None:
        self.expires_s = None
        if self._token is not None:
            self._table.forget_token(self._token)
            self._token = None
        self._arriving = None
        self._close_media()

    def _close_media(self) -> None:
        self._path.close()

    # -- consent -------------------------------------------------------------------------------------------

    def consent(self, source: Address) -> None:
        """The session's token came from *source*, a port of the client's host. Called for every repeat."""
        if self.leaving or self._table.closing:
            return
        if self.state is not State.CONNECTING and source == self._path.address:
            for effect in self._session.feed(Signal.CONSENT):
                if effect is Effect.REFRESH:
                    self._refresh()
        elif self._arriving is None:
            # It waits for its turn, and however many follow, they do not queue behind it.
            self._arriving = source
            self._table.spawn_signal(self, Signal.CONSENT)

    def _arrive(self) -> Signal | None:
        """Make a socket ready for where the token came from; return what has happened, ``None`` if nothing."""
        source, self._arriving = self._arriving, None
        if source is None or self._token is None or self.leaving:
            return None  # a late token of an ended session
        if source == self._path.address:
            return Signal.CONSENT
        moved = self._path.address is not None
        if moved and time.monotonic() - self._path.since_s < self._table.settings.token_interval_s / 2:
            # A datagram that was overtaken on its way, or two senders: the next token will tell.
            self._table.counts["token_from_other_port"] += 1
            return None
        try:
            self._path.prepare(source, self.local_host)
        except NetworkError as error:
            _log.warning("%s", error)
            self.notice("no_route", str(error))
            return None
        if moved:
            return Signal.CONSENT_MOVED
        self._use_path()
        return Signal.CONSENT

    def _move(self) -> None:
        old = self._path.address
        self._use_path()
        if old is not None and self._path.address is not None:
            self.notice("media_moved", f"the token comes from port {self._path.address[1]} now, no more from {old[1]}")

    def _use_path(self) -> None:
        self._path.use(segmentation=self._table.segmentation, payload=self._payload)

    def on_refused(self, media: socket.socket) -> None:
        """The client's host answered ICMP port unreachable to what was sent on *media*."""
        self._table.spawn_signal(self, Signal.PORT_UNREACHABLE, about=media)

    def on_writable(self) -> None:
        """The control connection has room for media again."""
        self._table.subscriptions.pump(self._recipient)

    # -- telling -------------------------------------------------------------------------------------------

    def tell(self, message: m.Reply | m.Event) -> None:
        """Queue *message* for the client."""
        self._said_s = time.monotonic()
        self._send(message)

    def notice(self, code: str, message: str) -> None:
        """Tell the client something that changes nothing, at most once a second."""
        now_s = time.monotonic()
        if now_s - self._noticed_s >= NOTICE_INTERVAL_S:
            self._noticed_s = now_s
            self.tell(m.Notice(state=self.state, code=code, message=message))

    def keep_alive(self, now_s: float) -> None:
        """Say ``alive`` when nothing else was said for a while."""
        if self.state is not State.CLOSED and now_s - self._said_s >= self._table.settings.keepalive_s:
            self.tell(m.Alive(state=self.state))

    @staticmethod
    def _fallbacks_of(window: Recipient | TcpRecipient) -> dict[str, int]:
        return dict(window.fallbacks) if isinstance(window, Recipient) else {}

    def _first_sequence(self, recipient: Recipient | TcpRecipient | None) -> int | None:
        if recipient is None or recipient.payload != "rtp":
            return None
        return self._table.ring.sequence(recipient.cursor)

    def _counters(self, recipient: Recipient | TcpRecipient | None = None) -> m.ClientCounters:
        """Return the totals of past windows and of *recipient*, or of the present one."""
        window = recipient or self._recipient
        past = msgspec.structs.replace(self._sent, transport=self._transport)
        if window is None:
            return past
        return m.ClientCounters(
            transport=self._transport,
            datagrams=past.datagrams + window.datagrams,
            bytes=past.bytes + wire_bytes(window),
            batches=past.batches + window.batches,
            # Copied first, in one step: another thread may be counting.
            drops=dict(Counter(past.drops) + Counter(dict(window.drops))),
            fallbacks=dict(Counter(past.fallbacks) + Counter(self._fallbacks_of(window))),
        )
