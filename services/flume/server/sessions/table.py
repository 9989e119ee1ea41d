"""All sessions of a server: opened by a front for each control connection, within caps, and dropped with it."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable

from flume.control.endpoint import Address
from flume.control.messages import Event, Reply
from flume.control.session import Signal, State
from flume.errors import NetworkError
from flume.server.sending.tcp_delivery import FrameSink
from flume.server.sessions.client_session import ClientSession
from flume.server.sessions.services import SessionServices

_log = logging.getLogger(__name__)


class SessionTable:
    """The sessions of all control connections. Runs on the event loop.

    A front, whatever its dialect, does this for each connection::

        session = table.open(peer, send, local_host=local_host, sink=sink)  # NetworkError: turn it away
        await session.command(Connect())                                    # for each request, in their order
        session.leaving = True                                              # as soon as the client's side ends
        await table.drop(session)
    """

    session_class: type[ClientSession] = ClientSession

    def __init__(self, services: SessionServices) -> None:
        """Give *services* to every session."""
        self._services = services
        self._sessions: set[ClientSession] = set()
        self._by_address: Counter[str] = Counter()
        """How many control connections each address has."""
        self.closing = False
        """Whether the server is shutting down."""

    def open(
        self,
        peer: Address,
        send: Callable[[Reply | Event], None],
        *,
        local_host: str | None = None,
        sink: FrameSink | None = None,
    ) -> ClientSession:
        """Return a session for a new control connection; raises :class:`NetworkError` beyond the caps.

        See :class:`.ClientSession` for the arguments.
        """
        settings = self._services.settings
        if self.closing:
            raise NetworkError("the server is shutting down")
        if len(self._sessions) >= settings.max_sessions:
            raise NetworkError(f"this server takes {settings.max_sessions} sessions and has them: try later")
        same = self._by_address[peer[0]]
        if same >= settings.max_sessions_per_address:
            raise NetworkError(f"{peer[0]} has {same} sessions already, which is the most for one address")
        session = self.session_class(self._services, peer, send, local_host=local_host, sink=sink)
        self._sessions.add(session)
        self._by_address[peer[0]] += 1
        return session

    async def drop(self, session: ClientSession) -> None:
        """End *session*, whose control connection has ended."""
        await session.signal(Signal.PEER_GONE)
        if session in self._sessions:
            self._sessions.remove(session)
            self._by_address[session.peer[0]] -= 1
            if not self._by_address[session.peer[0]]:
                del self._by_address[session.peer[0]]  # or the table would keep every address that ever came

    @property
    def session_count(self) -> int:
        """How many sessions are not closed."""
        return sum(session.state is not State.CLOSED for session in self._sessions)

    def begin_closing(self) -> None:
        """Refuse new sessions from now on; open sessions continue until they are signalled."""
        self.closing = True
        for session in self._sessions:
            session.closing = True

    async def signal_all(self, signal: Signal, detail: str = "") -> None:
        """Give every session *signal*, and wait until all have carried it out."""
        sessions = tuple(self._sessions)
        results = await asyncio.gather(*(s.signal(signal, detail) for s in sessions), return_exceptions=True)
        for session, result in zip(sessions, results, strict=True):
            if isinstance(result, Exception):
                _log.error("%s to %s:%d failed", signal, *session.peer, exc_info=result)

    def notice_all(self, code: str, message: str) -> None:
        """Tell every client that receives something that changes no state."""
        for session in tuple(self._sessions):
            if session.state is State.ACTIVE:
                session.notice(code, message)

    def sweep(self, now_s: float) -> None:
        """End sessions whose consent has expired, and say ``alive`` after a silence. Called four times a second."""
        for session in tuple(self._sessions):
            session.on_time(now_s)
