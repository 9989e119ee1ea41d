"""Hands datagrams to the player at the speed of the stream, not at that of the network. Pure.

A joining client gets the datagrams since the last keyframe several times faster than real time. libvlc takes its
clock from the pace of arrival. Measured: after such a burst libvlc moves its clock ahead by the length of the burst,
and drops the frames in between (0.4 s of frames after a burst of 0.6 s). So the pacer stretches bursts. Its schedule
runs one per cent fast: that works a backlog off without libvlc noticing, and keeps up with a server whose clock runs
faster than this host's.
"""

from collections import deque
from typing import Generic, TypeVar

from flume.media.rtp import CLOCK_HZ, timestamp_distance

Item = TypeVar("Item")

SPEED = 1.01
"""How fast the schedule runs: libvlc follows a clock that is one per cent off without dropping a frame."""

GRAIN_S = 0.01
"""Datagrams leave in groups at least this far apart, as they leave the server: fewer wake-ups."""

MAX_STEP_S = 1.0
"""A timestamp that differs by more from the one before it starts a new schedule; a smaller gap is waited for."""


class PlayoutPacer(Generic[Item]):
    """Items go in with 90 kHz timestamps and come out when they are due, in order, each exactly once.

    >>> pacer = PlayoutPacer(capacity=100)
    >>> for number in range(3):
    ...     pacer.push(number * 9000, number, now_s=50.0)  # 0.2 s of stream in one burst
    >>> pacer.take(now_s=50.0), pacer.take(now_s=50.1), pacer.take(now_s=50.2)
    ([0], [1], [2])
    """

    def __init__(self, *, capacity: int) -> None:
        """Hold *capacity* items at most; beyond that the oldest leave early."""
        self._capacity = capacity
        self._waiting: deque[tuple[float, Item]] = deque()
        self._anchor_s = float("-inf")
        self._anchor = self._last = 0
        self._last_taken_s = float("-inf")

    def __len__(self) -> int:
        """Return how many items wait."""
        return len(self._waiting)

    def begin_window(self) -> None:
        """A delivery window begins: the next item starts a new schedule."""
        self._anchor_s = float("-inf")

    def push(self, timestamp: int, item: Item, now_s: float) -> None:
        """Take *item*, whose stream time is *timestamp* (90 kHz, 32 bits)."""
        step_s = timestamp_distance(timestamp, self._last) / CLOCK_HZ
        self._last = timestamp
        due_s = self._anchor_s + timestamp_distance(timestamp, self._anchor) / CLOCK_HZ / SPEED
        if abs(step_s) > MAX_STEP_S or due_s < now_s:
            due_s = max(now_s, self._waiting[-1][0] if self._waiting else now_s)
            self._anchor_s, self._anchor = due_s, timestamp
        self._waiting.append((due_s, item))

    def take(self, now_s: float) -> list[Item]:
        """Return what is due at *now_s*."""
        ready = []
        while self._waiting and (self._waiting[0][0] <= now_s or len(self._waiting) > self._capacity):
            ready.append(self._waiting.popleft()[1])
        if ready:
            self._last_taken_s = now_s
        return ready

    def deadline_s(self) -> float | None:
        """Return when to call :meth:`take` next, or ``None`` while nothing waits."""
        return max(self._waiting[0][0], self._last_taken_s + GRAIN_S) if self._waiting else None
