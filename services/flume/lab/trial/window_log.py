"""The active windows of one control connection, while it is followed. Pure."""

import math
from collections import deque

from flume.lab.evidence.facts import Command, Endpoint, Event, Reply
from flume.lab.trial.windows import ActiveWindow, PathSwitch


class WindowLog:
    """Opens and closes windows, one at a time."""

    def __init__(self, control: Endpoint) -> None:
        """Begin without a window, for the connection whose client's end is *control*."""
        self._control = control
        self._open: ActiveWindow | None = None
        self._closed_s = -math.inf
        self.windows: list[ActiveWindow] = []
        """Those that have ended, in their order."""

    @property
    def opened_s(self) -> float:
        """When the window opened that is open; minus infinity without one."""
        return -math.inf if self._open is None else self._open.opened_s

    def open(self, time_s: float, media: Endpoint, by: str, *, first: int | None = None, at: int | None = None) -> None:
        """Open a window by the command *by*, unless one is open.

        *first* is the announced number of its first datagram. *at* is the position of the opening message: over TCP.
        """
        if self._open is None:
            # A continue may come in one segment with the interrupt before it: its window begins where that one ended.
            from_s = max(time_s, self._closed_s)
            self._open = ActiveWindow(
                self._control, media, from_s, math.inf, 0.0, by, "nothing", first_sequence=first, opened_at=at
            )

    def announce(self, first_sequence: int | None) -> None:
        """Note the number of the open window's first datagram."""
        if self._open is not None:
            self._open = self._open._replace(first_sequence=first_sequence)

    def switch(self, switch: PathSwitch) -> None:
        """Let the open window go on at another endpoint."""
        if self._open is not None:
            self._open = self._open._replace(switches=(*self._open.switches, switch))

    def close_by(self, message: Reply | Event, by: str) -> None:
        """Close the open window, if any, with *message* of the server."""
        self._close(message.time_s, by, message=message)

    def close_with_connection(self, time_s: float, *, grace_s: float) -> None:
        """Close the open window, if any: the connection ends, which the server may notice *grace_s* later."""
        self._close(time_s, "connection", grace_s=grace_s)

    def close_without_consent(self, expired_s: float, *, grace_s: float) -> None:
        """Close the open window, if any: consent expired at *expired_s*, which the server notices within *grace_s*."""
        if self._open is not None:  # A window that a late "continue" opened is short, or has no end before its begin.
            closed_s = max(expired_s, self._open.opened_s)
            self._close(closed_s, "consent", grace_s=expired_s + grace_s - closed_s)

    def _close(self, time_s: float, by: str, *, grace_s: float = 0.0, message: Reply | Event | None = None) -> None:
        if self._open is None:
            return
        closed = self._open._replace(closed_s=time_s, grace_s=grace_s, closed_by=by)
        if message is not None:
            closed = closed._replace(
                closed_at=message.offset, last_sequence=message.last_sequence, datagrams=message.datagrams
            )
        self.windows.append(closed)
        self._open, self._closed_s = None, time_s

    def finish(self) -> None:
        """Add the window that is still open at the end of the capture."""
        if self._open is not None:
            self.windows.append(self._open)
            self._open = None


class RequestQueue:
    """The commands of one connection that have no answer yet. The server answers them in their order."""

    def __init__(self) -> None:
        """Begin without a command."""
        self._pending: deque[Command] = deque()

    def add(self, command: Command) -> None:
        """Take a command that reached the server."""
        self._pending.append(command)

    def take(self, name: str | None) -> Command | None:
        """Remove and return the command that a reply about *name* answers; None where there is no such command.

        A reply that names no command (*name* is None) answers bytes that are no request, or else the oldest command.
        """
        wanted = "?" if name is None else name
        for position, command in enumerate(self._pending):
            if command.name == wanted:
                del self._pending[position]
                return command
        return self._pending.popleft() if wanted == "?" and self._pending else None

    def take_all(self) -> list[Command]:
        """Remove and return all commands, in their order."""
        commands = list(self._pending)
        self._pending.clear()
        return commands
