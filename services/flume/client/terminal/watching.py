"""``flume watch`` as an object: one client, its sources of commands, and its view."""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from flume.client.app import Client
from flume.client.events import ClientEvent, ClientRecord
from flume.client.statistics import ClientStatistics, to_published
from flume.client.terminal.views import View
from flume.control import messages
from flume.control.session import Command
from flume.errors import FlumeError, NetworkError

STATISTICS_INTERVAL_S = 1.0
SIGNAL = "signal"
"""The reason given to :meth:`Watching.end` by a signal."""

COMMAND_END_S = 0.2
"""How long a command that is under way may take after a signal."""

SIGNAL_END_S = 1.4
"""How long the client may take to end after a signal, so that the program has ended within two seconds."""

POLL_INTERVAL_S = 0.05
"""How often the loop looks whether it has to end."""

_log = logging.getLogger(__name__)


class Watching:
    """Runs until :meth:`end` is called or *duration_s* is over."""

    def __init__(
        self,
        view: View,
        *,
        state_file: Path | None = None,
        duration_s: float | None = None,
        end_with_session: bool = False,
        statistics_interval_s: float = STATISTICS_INTERVAL_S,
        on_record: Callable[[ClientRecord], None] | None = None,
    ) -> None:
        """Show on *view*; keep the last statistics in *state_file* for health checks.

        *end_with_session*: end when the client is over, because no further command will come. *on_record* takes the
        client's record before each statistics.
        """
        self._on_record = on_record
        self._end_with_session = end_with_session
        self.failures = 0
        """How many commands were not carried out."""
        self._view = view
        self._view_lock = threading.Lock()
        self._state_file = state_file
        self._duration_s = duration_s
        self._interval_s = statistics_interval_s
        self._state_is_written = True
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
        reply: messages.Reply | FlumeError
        try:
            reply = client.send(command)
        except NetworkError as error:
            reply = error
        self.failures += isinstance(reply, FlumeError | messages.Refused)
        with self._view_lock:
            self._view.command(command, reply)
        self._show_statistics(client, final=False)

    def run(self, client: Client, starters: Sequence[Callable[[], "Stoppable"]]) -> str:
        """Watch with *client*, which is started already, and return why it ended."""
        self._client = client
        began_s = time.monotonic()
        sources: list[Stoppable] = []
        within_s = None
        try:
            if self._state_file is not None:
                write_state(self._state_file, client.statistics())  # so that a missing folder is an error at once
            sources += [starter() for starter in starters]
            reason = self._loop(client, began_s)
            within_s = SIGNAL_END_S if reason == SIGNAL else None
            return reason
        finally:
            with self._view_lock:
                self._view.ending()
            for source in sources:
                source.stop(timeout_s=COMMAND_END_S if within_s is not None else None)
            client.close(within_s=within_s)
            self._publish(client, final=True)

    def _loop(self, client: Client, began_s: float) -> str:
        due_s = began_s
        while True:
            now_s = time.monotonic()
            if self._duration_s is not None and now_s - began_s >= self._duration_s:
                return "the duration is over"
            if self._end_with_session and client.is_over:
                return "the session is over"
            if now_s >= due_s:
                self._publish(client, final=False)
                due_s = max(due_s + self._interval_s, now_s)
            with contextlib.suppress(queue.Empty):
                return self._ends.get(timeout=min(POLL_INTERVAL_S, max(0.001, due_s - time.monotonic())))

    def _show_statistics(self, client: Client, *, final: bool) -> ClientStatistics:
        statistics = client.statistics()
        with self._view_lock:
            if self._on_record is not None:
                self._on_record(client.take_record())
            self._view.statistics(statistics, final=final)
        return statistics

    def _publish(self, client: Client, *, final: bool) -> None:
        statistics = self._show_statistics(client, final=final)
        if self._state_file is not None:
            try:
                write_state(self._state_file, statistics)
            except FlumeError as error:  # a full disk: the stream goes on, and the health check sees an old file
                if self._state_is_written:
                    _log.warning("%s; tried again every second", error)
                self._state_is_written = False
            else:
                self._state_is_written = True


class Stoppable(Protocol):
    """A source of commands."""

    def stop(self, *, timeout_s: float | None = None) -> object:
        """End it; wait *timeout_s* at most for a command that is under way."""


def write_state(path: Path, statistics: ClientStatistics) -> None:
    """Replace *path* with *statistics* in one step, so that no reader sees half a file; raises :class:`FlumeError`."""
    beside = path.with_name(path.name + ".new")
    try:
        beside.write_bytes(msgspec.json.encode(to_published(statistics)))
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise FlumeError(f"cannot write the state file {path}: {error.strerror}") from error
