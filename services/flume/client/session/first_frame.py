"""How long the picture took that a command asked for."""

import threading
from typing import NamedTuple

from flume.client.playback.player import Player
from flume.control.session import Command


class FirstFrame(NamedTuple):
    """*milliseconds* from *command* to the first frame displayed after it."""

    command: Command
    milliseconds: float


class FirstFrames:
    """Waits for one first frame at a time; a later command takes the place of an earlier one."""

    def __init__(self, player: Player) -> None:
        """Ask *player*."""
        self._player = player
        self._awaited: tuple[Command, float] | None = None
        self._latest: dict[Command, float] = {}
        self._lock = threading.Lock()
        """Guards :attr:`_awaited`: a command sets it in one thread, :meth:`poll` clears it in another."""

    def expect(self, command: Command, since_s: float) -> None:
        """*command*, given at *since_s* (monotonic), was granted: the next frame is its own."""
        self._player.expect_frame()
        with self._lock:
            self._awaited = command, since_s

    def poll(self) -> FirstFrame | None:
        """Return the awaited frame, once, when it has been displayed."""
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
        """Return what the latest *command* took, ``None`` while none has shown a frame."""
        return self._latest.get(command)
