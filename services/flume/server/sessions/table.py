"""The session table: carries out what the pure session decides, for every control connection.

Everything here runs on the event loop. The only meeting point with the sender thread is the roster: after a
recipient is taken off it, :meth:`SessionTable.settled` waits until the sender has let go of every older
roster, and only then is the command acknowledged.
"""

import asyncio
import logging
import secrets
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from flume.control import messages as m
from flume.control.session import Signal, State
from flume.errors import NetworkError
from flume.media.ring import Ring
from flume.server.sending.media_port import Address, MediaPort, queued_bytes
from flume.server.sending.roster import Recipient, RosterBoard
from flume.server.sending.tcp_delivery import MediaStreams, StreamRecipient
from flume.server.sessions.client_session import ClientSession
from flume.server.sessions.echo import READ_BYTES, is_echo_request
from flume.settings import ServerSettings

TOKEN_BYTES = 16

DRAIN_TIMEOUT_S = 2.5
"""How long a reply waits for datagrams that this machine holds in a queue of its own: longer than 1 MiB takes at
4 Mbit/s. For a host that was switched off they are kept about 3 s, and nobody else waits for it."""

DRAIN_BEAT_S = 0.002
_log = logging.getLogger(__name__)


class ServerView(Protocol):
    """What a ``status`` reply tells of the server as a whole."""

    def server_status(self) -> m.ServerStatus:
        """Return the present status."""


class SessionTable:
    """All sessions, their tokens and their media sockets."""

    def __init__(
        self,
        *,
        settings: ServerSettings,
        ring: Ring,
        board: RosterBoard,
        media_port: MediaPort,
        segmentation: bool,
        wake_sender: Callable[[], None],
        on_active_change: Callable[[int], None],
        view: ServerView,
    ) -> None:
        """Serve from *ring* over *media_port*; *on_active_change* hears how many receive now."""
        self.settings = settings
        self.ring = ring
        self.media_port = media_port
        self.streams = MediaStreams(ring)
        """Those who receive over TCP."""
        self.segmentation = segmentation
        self.view = view
        self.closing = False
        """Set at shutdown: no session begins any more."""
        self._board = board
        self._wake_sender = wake_sender
        self._on_active_change = on_active_change
        self._sessions: set[ClientSession] = set()
        self._by_address: Counter[str] = Counter()
        """How many control connections each address has."""
        self._by_token: dict[str, ClientSession] = {}
        self._by_recipient: dict[Recipient, ClientSession] = {}
        self._settled_generation = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()
        """Datagrams that reached the media port and were not for anybody, by reason."""

    # -- connections ---------------------------------------------------------------------------------------

    def open(self, peer: Address, send: Callable[[m.Reply | m.Event], None]) -> ClientSession:
        """Return a session for a new control connection; raises :class:`NetworkError` beyond the caps."""
        if self.closing:
            raise NetworkError("the server is shutting down")
        if len(self._sessions) >= self.settings.max_sessions:
            raise NetworkError(f"this server takes {self.settings.max_sessions} sessions and has them: try later")
        same = self._by_address[peer[0]]
        if same >= self.settings.max_sessions_per_address:
            raise NetworkError(f"{peer[0]} has {same} sessions already, which is the most for one address")
        session = self._make_session(peer, send)
        self._sessions.add(session)
        self._by_address[peer[0]] += 1
        return session

    def _make_session(self, peer: Address, send: Callable[[m.Reply | m.Event], None]) -> ClientSession:
        return ClientSession(self, peer, send)

    async def drop(self, session: ClientSession) -> None:
        """The control connection of *session* ended."""
        await session.signal(Signal.PEER_GONE)
        if session in self._sessions:
            self._sessions.remove(session)
            self._by_address[session.peer[0]] -= 1
            if not self._by_address[session.peer[0]]:
                del self._by_address[session.peer[0]]  # or it would grow with every address that ever came

    @property
    def session_count(self) -> int:
        """How many sessions are not closed."""
        return sum(session.state is not State.CLOSED for session in self._sessions)

    @property
    def active_count(self) -> int:
        """How many clients receive now."""
        return len(self._board.current.recipients) + self.streams.count

    async def signal_all(self, signal: Signal, detail: str = "") -> None:
        """Give every session *signal*."""
        sessions = tuple(self._sessions)
        results = await asyncio.gather(*(s.signal(signal, detail) for s in sessions), return_exceptions=True)
        for session, result in zip(sessions, results, strict=True):
            if isinstance(result, Exception):
                _log.error("%s to %s:%d failed", signal, *session.peer, exc_info=result)

    def sweep(self, now_s: float) -> None:
        """End sessions whose consent has expired, and say ``alive`` to the others. Called twice a second."""
        for session in tuple(self._sessions):
            if session.expires_s is not None and now_s >= session.expires_s:
                session.expires_s = None
                self.spawn_signal(session, Signal.CONSENT_EXPIRED)
            session.keep_alive(now_s)

    def spawn_signal(self, session: ClientSession, signal: Signal, *, about: socket.socket | None = None) -> None:
        """Give *session* a *signal* from a callback."""
        task = asyncio.get_running_loop().create_task(session.signal(signal, about=about), name=f"{signal}")
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the signal %s failed", task.get_name(), exc_info=error)

    # -- tokens --------------------------------------------------------------------------------------------

    def issue_token(self, session: ClientSession) -> str:
        """Return a fresh token (128 random bits, hexadecimal) that stands for *session*."""
        token = secrets.token_hex(TOKEN_BYTES)
        self._by_token[token] = session
        return token

    def forget_token(self, token: str) -> None:
        """*token* stands for nobody from now on."""
        self._by_token.pop(token, None)

    def on_newcomer(self) -> None:
        """Read what the unconnected media socket has; called by the event loop."""
        for _ in range(64):  # then let others have the loop
            try:
                data, source = self.media_port.listener.recvfrom(READ_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                _log.debug("media port: %s", error)
                return
            self.on_datagram_untrusted(data, (source[0], source[1]))

    def on_datagram_untrusted(self, data: bytes, source: Address) -> None:
        """Take a datagram that came to the media port, on whichever socket: a token, a wish for an echo, or nothing."""
        if is_echo_request(data, token_bytes=2 * TOKEN_BYTES):
            self._echo(data, source)
            return
        session = self._by_token.get(data.decode("ascii", "replace")) if len(data) == 2 * TOKEN_BYTES else None
        if session is None:
            self.counts["unknown_token"] += 1
        elif session.peer[0] != source[0]:
            self.counts["token_from_other_address"] += 1
            session.notice(
                "token_from_other_address",
                f"the token came from {source[0]}, but this control connection from {session.peer[0]}: "
                "send it from the host that receives",
            )
        else:
            session.consent(source)

    def _echo(self, data: bytes, source: Address) -> None:
        """Send *data* back to *source* if it begins with the token of a session of that host's, and at a bounded rate.

        The same bytes, so that nobody gets more than he sent; to the host that holds the token, so that nobody is
        sent what another asked for. It is neither consent nor media, and touches no state.
        """
        session = self._by_token.get(data[: 2 * TOKEN_BYTES].decode("ascii", "replace"))
        if session is None or session.peer[0] != source[0] or session.leaving:
            self.counts["echo_without_session"] += 1
        elif not session.echoes.take(time.monotonic()):
            self.counts["echo_over_rate"] += 1
        elif not self.media_port.send_back(data, source, session.local_host):
            self.counts["echo_not_sent"] += 1

    # -- the roster ----------------------------------------------------------------------------------------

    def add_recipient(self, session: ClientSession, recipient: Recipient | StreamRecipient) -> None:
        """Datagrams flow to *recipient* from the next tick on, frames from now on."""
        if isinstance(recipient, StreamRecipient):
            self.streams.add(recipient)
            self._board.set_streams(self.streams.count)
        else:
            self._by_recipient[recipient] = session
            self._board.add(recipient)
        self._on_active_change(self.active_count)
        self._wake_sender()

    async def remove_recipient(self, recipient: Recipient | StreamRecipient) -> None:
        """Return when the last datagram to *recipient* has left, or no more frame can come before what is said next.

        Left the machine: an interface that is slow and serves its flows in turn would let the reply overtake them.
        """
        if isinstance(recipient, StreamRecipient):
            self.streams.remove(recipient)
            self._board.set_streams(self.streams.count)
            self._wake_sender()
            self._on_active_change(self.active_count)
            return
        self._by_recipient.pop(recipient, None)
        roster = self._board.remove(recipient)
        self._wake_sender()
        await self.settled(roster.generation)
        self._on_active_change(self.active_count)
        await self._drained(recipient.socket)

    async def _drained(self, media: socket.socket) -> None:
        until_s = time.monotonic() + DRAIN_TIMEOUT_S
        while queued_bytes(media) and time.monotonic() < until_s:
            await asyncio.sleep(DRAIN_BEAT_S)

    async def settled(self, generation: int) -> None:
        """Wait until the sender uses no roster older than *generation*: at most one tick."""
        if self._settled_generation >= generation:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append((generation, waiter))
        await waiter

    def on_settled(self, generation: int) -> None:
        """The sender has let go of every roster older than *generation*; on the event loop."""
        self._settled_generation = max(generation, self._settled_generation)
        ready = [waiter for wanted, waiter in self._waiters if wanted <= generation]
        self._waiters = [entry for entry in self._waiters if entry[0] > generation]
        for waiter in ready:
            if not waiter.done():
                waiter.set_result(None)

    def on_sender_ended(self) -> None:
        """The sender's thread is over, in order or not: nothing is sent any more, so nobody has to wait for it."""
        self.on_settled(sys.maxsize)

    def on_refused(self, recipient: Recipient) -> None:
        """The sender saw ICMP port unreachable for *recipient*; on the event loop."""
        session = self._by_recipient.get(recipient)
        if session is not None:
            session.on_refused(recipient.socket)
