"""When the server was allowed to send to whom: read from the captured control bytes at its own interface.

A window opens when the *consent* datagram arrives (the token that the ``connect`` reply named, from the host of the
control connection), or when a ``continue`` arrives that is then granted; what nobody asked for opens nothing. It closes
when the reply to ``interrupt`` or ``disconnect`` leaves, when a ``closed`` event leaves, or when the control connection
ends. Within a window the media may move, once the token has come from another port of the same host: from the first
datagram to the new place on, the old one may get no more. What a program logs about itself plays no part, and neither
does the code under test: this module reads JSON objects, not our message types.

Where the client asked for media on the control connection itself, a window opens with the ``active`` event or the
reply to ``continue`` and closes with the same lines as above, each by its place in the server's bytes: frames and lines
of one connection have an order that no clock has to decide.

A connection whose beginning the capture does not hold is *unknown* until the server says that it has no session: no
verdict may rest on what its host received until then.
"""

import math
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from flume.lab.evidence.facts import END_GRACE_S, Address, Consent, ControlEnd, ControlLine, ControlStart, TapFacts


class Window(NamedTuple):
    """An interval in which datagrams may flow to *media*; ``math.inf`` where the capture ends first."""

    control: Address
    media: Address
    opened_s: float
    closed_s: float
    grace_s: float
    opened_by: str
    """connect or continue."""
    closed_by: str
    """interrupt, disconnect, closed (the server ended it), connection (it ended), or nothing."""
    first_sequence: int | None
    """The number of the first datagram, as the server announced it."""
    last_sequence: int | None
    """The number of the last datagram, as the server acknowledged it."""
    datagrams: int | None
    """This window's datagrams, as the server acknowledged them; None where no reply closed it."""
    opened_at: int | None = None
    """Over TCP: where in the server's bytes the line stands that opened it. None: over UDP."""
    closed_at: int | None = None
    """Where the line stands that closed it; None where no line did."""
    moves: tuple[tuple[float, Address], ...] = ()
    """When the media went over to which other port of the host, whose token had come from there before."""

    @property
    def places(self) -> tuple[Address, ...]:
        """Where its datagrams may go, one after the other."""
        return (self.media, *(place for _, place in self.moves))

    @property
    def stretches(self) -> tuple[tuple[Address, float, float], ...]:
        """Each of :attr:`places` with the times from which and before which datagrams may go there."""
        turns_s = [time_s for time_s, _ in self.moves]
        return tuple(zip(self.places, [self.opened_s, *turns_s], [*turns_s, math.inf], strict=True))

    @property
    def limit_s(self) -> float:
        """The last moment at which a datagram may leave."""
        return self.closed_s + self.grace_s


class CommandSeen(NamedTuple):
    """A request that reached the server, and what became of it."""

    time_s: float
    control: Address
    command: str
    answer: str | None
    answered_s: float | None


class Unknown(NamedTuple):
    """An interval in which the state of a connection is not in the capture."""

    address: str
    from_s: float
    to_s: float


class Sessions(NamedTuple):
    """All that the control bytes say."""

    windows: tuple[Window, ...]
    commands: tuple[CommandSeen, ...]
    unknown: tuple[Unknown, ...]


class _Turn(NamedTuple):
    """A datagram goes to another place of its host than the one before."""

    time_s: float
    media: Address


Event = ControlStart | ControlLine | ControlEnd | Consent | _Turn


def _events(facts: TapFacts) -> list[Event]:
    merged: list[Event] = [*facts.starts, *facts.lines, *facts.ends, *facts.consents, *_turns(facts)]
    return sorted(merged, key=lambda event: event.time_s)


def _turns(facts: TapFacts) -> Iterator[_Turn]:
    last: dict[str, Address] = {}
    for datagram in facts.media:
        if datagram.offset is None and last.get(datagram.destination[0]) != datagram.destination:
            last[datagram.destination[0]] = datagram.destination
            yield _Turn(datagram.time_s, datagram.destination)


def _number(message: dict[str, object], key: str) -> int | None:
    value = message.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


class _Connection:
    """One control connection, followed line by line."""

    def __init__(self, control: Address, *, known_since_s: float | None, seen_s: float) -> None:
        self.control = control
        self.unknown_from_s = seen_s if known_since_s is None else None
        self.token: bytes | None = None
        self.over_tcp = False
        self._asks_for_tcp = False
        self._awaits_active = False
        """Over TCP: the reply to connect was sent, and the one ``active`` that belongs to it was not."""
        self.media: Address | None = None
        self._consented: set[Address] = set()
        """Other places from which the token has come since the media went to :attr:`media`."""
        self._ended: ControlEnd | None = None
        self.open: Window | None = None
        self.windows: list[Window] = []
        self.commands: list[CommandSeen] = []
        self.unknown: list[Unknown] = []
        self._closed_s = -math.inf
        self._pending: deque[tuple[float, str]] = deque()

    def line(self, line: ControlLine) -> None:
        """Follow one line."""
        if line.to_server:
            if self._ended is not None and self._ended.by_server:
                return  # It reached nobody.
            command = line.message.get("command") if line.message else None
            self._pending.append((line.time_s, command if isinstance(command, str) else "?"))
            if command == "connect":
                self._asks_for_tcp = line.message is not None and line.message.get("transport") == "tcp"
            return
        if line.message is None:
            return
        self._end_unknown(line)
        if "reply" in line.message:
            self._reply(line.time_s, line.message, line.offset)
        elif line.message.get("event") == "active" and self._awaits_active:
            self._awaits_active = False
            self._open(line.time_s, self.control, "connect", _number(line.message, "first_sequence"), at=line.offset)
        elif line.message.get("event") == "active" and self.open is not None:
            self.open = self.open._replace(first_sequence=_number(line.message, "first_sequence"))
        elif line.message.get("event") == "closed":
            self._close(line.time_s, "closed", line.message, at=line.offset)
            self._forget()

    def _end_unknown(self, line: ControlLine) -> None:
        if self.unknown_from_s is None or line.message is None:
            return
        if line.message.get("state") not in {"closed", "connecting"}:
            return
        self._known_again(line.time_s)

    def _known_again(self, time_s: float) -> None:
        if self.unknown_from_s is not None:
            self.unknown.append(Unknown(self.control[0], self.unknown_from_s, time_s))
            self.unknown_from_s = None

    def _reply(self, time_s: float, message: dict[str, object], at: int) -> None:
        name = message["reply"]
        asked = message.get("command") if name == "error" else name
        command = asked if isinstance(asked, str) else "?"
        request = self._take(command)
        if request is None and command is not asked:
            return  # A goodbye, such as the one to an idle connection: it answers no command.
        requested_s, command = request or (time_s, command)
        answer = str(message.get("code", "error")) if name == "error" else "ok"
        self.commands.append(CommandSeen(requested_s, self.control, command, answer, time_s))
        match name:
            case "connect" | "continue" if request is None:
                pass  # Nobody asked for it, so it allows nothing.
            case "connect":
                self.token = str(message.get("token", "")).encode()
                self.media = None
                self._consented = set()
                # A server that takes the control connection without being asked opens no window by it.
                self.over_tcp = self._asks_for_tcp and message.get("transport") == "tcp"
                self._awaits_active = self.over_tcp
            case "continue" if self.over_tcp:
                self._open(time_s, self.control, "continue", _number(message, "first_sequence"), at=at)
            case "continue" if self.media is not None:
                self._open(requested_s, self.media, "continue", _number(message, "first_sequence"))
            case "interrupt":
                self._close(time_s, "interrupt", message, at=at)
            case "disconnect":
                self._close(time_s, "disconnect", message, at=at)
                self._forget()

    def _forget(self) -> None:
        """The session is over: whatever the server says next, it takes a new ``connect`` to begin one."""
        self.token = self.media = None
        self.over_tcp = self._awaits_active = False
        self._consented = set()

    def _take(self, command: str) -> tuple[float, str] | None:
        """Return the request that a reply about *command* answers, if any. Replies come in the order of requests."""
        for position, (_, pending) in enumerate(self._pending):
            if pending == command:
                found = self._pending[position]
                del self._pending[position]
                return found
        return self._pending.popleft() if command == "?" and self._pending else None

    def consent(self, consent: Consent) -> bool:
        """Follow a datagram to the media port; return whether it carried this session's token."""
        if not self.token or consent.payload != self.token or consent.client[0] != self.control[0]:
            return False
        late_s = 0.0 if self._ended is None else consent.time_s - self._ended.time_s
        if late_s > END_GRACE_S:
            return False
        if self.media is None:
            self.media = consent.client
            self._open(consent.time_s, consent.client, "connect", None)
            if self._ended is not None:  # The server may not have noticed yet that nobody is there.
                self._close(consent.time_s, "connection", {}, grace_s=END_GRACE_S - late_s)
        elif consent.client != self.media:
            self._consented.add(consent.client)
        return True

    def media_event(self, event: Consent | _Turn) -> bool:
        """Follow what happens outside of the control connection; return whether it was this session's."""
        return self.consent(event) if isinstance(event, Consent) else self.turn(event)

    def turn(self, turn: _Turn) -> bool:
        """Follow the media to another place; return whether it is one of this session's."""
        if turn.media not in self._consented:
            return False
        self.media, self._consented = turn.media, set()
        if self.open is not None:
            self.open = self.open._replace(moves=(*self.open.moves, (turn.time_s, turn.media)))
        return True

    def _open(
        self, time_s: float, media: Address, by: str, first_sequence: int | None, *, at: int | None = None
    ) -> None:
        if self.open is None:
            # A continue may stand in one segment with the interrupt before it: its window begins where that one ended.
            time_s = max(time_s, self._closed_s)
            fresh = Window(self.control, media, time_s, math.inf, 0.0, by, "nothing", first_sequence, None, None)
            self.open = fresh._replace(opened_at=at)

    def _close(
        self, time_s: float, by: str, message: dict[str, object], *, grace_s: float = 0.0, at: int | None = None
    ) -> None:
        if self.open is None:
            return
        numbers = (_number(message, "last_sequence"), _number(message, "datagrams"))
        closed = self.open._replace(closed_s=time_s, grace_s=grace_s, closed_by=by, closed_at=at)
        self.windows.append(closed._replace(last_sequence=numbers[0], datagrams=numbers[1]))
        self.open = None
        self._closed_s = time_s

    def end(self, end: ControlEnd) -> None:
        """Follow the end of the connection."""
        self._close(end.time_s, "connection", {}, grace_s=0.0 if end.by_server else END_GRACE_S)
        if end.by_server:
            self.token = None
        if self._ended is None:
            self._ended = end
        if self.unknown_from_s is not None:
            self._known_again(end.time_s)

    def finish(self, time_s: float) -> None:
        """Note what stays open: a window, requests without an answer, a state that was never named."""
        self.commands += [CommandSeen(at_s, self.control, name, None, None) for at_s, name in self._pending]
        self._pending.clear()
        self._known_again(time_s)
        if self.open is not None:
            self.windows.append(self.open)
            self.open = None


def _follow(facts: TapFacts) -> Iterator[_Connection]:
    live: dict[Address, _Connection] = {}
    for event in _events(facts):
        if isinstance(event, Consent | _Turn):
            any(connection.media_event(event) for connection in list(live.values()))
            continue
        connection = live.get(event.client)
        if isinstance(event, ControlStart):
            if connection is not None:  # The port is used again, perhaps by a host that was cut off before.
                connection.end(ControlEnd(event.time_s, event.client, by_server=False))
                connection.finish(event.time_s)
                yield connection
            live[event.client] = _Connection(event.client, known_since_s=event.time_s, seen_s=event.time_s)
        elif connection is None:
            if isinstance(event, ControlLine):
                live[event.client] = _Connection(event.client, known_since_s=None, seen_s=facts.tap.first_s)
                live[event.client].line(event)
        elif isinstance(event, ControlLine):
            connection.line(event)
        else:
            connection.end(event)
    for connection in live.values():
        connection.finish(facts.tap.last_s)
        yield connection


def reconstruct(facts: TapFacts) -> Sessions:
    """Return windows, commands and unknown intervals, each in the order of time, from the server's tap."""
    windows: list[Window] = []
    commands: list[CommandSeen] = []
    unknown: list[Unknown] = []
    for connection in _follow(facts):
        windows += connection.windows
        commands += connection.commands
        unknown += connection.unknown
    return Sessions(
        tuple(sorted(windows, key=lambda window: window.opened_s)),
        tuple(sorted(commands, key=lambda command: command.time_s)),
        tuple(unknown),
    )
