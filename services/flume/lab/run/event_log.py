"""The standard output of a container as a log of events: one JSON object a line, the latest of each kind kept.

The engine's threads bring the lines. The runner waits for an event, never for time to pass.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from flume.errors import LabError
from flume.untrusted_json import decode_untrusted

_LAST_LINES = 5
KEPT = frozenset({"frames"})
"""Kinds of which every event is kept: the player's record of each frame."""
_MOST_KEPT = 10_000
"""Events of a kind that are kept: nearly three hours of one a second."""
_WAKE_S = 0.5
"""How often a waiting thread looks whether the container has ended: its end is no event."""
OWN_ERROR = "flume: "
"""Prefix of the one line in which our programs say why they end."""


class EventLog:
    """The events of one container. Thread-safe.

    >>> log = EventLog("client-1")
    >>> log.on_line('{"event": "state", "state": "active"}')
    >>> log.latest("state")["state"], log.count("state")
    ('active', 1)
    """

    def __init__(self, name: str) -> None:
        """*name* of the container is for error messages."""
        self.name = name
        self._changed = threading.Condition(threading.RLock())
        self._latest: dict[str, Mapping[str, Any]] = {}
        self._count: dict[str, int] = {}
        self._kept: dict[str, deque[Mapping[str, Any]]] = {kind: deque(maxlen=_MOST_KEPT) for kind in KEPT}
        self._other_lines: deque[str] = deque(maxlen=_LAST_LINES)

    def on_line(self, line: str) -> None:
        """Add a line of standard output. A line that is not a JSON object is kept for error messages."""
        try:
            event = decode_untrusted(line, dict[str, Any])
        except msgspec.DecodeError:
            self.on_error(line)
            return
        kind = str(event.get("event"))
        with self._changed:
            self._latest[kind] = event
            self._count[kind] = self._count.get(kind, 0) + 1
            if kind in KEPT:
                self._kept[kind].append(event)
            if kind == "error":
                self._other_lines.append(str(event.get("message", line)))
            self._changed.notify_all()

    def on_error(self, line: str) -> None:
        """Keep a line of standard error for error messages."""
        with self._changed:
            self._other_lines.append(line)

    def latest(self, kind: str) -> Mapping[str, Any] | None:
        """Return the latest event of *kind*."""
        with self._changed:
            return self._latest.get(kind)

    def kept(self, kind: str) -> list[Mapping[str, Any]]:
        """Return the events of *kind*, one of :data:`KEPT`, in their order."""
        with self._changed:
            return list(self._kept[kind])

    def count(self, kind: str) -> int:
        """Return the number of events of *kind* so far."""
        with self._changed:
            return self._count.get(kind, 0)

    def last_output(self) -> str:
        """Return the last lines that are not events, for an error message; if a program named its error, only that.

        Our programs name it in a line on standard error, or as the reason in an event ``ended``.
        """
        with self._changed:
            errors = [line for line in self._other_lines if line.startswith(OWN_ERROR)]
            reason = errors[-1].removeprefix(OWN_ERROR) if errors else self._latest.get("ended", {}).get("reason")
            return str(reason or " | ".join(self._other_lines) or "none")

    def wait_until(
        self,
        what: str,
        condition: Callable[["EventLog"], bool],
        *,
        timeout_s: float,
        ended: Callable[[], bool] = lambda: False,
    ) -> None:
        """Return once *condition* holds; it is evaluated after every event. *what* completes "it did not …".

        Raises :class:`LabError` with the container's last output after *timeout_s*, or as soon as it has *ended*.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not condition(self):
                left = deadline - time.monotonic()
                if ended():
                    raise LabError(f"{self.name} ended while it should {what}; its last output: {self.last_output()}")
                if left <= 0:
                    raise LabError(
                        f"{self.name} did not {what} within {timeout_s:g} s; its last output: {self.last_output()}"
                    )
                self._changed.wait(min(left, _WAKE_S))
