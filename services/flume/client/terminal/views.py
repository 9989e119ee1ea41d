"""What is shown of a client: JSON lines for programs, text lines for people."""

import contextlib
import json
import time
from collections.abc import Callable
from typing import Any, Protocol, TextIO

import msgspec

from flume.client.events import ClientEvent, ClientRecord
from flume.client.faults import describe_faults
from flume.client.statistics import ClientStatistics, to_published
from flume.control import messages
from flume.control.codec import to_object
from flume.control.session import Command, State
from flume.errors import FlumeError


class View(Protocol):
    """Shows commands, events and statistics. Called from several threads, one at a time."""

    def command(self, command: Command, reply: messages.Reply | FlumeError) -> None:
        """*command* was answered."""

    def event(self, event: ClientEvent) -> None:
        """Something happened without a command."""

    def statistics(self, statistics: ClientStatistics, *, final: bool) -> None:
        """A new snapshot."""

    def refuse(self, message: str) -> None:
        """A line on standard input was no command; *message* says why."""

    def ending(self) -> None:
        """The client is ending: it disconnects and lets the player finish."""


class JsonView:
    """One JSON object a line: the format that programs read, the lab among them.

    Every object has ``event`` and ``time_s`` (seconds since the epoch)::

        {"event":"state","time_s":1700000000.5,"state":"active"}
    """

    def __init__(self, stream: TextIO) -> None:
        """Write to *stream*."""
        self._stream = stream
        self._has_recorded = False

    def _write(self, event: str, **fields: Any) -> None:
        # Neither a reader that has closed its end nor a full disk may stop the client.
        with contextlib.suppress(OSError):
            self._stream.write(json.dumps({"event": event, "time_s": round(time.time(), 6), **fields}) + "\n")
            self._stream.flush()

    def command(self, command: Command, reply: messages.Reply | FlumeError) -> None:
        """Write ``command`` with the server's reply, or with the error that kept it from being sent."""
        if isinstance(reply, FlumeError):
            self._write("command", command=str(command), reply=None, error=str(reply))
            self._write("error", message=str(reply), code="not_sent")
        else:
            self._write("command", command=str(command), reply=to_object(reply))

    def event(self, event: ClientEvent) -> None:
        """Write ``state``, ``first_frame``, ``notice`` or ``error``."""
        fields = {key: value for key, value in msgspec.structs.asdict(event).items() if value is not None}
        kind = fields.pop("event")
        milliseconds = fields.pop("milliseconds", None)
        if milliseconds is not None:
            fields["join_ms" if event.command == Command.CONNECT else "resume_ms"] = milliseconds
        self._write(kind, **fields)

    def statistics(self, statistics: ClientStatistics, *, final: bool) -> None:
        """Write ``statistics``; the last ones of a run have ``"final":true``."""
        self._write("statistics", **to_published(statistics), final=final)

    def record(self, record: ClientRecord) -> None:
        """Write ``frames``, unless *record* is empty; the first one always, so that a reader knows of the record."""
        if record != ClientRecord() or not self._has_recorded:
            self._has_recorded = True
            self._write("frames", **msgspec.to_builtins(record))

    def refuse(self, message: str) -> None:
        """Write ``error``."""
        self._write("error", message=message, code="unknown_command")

    def ending(self) -> None:
        """Write nothing: the last statistics show the end."""


class TextView:
    """Text lines for people and logs. A failure that lasts is one line, however often the client tries again."""

    def __init__(self, write: Callable[[str], None], *, interval_s: float = 10.0) -> None:
        """Write lines with *write*, and a line of statistics every *interval_s*."""
        self._write = write
        self._interval_s = interval_s
        self._written_s = time.monotonic()
        self._failures: set[str] = set()

    def command(self, command: Command, reply: messages.Reply | FlumeError) -> None:
        """Write one line for each command whose result no change of state shows."""
        if isinstance(reply, FlumeError):
            self._fail(f"{command}: ", str(reply))
        elif isinstance(reply, messages.Refused):
            self._write(f"{command}: refused: {reply.message}")
        elif isinstance(reply, messages.Status):
            server = reply.server
            self._write(
                f"status: {reply.state}; server {server.source!r}, up {server.uptime_s:.0f} s, ingest {server.ingest}, "
                f"{server.active} of {server.sessions} sessions active{describe_faults(server)}"
            )
        elif self._failures:
            self._write(f"{command}: {reply.state}")

    def _fail(self, prefix: str, message: str) -> None:
        if message not in self._failures:
            self._failures.add(message)
            self._write(prefix + message)

    def event(self, event: ClientEvent) -> None:
        """Write one line for each event."""
        if event.event == "first_frame":
            self._write(f"first picture {event.milliseconds:.0f} ms after {event.command}")
        elif event.event == "error":
            self._fail("error: ", str(event.message))
        elif event.event != "state":
            self._write(f"{event.event}: {event.message}")
        elif event.state == State.ACTIVE:
            self._failures.clear()
            self._write(f"now {event.state}")
        elif not self._failures:
            self._write(f"now {event.state}")

    def statistics(self, statistics: ClientStatistics, *, final: bool) -> None:
        """Write one line at each interval, and at the end."""
        now_s = time.monotonic()
        if final or now_s - self._written_s >= self._interval_s:
            self._written_s = now_s
            self._write(summary(statistics))

    def refuse(self, message: str) -> None:
        """Write one line."""
        self._write(message)

    def ending(self) -> None:
        """Write nothing: the last statistics follow soon."""


def state_label(statistics: ClientStatistics) -> str:
    """Return the session's state for people: ``no session`` where one is desired and there is none."""
    if statistics.state == State.CLOSED and statistics.desired != "closed":
        return "no session"
    return statistics.state


def summary(statistics: ClientStatistics) -> str:
    """Return the most important counters in one line, for people."""
    s = statistics
    parts = [state_label(s), f"{s.datagrams} datagrams", f"{s.lost} lost", *_dropped_here(s)]
    parts += [f"{s.late} late"] if s.late else []
    parts += ["over TCP"] if s.transport == "tcp" else []
    parts += [f"jitter {s.jitter_ms:.1f} ms", f"{s.player.frames_displayed} frames"]
    if s.join_ms is not None:
        parts.append(f"join {s.join_ms:.0f} ms")
    return ", ".join(parts)


def _dropped_here(statistics: ClientStatistics) -> list[str]:
    """Return what this host dropped itself. It is known at once, but part of *lost* only after later numbers came."""
    dropped = statistics.dropped_by_receiver
    if not dropped:
        return []
    return [f"{dropped} of them dropped here" if dropped <= statistics.lost else f"{dropped} dropped here"]
