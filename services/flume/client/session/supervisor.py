"""The thread that brings a client back to its desired state, with pauses that grow, and runs the watchdog."""

import random
import threading

from flume.client.session.control_session import ControlSession
from flume.client.session.recovery import Recovery
from flume.client.session.watchdog import Watchdog

FIRST_PAUSE_S = 0.25
INTERVAL_S = 1.0
"""How often the watchdog runs while nothing has to be recovered."""


class Supervisor:
    """Begin with :meth:`start`; ends when *session* is closing, and :meth:`join` waits for that."""

    def __init__(
        self, session: ControlSession, recovery: Recovery, watchdog: Watchdog, *, longest_pause_s: float
    ) -> None:
        """Recover *session*; the pause before each step doubles from :data:`FIRST_PAUSE_S` to *longest_pause_s*."""
        self._session, self._recovery, self._watchdog = session, recovery, watchdog
        self._longest_pause_s = longest_pause_s
        self._thread = threading.Thread(target=self._run, name="flume-supervisor", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, *, timeout_s: float | None = None) -> None:
        """Wait for the end of the thread, *timeout_s* at most; a step that is under way is finished first."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._session.is_closing:
            is_needed = self._wait_until_needed()
            if is_needed:
                self._pause(pause_s)
            if self._session.is_closing:
                return
            if is_needed:
                pause_s = FIRST_PAUSE_S if self._recovery.recover() else min(pause_s * 2, self._longest_pause_s)
            self._watchdog.look()

    def _wait_until_needed(self) -> bool:
        changed = self._session.changed
        with changed:
            return changed.wait_for(lambda: self._session.is_closing or self._recovery.is_needed, INTERVAL_S)

    def _pause(self, pause_s: float) -> None:
        """Wait before a step: a command of the user may be on its way, and many clients must not return at once."""
        jitter = random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, protects nothing
        with self._session.changed:
            self._session.changed.wait_for(lambda: self._session.is_closing, pause_s * jitter)
