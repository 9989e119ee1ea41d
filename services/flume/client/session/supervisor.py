"""The thread that brings a client back to what was wished, with pauses that grow, and looks after it meanwhile."""

import random
import threading
from collections.abc import Callable

FIRST_PAUSE_S = 0.25
BEAT_S = 1.0
"""How often a client that is on course is looked after."""


class Supervisor:
    """Begin with :meth:`start`, end with :meth:`stop`."""

    def __init__(
        self,
        changed: threading.Condition,
        *,
        is_off_course: Callable[[], bool],
        restore: Callable[[], bool],
        look: Callable[[], None],
        longest_pause_s: float,
    ) -> None:
        """Whenever *changed* is notified, ask *is_off_course* with it held.

        *restore* takes one step back and returns ``False`` when that failed, so that the next pause is longer.
        *look* is called on each beat.
        """
        self._changed = changed
        self._is_off_course, self._restore, self._look = is_off_course, restore, look
        self._longest_pause_s = longest_pause_s
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="flume-supervisor", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End it; a step that is under way is finished first."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._closing:
            with self._changed:
                off_course = self._changed.wait_for(lambda: self._closing or self._is_off_course(), BEAT_S)
                if off_course:
                    # The user's own command may still be on its way: look again after the pause.
                    jitter = random.uniform(0.8, 1.2)  # noqa: S311 - many clients are not to come back at once
                    self._changed.wait_for(lambda: self._closing, pause_s * jitter)
            if self._closing:
                return
            if off_course:
                pause_s = FIRST_PAUSE_S if self._restore() else min(pause_s * 2, self._longest_pause_s)
            self._look()
