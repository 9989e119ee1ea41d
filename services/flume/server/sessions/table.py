"""The session table: carries out what the pure session decides, for every control connection.

Everything here runs on the event loop.
"""

import asyncio
import logging
import secrets
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from flume.control import messages as m
from flume.control.session import Signal, State
from flume.errors import NetworkError
from flume.media.ring import Ring
from flume.server.sending.media_port import Address, MediaPort
from flume.server.sending.subscriptions import Subscriptions
from flume.server.sessions.client_session import ClientSession
from flume.server.sessions.echo import READ_BYTES, is_echo_request
from flume.settings import ServerSettings

TOKEN_BYTES = 16

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
        media_port: MediaPort,
        segmentation: bool,
        subscriptions: Subscriptions,
        view: ServerView,
    ) -> None:
        """Serve from *ring* over *media_port*."""
        self.settings = settings
        self.ring = ring
        self.media_port = media_port
        self.segmentation = segmentation
        self.view = view
        self.closing = False
        """Set at shutdown: no session begins any more."""
        self.subscriptions = subscriptions
        self._sessions: set[ClientSession] = set()
        self._by_address: Counter[str] = Counter()
        """How many control connections each address has."""
        self._by_token: dict[str, ClientSession] = {}
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
