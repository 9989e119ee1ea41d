"""``flume watch`` as an object: one client, its sources of commands, and what is shown of it."""

import contextlib
import json
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

import msgspec

from flume.client.app import Client
from flume.client.events import ClientEvent
from flume.client.statistics import ClientStatistics
from flume.control import messages as m
from flume.control.session import Command
from flume.errors import FlumeError, NetworkError

STATISTICS_INTERVAL_S = 1.0
FRAME_POLL_S = 0.05
"""How often the awaited first frame is looked for; its time is the player's own, so this is no error of it."""


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
            self._say("command", command=str(command), reply=msgspec.to_builtins(reply))

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


class TextView:
    """Plain lines for people and logs; *quiet* leaves out the statistics but the last."""

    def __init__(self, say: Callable[[str], None], *, interval_s: float = 10.0) -> None:
        """Write lines with *say*, and the numbers every *interval_s*."""
        self._say = say
        self._interval_s = interval_s
        self._said_s = float("-inf")

    def command(self, command: Command, reply: m.Reply | FlumeError) -> None:
        """One line for each command."""
        if isinstance(reply, FlumeError):
            self._say(f"{command}: {reply}")
        elif isinstance(reply, m.Refused):
            self._say(f"{command}: refused: {reply.message}")
        elif isinstance(reply, m.Status):
            server = reply.server
            self._say(
                f"status: {reply.state}; server {server.source!r}, up {server.uptime_s:.0f} s, ingest {server.ingest}, "
                f"{server.active} of {server.sessions} sessions active"
            )
        else:
            self._say(f"{command}: {reply.state}")

    def event(self, event: ClientEvent) -> None:
        """One line for each event."""
        if event.event == "first_frame":
            self._say(f"first picture {event.milliseconds:.0f} ms after {event.command}")
        elif event.event == "state":
            self._say(f"now {event.state}")
        else:
            self._say(f"{event.event}: {event.message}")

    def statistics(self, statistics: ClientStatistics, *, final: bool) -> None:
        """One line from time to time, and at the end."""
        now_s = time.monotonic()
        if final or now_s - self._said_s >= self._interval_s:
            self._said_s = now_s
            self._say(summary(statistics))

    def refuse(self, message: str) -> None:
        """One line."""
        self._say(message)


def summary(statistics: ClientStatistics) -> str:
    """Return the numbers that a person looks for, in one line."""
    s = statistics
    parts = [s.state, f"{s.datagrams} datagrams", f"{s.lost} lost"]
    parts += [f"{count} {name}" for name, count in (("late", s.late), ("dropped here", s.dropped_by_receiver)) if count]
    parts += [f"jitter {s.jitter_ms:.1f} ms", f"{s.player.frames_displayed} frames"]
    if s.join_ms is not None:
        parts.append(f"join {s.join_ms:.0f} ms")
    return ", ".join(parts)


class Watching:
    """Runs until :meth:`end` is called or *duration_s* is over."""

    def __init__(
        self,
        view: View,
        *,
        state_file: Path | None = None,
        duration_s: float | None = None,
        statistics_interval_s: float = STATISTICS_INTERVAL_S,
    ) -> None:
        """Show on *view*; keep the last statistics in *state_file* for health checks."""
        self._view = view
        self._view_lock = threading.Lock()
        self._state_file = state_file
        self._duration_s = duration_s
        self._interval_s = statistics_interval_s
        # SimpleQueue.put is reentrant: signal handlers may call it.
        self._ends: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._client: Client | None = None

    def end(self, reason: str = "asked") -> None:
        """Let :meth:`run` return soon; may be called from signal handlers and any thread."""
        self._ends.put(reason)

    def on_event(self, event: ClientEvent) -> None:
        """Show what the client reports."""
        with self._view_lock:
            self._view.event(event)

    def refuse(self, message: str) -> None:
        """Show that the input was no command."""
        with self._view_lock:
            self._view.refuse(message)

    def run_command(self, command: Command) -> None:
        """Carry out *command*, then show its reply and the statistics after it."""
        client = self._client
        if client is None:
            return
        reply: m.Reply | FlumeError
        try:
            reply = client.send(command)
        except NetworkError as error:
            reply = error
        with self._view_lock:
            self._view.command(command, reply)
            self._view.statistics(client.statistics(), final=False)

    def run(self, client: Client, starters: Sequence[Callable[[], "Stoppable"]]) -> str:
        """Watch with *client*, which is started already, and return why it ended."""
        self._client = client
        began_s = time.monotonic()
        sources = [starter() for starter in starters]
        try:
            return self._loop(client, began_s)
        finally:
            for source in sources:
                source.stop()
            client.close()
            self._publish(client, final=True)

    def _loop(self, client: Client, began_s: float) -> str:
        due_s = began_s
        while True:
            now_s = time.monotonic()
            if self._duration_s is not None and now_s - began_s >= self._duration_s:
                return "the duration is over"
            if now_s >= due_s:
                self._publish(client, final=False)
                due_s = max(due_s + self._interval_s, now_s)
            else:
                client.poll_frame()
            with contextlib.suppress(queue.Empty):
                return self._ends.get(timeout=min(FRAME_POLL_S, max(0.001, due_s - time.monotonic())))

    def _publish(self, client: Client, *, final: bool) -> None:
        statistics = client.statistics()
        with self._view_lock:
            self._view.statistics(statistics, final=final)
        if self._state_file is not None:
            write_state(self._state_file, statistics)


class Stoppable(Protocol):
    """A source of commands."""

    def stop(self) -> object:
        """End it."""


def write_state(path: Path, statistics: ClientStatistics) -> None:
    """Replace *path* with *statistics* in one step, so that no reader sees half of it."""
    beside = path.with_name(path.name + ".new")
    try:
        beside.write_bytes(msgspec.json.encode(statistics))
        beside.replace(path)
    except OSError as error:
        raise FlumeError(f"cannot write the state file {path}: {error.strerror}") from error


def standard_output() -> TextIO:
    """Return the stream for events."""
    return sys.stdout
