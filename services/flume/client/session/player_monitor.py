"""The thread that looks after the player: polls it, and reports the first frame that a command led to."""

import logging
import threading
from collections.abc import Callable

from flume.client.playback.player import Player
from flume.client.session.first_frame import FirstFrame, FirstFrames

POLL_INTERVAL_S = 0.05
"""How often the player is polled. Headless, a frame's time is the player's own, so this adds no error to it; in a
window it adds up to this much."""

_log = logging.getLogger(__name__)


class PlayerMonitor:
    """Begin with :meth:`start`, end with :meth:`stop`."""

    def __init__(self, player: Player, first_frames: FirstFrames, on_first_frame: Callable[[FirstFrame], None]) -> None:
        """Poll *player*, and call *on_first_frame* from the monitor's thread, once for each frame awaited."""
        self._player, self._first_frames, self._on_first_frame = player, first_frames, on_first_frame
        self._is_failing = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flume-player-monitor", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Poll once more, and end the thread."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(POLL_INTERVAL_S):
            self._poll()
        self._poll()

    def _poll(self) -> None:
        """Look once. A failure is logged, once in a row, and polling goes on: nothing else would restart the player."""
        try:
            self._look()
        except Exception:
            if not self._is_failing:
                _log.exception("looking after the player failed")
            self._is_failing = True
        else:
            self._is_failing = False

    def _look(self) -> None:
        self._player.poll()
        frame = self._first_frames.poll()
        if frame is not None:
            self._on_first_frame(frame)
