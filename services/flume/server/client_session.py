"""One client's session: carries out what the pure session decides, on the event loop."""

import asyncio
import contextlib
import logging
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from flume.control import messages as m
from flume.control.session import Command, Effect, Session, Signal, State, allowed_commands
from flume.errors import IllegalCommandError, NetworkError
from flume.server.fanout import wire_bytes
from flume.server.media_port import Address, enable_segmentation
from flume.server.roster import Recipient
from flume.settings import PayloadKind

if TYPE_CHECKING:
    from flume.server.sessions import SessionTable

NOTICE_INTERVAL_S = 1.0
"""A stranger's datagrams must not become a flood of notices on somebody's control connection."""

_log = logging.getLogger(__name__)

END_MESSAGES = {
    Signal.CONSENT_EXPIRED: "no datagram with the token came from {address} within {timeout_s:g} s: is UDP port {port} "
    "open from the client to the server, and does the client send the token as it is from its media socket?",
    Signal.PORT_UNREACHABLE: "the client's media port answered ICMP port unreachable: nothing listens there",
    Signal.SOURCE_ENDED: "the video is over: {detail}",
    Signal.SHUTDOWN: "the server is shutting down",
}


class ClientSession:
    """One control connection's session, with its token, media socket and window of delivery."""

    def __init__(self, table: "SessionTable", peer: Address, send: Callable[[m.Reply | m.Event], None]) -> None:
        """Begin closed; *send* queues a message on the control connection of *peer*."""
        self.peer = peer
        self.media_address: Address | None = None
        self.expires_s: float | None = None
        self._table = table
        self._send = send
        self._session = Session()
        # Stopping waits for a tick; whatever comes meanwhile waits its turn.
        self._turn = asyncio.Lock()
        self._token: str | None = None
        self._payload: PayloadKind = "rtp"
        self._media: socket.socket | None = None
        self._connected_to: Address | None = None
        self._segmentation = False
        self._recipient: Recipient | None = None
        self._last_index: int | None = None
        self._window_datagrams = 0
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
            command = m.command_of(request)
            try:
                effects = self._session.feed(command)
            except IllegalCommandError as error:
                self.refuse(command, "not_allowed_now", str(error), error.allowed)
                return
            if isinstance(request, m.Connect):
                self._payload = request.payload
            recipient = self._prepare() if Effect.START in effects else None
            await self._carry_out(effects)
            self.tell(self._reply(command, recipient))
            if recipient is not None:
                # After the reply: the client knows the first sequence number before it sees it.
                self._enter(recipient)

    def _reply(self, command: Command, recipient: Recipient | None) -> m.Reply:
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
                )
            case Command.INTERRUPT:
                return m.Interrupted(state=state, last_sequence=self._last_sequence(), datagrams=self._window_datagrams)
            case Command.CONTINUE:
                return m.Continued(state=state, first_sequence=self._first_sequence(recipient))
            case Command.DISCONNECT:
                return m.Disconnected(
                    state=state, last_sequence=self._last_sequence(), datagrams=self._window_datagrams
                )
            case Command.STATUS:
                return m.Status(state=state, session=self._counters(), server=self._table.view.server_status())

    def refuse(self, command: str | None, code: str, message: str, allowed: tuple[str, ...] | None = None) -> None:
        """Answer that a request was not carried out."""
        possible = tuple(allowed_commands(self.state)) if allowed is None else allowed
        self.tell(m.Refused(state=self.state, command=command, code=code, message=message, allowed=possible))

    # -- signals -------------------------------------------------------------------------------------------

    async def signal(self, signal: Signal, detail: str = "") -> None:
        """Carry out what *signal* means now."""
        async with self._turn:
            if signal is Signal.CONSENT and not self._open_media():
                return
            effects = self._session.feed(signal)
            recipient = self._prepare() if Effect.START in effects else None
            await self._carry_out(effects)
            if recipient is not None and self._connected_to is not None:
                address, port = self._connected_to
                self.tell(
                    m.Active(
                        state=self.state,
                        address=address,
                        port=port,
                        first_sequence=self._first_sequence(recipient),
                    )
                )
                self._enter(recipient)
            if Effect.TELL in effects:
                self._say_closed(signal, detail)

    def _say_closed(self, signal: Signal, detail: str) -> None:
        message = END_MESSAGES[signal].format(
            address=self.peer[0],
            port=self._table.media_port.port,
            timeout_s=self._table.settings.consent_timeout_s,
            detail=detail,
        )
        _log.info("%s:%d: %s", *self.peer, message)
        self.tell(m.Closed(state=self.state, code=str(signal), message=message, last_sequence=self._last_sequence()))

    # -- effects -------------------------------------------------------------------------------------------

    async def _carry_out(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            match effect:
                case Effect.ISSUE_TOKEN:
                    self._token = self._table.issue_token(self)
                    self._last_index = None
                    self._refresh()
                case Effect.REFRESH:
                    self._refresh()
                case Effect.STOP:
                    await self._stop()
                case Effect.RELEASE:
                    self._release()
                case Effect.START | Effect.TELL:
                    pass  # the caller's: they have their place around the reply

    def _refresh(self) -> None:
        self.expires_s = time.monotonic() + self._table.settings.consent_timeout_s

    def _prepare(self) -> Recipient:
        """Return the next window of delivery; what it will begin with is fixed now, so that it can be named."""
        if self._media is None:
            raise NetworkError("no media socket: consent has not been given")
        self._window_datagrams = 0
        start = self._table.ring.start_after(self._last_index)
        return Recipient(self._media, payload=self._payload, start=start, segmentation=self._segmentation)

    def _enter(self, recipient: Recipient) -> None:
        self._recipient = recipient
        self._table.add_recipient(self, recipient)

    async def _stop(self) -> None:
        recipient, self._recipient = self._recipient, None
        if recipient is None:
            return
        await self._table.remove_recipient(recipient)
        self._account(recipient)

    def _account(self, recipient: Recipient) -> None:
        if recipient.last_index is not None:
            self._last_index = recipient.last_index
        self._segmentation = recipient.segmentation
        self._window_datagrams = recipient.datagrams
        self._sent = self._counters(recipient)

    def _release(self) -> None:
        self.expires_s = None
        if self._token is not None:
            self._table.forget_token(self._token)
            self._token = None
        self._close_media()

    # -- the media socket ----------------------------------------------------------------------------------

    def _open_media(self) -> bool:
        """Make sure that a socket is connected to where the token came from; ``False`` if that is no more news."""
        address = self.media_address
        if self._token is None or address is None:
            return False  # a late token of an ended session
        if self._media is not None:
            return True
        try:
            media = self._table.media_port.open_for(address)
        except NetworkError as error:
            self.notice("no_route", str(error))
            return False
        self._segmentation = self._table.segmentation and enable_segmentation(media, self._payload)
        self._media, self._connected_to = media, address
        asyncio.get_running_loop().add_reader(media, self._on_media, media)
        return True

    def _on_media(self, media: socket.socket) -> None:
        try:
            data, source = media.recvfrom(2048)
        except BlockingIOError:
            return
        except ConnectionRefusedError:
            self._table.spawn_signal(self, Signal.PORT_UNREACHABLE)
            return
        except OSError as error:
            _log.debug("media socket of %s: %s", self.peer[0], error)
            return
        # Between bind and connect the socket hears anybody: check the sender as well.
        if (source[0], source[1]) == self._connected_to and data.decode("ascii", "replace") == self._token:
            self._table.spawn_signal(self, Signal.CONSENT)

    def _close_media(self) -> None:
        if self._media is not None:
            with contextlib.suppress(ValueError):
                asyncio.get_running_loop().remove_reader(self._media)
            self._media.close()
        self._media = None
        self._connected_to = None
        self.media_address = None

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

    def _first_sequence(self, recipient: Recipient | None) -> int | None:
        if recipient is None or recipient.payload != "rtp":
            return None
        return self._table.ring.sequence(recipient.cursor)

    def _last_sequence(self) -> int | None:
        if self._last_index is None or self._payload != "rtp":
            return None
        return self._table.ring.sequence(self._last_index)

    def _counters(self, recipient: Recipient | None = None) -> m.ClientCounters:
        """Return the totals of past windows and of *recipient*, or of the present one."""
        window = recipient or self._recipient
        if window is None:
            return self._sent
        past = self._sent
        return m.ClientCounters(
            datagrams=past.datagrams + window.datagrams,
            bytes=past.bytes + wire_bytes(window),
            batches=past.batches + window.batches,
            drops=dict(Counter(past.drops) + window.drops),
        )
