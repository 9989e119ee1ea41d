"""What a container says on its standard output: one JSON object a line, kept as the latest of each kind.

The engine's threads bring the lines; the runner waits for facts in them, never for time to pass.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from flume.errors import LabError

_LAST_LINES = 5
OWN_ERROR = "flume: "
"""How our programs begin the one line that says why they end."""


class Feed:
    """The output of one container."""

    def __init__(self, name: str) -> None:
        """*name* is for error messages."""
        self.name = name
        self._changed = threading.Condition(threading.RLock())
        self._latest: dict[str, Mapping[str, Any]] = {}
        self._seen: dict[str, int] = {}
        self._other: deque[str] = deque(maxlen=_LAST_LINES)

    def on_line(self, line: str) -> None:
        """Take a line of standard output."""
        try:
            event = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.on_error(line)
            return
        kind = str(event.get("event"))
        with self._changed:
            self._latest[kind] = event
            self._seen[kind] = self._seen.get(kind, 0) + 1
            if kind == "error":
                self._other.append(str(event.get("message", line)))
            self._changed.notify_all()

    def on_error(self, line: str) -> None:
        """Keep a line of standard error for messages."""
        with self._changed:
            self._other.append(line)

    def latest(self, kind: str) -> Mapping[str, Any] | None:
        """Return the last event of *kind*."""
        with self._changed:
            return self._latest.get(kind)

    def count(self, kind: str) -> int:
        """Return how many events of *kind* have come."""
        with self._changed:
            return self._seen.get(kind, 0)

    def last_words(self) -> str:
        """Return the last lines that were not events, for an error message; a program's own error alone, if any."""
        with self._changed:
            errors = [line for line in self._other if line.startswith(OWN_ERROR)]
            return (errors[-1].removeprefix(OWN_ERROR) if errors else " | ".join(self._other)) or "it said nothing"

    def wait_until(
        self,
        what: str,
        condition: Callable[["Feed"], bool],
        *,
        timeout_s: float,
        ended: Callable[[], bool] = lambda: False,
    ) -> None:
        """Return once *condition* holds; it is asked after every event.

        Raises :class:`LabError` with the container's last words after *timeout_s*, or at once when it has *ended*.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not condition(self):
                left = deadline - time.monotonic()
                if ended():
                    raise LabError(f"{self.name} ended while it should {what}; its last words: {self.last_words()}")
                if left <= 0:
                    raise LabError(
                        f"{self.name} did not {what} within {timeout_s:g} s; its last words: {self.last_words()}"
                    )
                self._changed.wait(min(left, 0.5))
