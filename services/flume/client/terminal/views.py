"""What is shown of a client: JSON lines for programs, plain lines for people."""

import contextlib
import json
import time
from collections.abc import Callable
from typing import Any, Protocol, TextIO

import msgspec

from flume.client.events import ClientEvent
from flume.client.faults import describe_faults
from flume.client.statistics import ClientStatistics
from flume.control import messages as m
from flume.control.codec import to_object
from flume.control.session import Command, State
from flume.errors import FlumeError


class View(Protocol):
    """Shows what happens. Called from several threads, one at a time."""

    def command(self, command: Command, reply: m.Reply | FlumeError) -> None:
        """*command* was answered."""

    def event(self, event: ClientEvent) -> None:
        """Something happened by itself."""

    def statistics(self, statistics: ClientStatistics, *, final: bool) -> None:
        """A new snapshot."""

    def refuse(self, message: str) -> None:
        """What came on standard input is not a command."""

    def ending(self) -> None:
        """It was asked to end; disconnecting and showing the rest takes a moment."""


class JsonView:
    """One JSON object a line: the contract with programs, and with the lab."""

    def __init__(self, stream: TextIO) -> None:
        """Write to *stream*."""
        self._stream = stream

    def _say(self, event: str, **fields: Any) -> None:
        # A reader that went away must not stop the client from ending in order.
        with contextlib.suppress(BrokenPipeError):
            self._stream.write(json.dumps({"event": event, "time_s": round(time.time(), 6), **fields}) + "\n")
            self._stream.flush()

    def command(self, command: Command, reply: m.Reply | FlumeError) -> None:
        """Say ``{"event":"command",…}`` with the reply, or with the error in its place."""
        if isinstance(reply, FlumeError):
            self._say("command", command=str(command), reply=None, error=str(reply))
            self._say("error", message=str(reply), code="not_sent")
        else:
            self._say("command", command=str(command), reply=to_object(reply))

    def event(self, event: ClientEvent) -> None:
        """Say ``state``, ``first_frame``, ``notice`` or ``error``."""
        fields = {key: value for key, value in msgspec.structs.asdict(event).items() if value is not None}
        kind = fields.pop("event")
        milliseconds = fields.pop("milliseconds", None)
        if milliseconds is not None:
            fields["join_ms" if event.command == Command.CONNECT else "resume_ms"] = milliseconds
        self._say(kind, **fields)

    def statistics(self, statistics: ClientStatistics, *, final: bool) -> None:
        """Say ``{"event":"statistics",…}``; the last one of a run has ``"final":true``."""
        self._say("statistics", **msgspec.to_builtins(statistics, str_keys=True), final=final)

    def refuse(self, message: str) -> None:
        """Say ``{"event":"error",…}``."""
        self._say("error", message=message, code="unknown_command")

    def ending(self) -> None:
        """Say nothing: the last statistics do."""


class TextView:
    """Plain lines for people and logs. While a failure lasts it is told once, however often it is tried again."""

    def __init__(self, say: Callable[[str], None], *, interval_s: float = 10.0) -> None:
        """Write lines with *say*, and the numbers every *interval_s*."""
        self._say = say
        self._interval_s = interval_s
        self._said_s = time.monotonic()
        self._failures: set[str] = set()

    def command(self, command: Command, reply: m.Reply | FlumeError) -> None:
        """One line for each command that no change of state tells of."""
        if isinstance(reply, FlumeError):
            self._fail(f"{command}: ", str(reply))
        elif isinstance(reply, m.Refused):
            self._say(f"{command}: refused: {reply.message}")
        elif isinstance(reply, m.Status):
            server = reply.server
            self._say(
                f"status: {reply.state}; server {server.source!r}, up {server.uptime_s:.0f} s, ingest {server.ingest}, "
                f"{server.active} of {server.sessions} sessions active{describe_faults(server)}"
            )
        elif self._failures:
            self._say(f"{command}: {reply.state}")

    def _fail(self, prefix: str, message: str) -> None:
        if message not in self._failures:
            self._failures.add(message)
            self._say(prefix + message)

    def event(self, event: ClientEvent) -> None:
        """One line for each event."""
        if event.event == "first_frame":
            self._say(f"first picture {event.milliseconds:.0f} ms after {event.command}")
        elif event.event == "error":
            self._fail("error: ", str(event.message))
        elif event.event != "state":
            self._say(f"{event.event}: {event.message}")
        elif event.state == State.ACTIVE:
            self._failures.clear()
            self._say(f"now {event.state}")
        elif not self._failures:
            self._say(f"now {event.state}")

    def statistics(self, statistics: ClientStatistics, *, final: bool) -> None:
        """One line from time to time, and at the end."""
        now_s = time.monotonic()
        if final or now_s - self._said_s >= self._interval_s:
            self._said_s = now_s
            self._say(summary(statistics))

    def refuse(self, message: str) -> None:
        """One line."""
        self._say(message)

    def ending(self) -> None:
        """Say nothing: it is soon over."""


def state_label(statistics: ClientStatistics) -> str:
    """Return the state as a person wants to hear it."""
    if statistics.state == State.CLOSED and statistics.wished != "closed":
        return "no session"
    return statistics.state


def summary(statistics: ClientStatistics) -> str:
    """Return the numbers that a person looks for, in one line."""
    s = statistics
    parts = [state_label(s), f"{s.datagrams} datagrams", f"{s.lost} lost", *_dropped_here(s)]
    parts += [f"{s.late} late"] if s.late else []
    parts += ["over TCP"] if s.transport == "tcp" else []
    parts += [f"jitter {s.jitter_ms:.1f} ms", f"{s.player.frames_displayed} frames"]
    if s.join_ms is not None:
        parts.append(f"join {s.join_ms:.0f} ms")
    return ", ".join(parts)


def _dropped_here(statistics: ClientStatistics) -> list[str]:
    """Tell what is not the network's. It is known at once, as a loss only when what followed has been read."""
    dropped = statistics.dropped_by_receiver
    if not dropped:
        return []
    return [f"{dropped} of them dropped here" if dropped <= statistics.lost else f"{dropped} dropped here"]
