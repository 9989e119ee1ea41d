"""Follows one control connection: which of its commands and replies open and close windows. Pure.

A window opens when the *consent* datagram arrives (the token that the reply to ``connect`` named, from the host of the
control connection), or when a ``continue`` arrives that is then granted. A reply without a request opens nothing. The
window closes when the reply to ``interrupt`` or ``disconnect`` leaves, when a ``closed`` event leaves, or when the
control connection ends. Within a window the media may switch to another port of the same host, once the token has come
from there: from the first datagram to the new endpoint on, the old one may get no more.

Over TCP, where the client asked for the media on the control connection itself, a window opens with the ``active``
event or the reply to ``continue``. It closes with the same messages as above. Each counts by its position in the
server's bytes: the order of frames and messages on one connection needs no clock.

Consent expires (RFC 7675): when no token has come for as long as the reply to ``connect`` says, the session is over,
and its window with it. A window whose port sends no token any more, while another port of the host does, goes on there.

A connection whose beginning the capture does not hold is *unknown* until the server says that it has no session: no
verdict may rest on what its host received until then.
"""

import math

from flume.lab.evidence.facts import END_GRACE_S, Command, Consent, ControlEnd, Endpoint, Event, Reply
from flume.lab.trial.window_log import RequestQueue, WindowLog
from flume.lab.trial.windows import ActiveWindow, CommandOutcome, PathSwitch, UnknownInterval
from flume.settings import CONSENT_TIMEOUT_S


class _Session:
    """Where the media of one session may go, from ``connect`` to its end."""

    def __init__(
        self,
        *,
        token: bytes = b"",
        over_tcp: bool = False,
        asked_s: float = 0.0,
        consent_timeout_s: float = CONSENT_TIMEOUT_S,
        named: Endpoint | None = None,
    ) -> None:
        """Begin with the *token* of the reply to ``connect``; empty over TCP, and where there is no session.

        *asked_s* is the time of that reply. *consent_timeout_s* is what it says. *named* is the endpoint that a reply
        without a token names. Such a session lasts as long as its connection. Any datagram from the client's host
        consents to its port, unless the port is that of another session.
        """
        self.token = token
        self.named = named
        self.over_tcp = over_tcp
        self.awaits_active = over_tcp
        """Over TCP: the ``active`` that belongs to the reply to ``connect`` has not been sent yet."""
        self.has_begun = False
        """Whether a window has opened: the first one of a session is that of its ``connect``, whatever opened it."""
        self.media: Endpoint | None = named
        self._moved_s = self._asked_s = asked_s
        self._timeout_s = consent_timeout_s
        self._tokens_s: dict[Endpoint, float] = {}
        """When the last token came from each endpoint."""

    def consent(self, endpoint: Endpoint, time_s: float) -> None:
        """Take a token from *endpoint*."""
        self._tokens_s[endpoint] = time_s

    def move(self, endpoint: Endpoint, time_s: float) -> None:
        """Let the media go to *endpoint*."""
        self.media, self._moved_s = endpoint, time_s

    def may_move_to(self, endpoint: Endpoint, time_s: float) -> bool:
        """Whether the token has come from *endpoint* since the media were moved, and its consent lasts at *time_s*."""
        token_s = self._tokens_s.get(endpoint, -math.inf)
        lasts = time_s <= token_s + self._timeout_s + END_GRACE_S
        return endpoint != self.media and token_s >= self._moved_s and lasts

    @property
    def newest(self) -> Endpoint | None:
        """From where the last token came; None before the first."""
        return max(self._tokens_s, key=self._tokens_s.__getitem__, default=None)

    def expires_s(self, endpoint: Endpoint | None) -> float:
        """Return when the consent of *endpoint* expires; for None, the time until which a first token must come."""
        if not self.token:
            return math.inf
        given_s = self._asked_s if endpoint is None else self._tokens_s[endpoint]
        return given_s + self._timeout_s

    def is_over(self, time_s: float) -> bool:
        """Whether no endpoint consents at *time_s*, and the server has had the time to notice."""
        return time_s > self.expires_s(self.newest) + END_GRACE_S


class ConnectionFollower:
    """One control connection, message by message. What it found is in its public lists after :meth:`finish`."""

    def __init__(self, control: Endpoint, *, unknown_from_s: float | None = None) -> None:
        """Begin with the client's end *control*; *unknown_from_s*: the capture does not hold the beginning."""
        self.control = control
        self.commands: list[CommandOutcome] = []
        self.unknown: list[UnknownInterval] = []
        self._unknown_from_s = unknown_from_s
        self._windows = WindowLog(control)
        self._requests = RequestQueue()
        self._session = _Session()
        self._asks_over_tcp = False
        """What the last ``connect`` asked for."""
        self._ended: ControlEnd | None = None

    @property
    def windows(self) -> list[ActiveWindow]:
        """The windows that have ended, in their order."""
        return self._windows.windows

    # -- the control connection

    def command(self, command: Command) -> None:
        """Follow a command. One that comes after the server's own end does not reach the server."""
        self._follow_consent(command.time_s)
        if self._ended is not None and self._ended.by_server:
            return
        self._requests.add(command)
        if command.name == "connect":
            self._asks_over_tcp = command.over_tcp

    def reply(self, reply: Reply) -> None:
        """Follow a reply."""
        self._follow_consent(reply.time_s)
        self._learn(reply.time_s, reply.state)
        request = self._requests.take(reply.command)
        if request is None and reply.command is None:
            return  # A goodbye, such as the one to an idle connection: it answers no command.
        name = request.name if request is not None else str(reply.command)
        asked_s = request.time_s if request is not None else reply.time_s
        is_grant = reply.refusal is None and reply.command is not None
        answer = "ok" if is_grant else reply.refusal or "no_command"
        over_tcp = request is not None and request.over_tcp
        self.commands.append(CommandOutcome(asked_s, self.control, name, answer, reply.time_s, over_tcp))
        if is_grant:
            self._granted(request, reply)
        if reply.refusal is None or reply.is_unclear:
            self._stopped(name, reply)

    def event(self, event: Event) -> None:
        """Follow an event."""
        self._follow_consent(event.time_s)
        self._learn(event.time_s, event.state)
        if event.name == "active" and self._session.awaits_active:
            self._session.awaits_active = False
            self._open(event, event.time_s, self.control, "connect")
        elif event.name == "active":
            self._windows.announce(event.first_sequence)
        elif event.name == "closed":
            self._windows.close_by(event, "closed")
            self._session = _Session()

    def _granted(self, request: Command | None, reply: Reply) -> None:
        """Follow a command that was granted. A grant without a *request* opens nothing."""
        match reply.command:
            case "connect" if request is not None:
                # A server that puts media on the control connection without being asked opens no window by it.
                self._session = _Session(
                    token=reply.token or b"",
                    over_tcp=self._asks_over_tcp and reply.over_tcp,
                    asked_s=reply.time_s,
                    consent_timeout_s=reply.consent_timeout_s or CONSENT_TIMEOUT_S,
                    named=None if reply.over_tcp else reply.media,
                )
            case "continue" if request is not None:
                by = "continue" if self._session.has_begun else "connect"
                if self._session.over_tcp:
                    self._open(reply, reply.time_s, self.control, by)
                elif self._session.media is not None:
                    self._open(reply, request.time_s, self._session.media, by)

    def _stopped(self, command: str, reply: Reply) -> None:
        """Follow an answer that the client may take for the end of its window, with or without a request."""
        if command in {"interrupt", "disconnect"}:
            self._windows.close_by(reply, command)
        if command == "disconnect":
            self._session = _Session()

    def _open(self, message: Reply | Event | Consent, time_s: float, media: Endpoint, by: str) -> None:
        """Open a window at *time_s* because of *message*, and close it again where the connection has ended already."""
        late_s = self._late_s(message.time_s)
        if late_s > END_GRACE_S:
            return
        self._session.has_begun = True
        if isinstance(message, Consent):
            self._windows.open(time_s, media, by)
        else:
            at = message.offset if self._session.over_tcp else None
            self._windows.open(time_s, media, by, first=message.first_sequence, at=at)
        if self._ended is not None:  # The server may not have noticed yet that the client has left.
            self._windows.close_with_connection(message.time_s, grace_s=END_GRACE_S - late_s)

    # -- outside of it

    @property
    def names_port(self) -> bool:
        """Whether the session has a port that its client has named, and no token."""
        return self._session.named is not None

    @property
    def opened_s(self) -> float:
        """When the window opened that is open; minus infinity without one."""
        return self._windows.opened_s

    def is_live(self, time_s: float) -> bool:
        """Whether the session may have media at *time_s*. Without a token it ends with its connection."""
        if self.names_port and self._ended is not None:
            return False
        return not self._session.is_over(time_s) and self._late_s(time_s) <= END_GRACE_S

    def has_token(self, payload: bytes) -> bool:
        """Whether *payload* is the token of the session."""
        return bool(self._session.token) and payload == self._session.token

    def receives_at(self, endpoint: Endpoint) -> bool:
        """Whether the media of the session go to *endpoint*, or would if its window were open.

        A paused player is still at its port. Its datagrams are not those of another player at its address.
        """
        return endpoint == self._session.media

    def has_named(self, endpoint: Endpoint) -> bool:
        """Whether the client has named *endpoint*."""
        return endpoint == self._session.named

    def may_move(self, switch: PathSwitch) -> bool:
        """Whether the media may go where those of *switch* go, and do not yet."""
        return self._session.may_move_to(switch.media, switch.time_s)

    def media_event(self, event: Consent | PathSwitch) -> None:
        """Follow a token that reached the media port, or media that go to another endpoint."""
        self._follow_consent(event.time_s)
        session = self._session
        if isinstance(event, PathSwitch):
            session.move(event.media, event.time_s)
            self._windows.switch(event)
            return
        session.consent(event.client, event.time_s)
        if session.media is None:
            session.move(event.client, event.time_s)
            self._open(event, event.time_s, event.client, "connect")

    def _follow_consent(self, time_s: float) -> None:
        """End the session if its consent has expired at *time_s*, or move it to the endpoint that consents."""
        session = self._session
        if session.is_over(time_s):
            self._windows.close_without_consent(session.expires_s(session.newest), grace_s=END_GRACE_S)
            self._session = _Session()
        elif session.media is not None and session.newest is not None:
            limit_s = session.expires_s(session.media) + END_GRACE_S
            if time_s > limit_s:
                session.media = session.newest
                self._windows.switch(PathSwitch(limit_s, session.newest))

    def _late_s(self, time_s: float) -> float:
        return 0.0 if self._ended is None else time_s - self._ended.time_s

    # -- its end

    def end(self, end: ControlEnd) -> None:
        """Follow the end of the connection."""
        self._follow_consent(end.time_s)
        self._windows.close_with_connection(end.time_s, grace_s=0.0 if end.by_server else END_GRACE_S)
        if end.by_server:
            self._session = _Session()
        if self._ended is None:
            self._ended = end
        self._end_unknown(end.time_s)

    def finish(self, time_s: float) -> None:
        """Note what stays open at *time_s*: a window, commands without an answer, a state that was never named."""
        self._follow_consent(time_s)
        self.commands += [
            CommandOutcome(command.time_s, self.control, command.name, None, None)
            for command in self._requests.take_all()
        ]
        self._end_unknown(time_s)
        self._windows.finish()

    def _learn(self, time_s: float, state: str | None) -> None:
        """Take the state that the server names. Without a session there, nothing is unknown any more."""
        if state in {"closed", "connecting"}:
            self._end_unknown(time_s)

    def _end_unknown(self, time_s: float) -> None:
        if self._unknown_from_s is not None:
            self.unknown.append(UnknownInterval(self.control[0], self._unknown_from_s, time_s))
            self._unknown_from_s = None
