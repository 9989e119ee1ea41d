"""All sessions of a server: opened by a front for each control connection, within caps, and dropped with it."""

import asyncio
import itertools
import logging
from collections.abc import Callable
from typing import NamedTuple

from flume.control.endpoint import Address
from flume.control.messages import IDLE, ClientCounters, Closed, Event, ReceiverClaim, Reply
from flume.control.session import Signal, State
from flume.errors import NetworkError
from flume.server.limits.admission import Admission
from flume.server.limits.commands import CommandBudget
from flume.server.sending.tcp_delivery import FrameSink
from flume.server.sessions import replies
from flume.server.sessions.client_session import ClientSession
from flume.server.sessions.services import SessionServices
from flume.settings import ServerSettings

MOST_CLAIMS = 16
"""In one reply to ``status``, which has to fit in a line of the protocol."""

_log = logging.getLogger(__name__)


class SessionFigures(NamedTuple):
    """One session that is not closed, for those who watch the server."""

    number: int
    """Counted from 1 since the server began; no other session has had it."""
    is_active: bool
    """Whether it is being sent the stream."""
    counters: ClientCounters
    claim: ReceiverClaim | None
    """What its player reports of itself by RTCP."""


class Place:
    """What one control connection takes: its session comes with its first bytes."""

    __slots__ = ("dismiss", "peer", "session")

    def __init__(self, peer: Address, dismiss: Callable[[Reply | Event], None]) -> None:
        """Be the place of a connection from *peer*, which *dismiss* ends after a goodbye."""
        self.peer = peer
        self.dismiss = dismiss
        self.session: ClientSession | None = None


class SessionTable:
    """The sessions of all control connections. Runs on the event loop.

    A front, whatever its dialect, does this for each connection::

        session = table.open(peer, send, local_host=local_host, sink=sink)  # NetworkError: turn it away
        await session.command(Connect())                                    # for each request, in their order
        session.leaving = True                                              # as soon as the client's side ends
        await table.drop(session)
    """

    session_class: type[ClientSession] = ClientSession

    def __init__(self, services: SessionServices, *, room: Callable[[], int] = lambda: 1 << 30) -> None:
        """Give *services* to every session; *room* returns for how many there are file descriptors."""
        self.settings: ServerSettings = services.settings
        self.refused = services.refused
        self.command_budget = CommandBudget(services.settings)
        self._services = services
        self._sessions: dict[ClientSession, Place] = {}
        self._numbers = itertools.count(1)
        self._admission: Admission[Place] = Admission(services.settings, refused=services.refused, room=room)
        self.closing = False
        """Whether the server is shutting down."""

    def admit(self, peer: Address, dismiss: Callable[[Reply | Event], None]) -> Place:
        """Return a place for a new control connection from *peer*; raises :class:`NetworkError` beyond the limits.

        *dismiss* ends the connection when it has to give way to another one, after the message that it is given.
        """
        if self.closing:
            raise NetworkError("the server is shutting down")
        place = Place(peer, dismiss)
        leaver = self._admission.admit(place, peer[0])
        if leaver is not None:
            self._dismiss(leaver)
        return place

    def leave(self, place: Place) -> None:
        """The connection of *place* has ended without a session."""
        self._admission.remove(place)

    def open(
        self,
        peer: Address,
        send: Callable[[Reply | Event], None],
        *,
        local_host: str | None = None,
        sink: FrameSink | None = None,
        place: Place | None = None,
        has_tokens: bool = True,
    ) -> ClientSession:
        """Return a session for a control connection; raises :class:`NetworkError` beyond the limits without a *place*.

        See :class:`.ClientSession` for the other arguments.
        """
        if place is None:
            place = self.admit(peer, lambda _goodbye: None)
        session = self.session_class(
            self._services, peer, send, local_host=local_host, sink=sink, has_tokens=has_tokens
        )
        session.number = next(self._numbers)
        session.closing = self.closing
        session.on_settled = self._on_settled
        place.session = session
        self._sessions[session] = place
        return session

    def _on_settled(self, session: ClientSession, is_settled: bool) -> None:  # noqa: FBT001 - a state
        place = self._sessions.get(session)
        if place is not None:
            (self._admission.settle if is_settled else self._admission.unsettle)(place)

    def _dismiss(self, place: Place) -> None:
        """End the connection of *place*, which was half-open, for a newcomer."""
        state = State.CLOSED if place.session is None else place.session.state
        text = "another client needs the place of this connection, which receives nothing: goodbye"
        if state is State.CLOSED:
            place.dismiss(replies.goodbye(IDLE, text))
        else:
            place.dismiss(Closed(state=State.CLOSED, code="busy", message=text))

    async def drop(self, session: ClientSession) -> None:
        """End *session*, whose control connection has ended."""
        await session.signal(Signal.PEER_GONE)
        place = self._sessions.pop(session, None)
        if place is not None:
            self._admission.remove(place)

    @property
    def session_count(self) -> int:
        """How many sessions are not closed."""
        return sum(session.state is not State.CLOSED for session in self._sessions)

    def claims(self) -> dict[str, ReceiverClaim]:
        """Return what clients report of their reception, by number of session; of :data:`MOST_CLAIMS` at most.

        Not by address: every client may ask for this, and has no business with the addresses of others.
        """
        claims = ((session.number, session.reception.claim) for session in self._sessions)
        made = ((str(number), claim) for number, claim in claims if claim is not None)
        return dict(itertools.islice(made, MOST_CLAIMS))

    def figures(self) -> list[SessionFigures]:
        """Return the figures of all sessions that are not closed, the oldest first."""
        return [
            SessionFigures(one.number, one.state is State.ACTIVE, one.counters, one.reception.claim)
            for one in self._sessions
            if one.state is not State.CLOSED
        ]

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
