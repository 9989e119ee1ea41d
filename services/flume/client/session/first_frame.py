"""The time from a command to the first frame displayed after it."""

import threading
from typing import NamedTuple

from flume.client.playback.player import Player
from flume.control.session import Command


class FirstFrame(NamedTuple):
    """*milliseconds* from *command* to the first frame displayed after it."""

    command: Command
    milliseconds: float


class FirstFrames:
    """Awaits one first frame at a time; a later command replaces an earlier one.

    :meth:`expect` and :meth:`poll` may be called from different threads.
    """

    def __init__(self, player: Player) -> None:
        """Take the times of *player*."""
        self._player = player
        self._awaited: tuple[Command, float] | None = None
        self._latest: dict[Command, float] = {}
        self._lock = threading.Lock()
        """Guards :attr:`_awaited`: a command sets it in one thread, :meth:`poll` clears it in another."""

    def expect(self, command: Command, since_s: float) -> None:
        """*command*, sent at *since_s* (monotonic seconds), was granted: the next frame is the result of it."""
        self._player.expect_frame()
        with self._lock:
            self._awaited = command, since_s

    def poll(self) -> FirstFrame | None:
        """Return the awaited frame when it has been displayed, once; otherwise ``None``."""
        awaited = self._awaited
        if awaited is None:
            return None
        first_s = self._player.statistics().first_frame_s
        with self._lock:
            if first_s is None or awaited is not self._awaited:
                return None
            self._awaited = None
        command, since_s = awaited
        seen = FirstFrame(command, round((first_s - since_s) * 1000, 1))
        self._latest[command] = seen.milliseconds
        return seen

    def latest_ms(self, command: Command) -> float | None:
        """Return the milliseconds of the latest *command*, ``None`` before its first frame."""
        return self._latest.get(command)
