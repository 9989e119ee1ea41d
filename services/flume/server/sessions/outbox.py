"""What is said to one client: replies and events, notices at a bounded rate, and keep-alives after a silence."""

import time
from collections.abc import Callable

from flume.control.messages import Alive, Event, Notice, Reply
from flume.control.session import State

NOTICE_INTERVAL_S = 1.0
"""Datagrams of a stranger must not become a flood of notices on the control connection of a client."""


class Outbox:
    """Passes messages to the front of one control connection, and keeps the time of the last one."""

    def __init__(self, send: Callable[[Reply | Event], None]) -> None:
        """Write messages with *send*, which queues them on the control connection."""
        self._send = send
        self._said_s = time.monotonic()
        self._noticed_s = float("-inf")

    @property
    def quiet_s(self) -> float:
        """Seconds since the last message."""
        return time.monotonic() - self._said_s

    def tell(self, message: Reply | Event) -> None:
        """Queue *message* for the client."""
        self._said_s = time.monotonic()
        self._send(message)

    def notice(self, state: State, code: str, message: str) -> None:
        """Tell the client something that changes no state, at most once in :data:`NOTICE_INTERVAL_S`."""
        now_s = time.monotonic()
        if now_s - self._noticed_s >= NOTICE_INTERVAL_S:
            self._noticed_s = now_s
            self.tell(Notice(state=state, code=code, message=message))

    def keep_alive(self, state: State, now_s: float, interval_s: float) -> None:
        """Say that the server is alive, if a session is open and nothing was said for *interval_s*."""
        if state is not State.CLOSED and now_s - self._said_s >= interval_s:
            self.tell(Alive(state=state))
