"""The time of each packet: its arrival, or its place between two PCRs. Pure.

In a file there is no arrival time, so a packet's time is known only once the *next* PCR of the reference PID has come:
it lies on the line between both (ISO/IEC 13818-1, 2.4.2.2). What needs the time waits for that PCR.
"""

from collections import deque
from collections.abc import Callable

Action = Callable[[float | None, bool], None]
"""Called with the time, or None if it cannot be known, and whether it is certain: an extrapolation is not."""

MAX_WAITING = 4096
RECENT = 16


class StreamClock:
    """Tells the times of packets, in seconds.

    >>> clock, times = StreamClock(), []
    >>> clock.reference(0, None)
    >>> clock.when(10, lambda time_s, certain: times.append((time_s, certain)))
    >>> clock.reference(20, 0.04)
    >>> times
    [(0.02, True)]
    """

    def __init__(self) -> None:
        """Begin with no time known."""
        self.arrival_s: float | None = None
        """Of the newest packets; None in a file."""
        self._first_arrival_s: float | None = None
        self._anchor: int | None = None
        self._anchor_s: float | None = None
        self._recent: deque[tuple[int, float]] = deque(maxlen=RECENT)
        self._waiting: list[tuple[int, Action]] = []

    def arrive(self, time_s: float | None) -> None:
        """The packets that follow arrived at *time_s*; None: they are from a file."""
        if time_s is None:
            return
        self.arrival_s = time_s
        if self._first_arrival_s is None:
            self._first_arrival_s = time_s

    def when(self, packet: int, action: Action) -> None:
        """Call *action* with the time of the newest packet, *packet*, as soon as it is known."""
        if self.arrival_s is not None:
            action(self.arrival_s, True)  # noqa: FBT003 - see Action
            return
        self._waiting.append((packet, action))
        if len(self._waiting) > MAX_WAITING:
            self._guess()

    def reference(self, packet: int, step_s: float | None) -> None:
        """The reference PID has a PCR in *packet*, *step_s* after the one before; None: the clock begins or jumped."""
        anchor = self._anchor
        if step_s is None or anchor is None or packet <= anchor:
            time_s = self.time_s(packet)
            if time_s is not None and self.arrival_s is None:
                self._guess()
            self._anchor, self._anchor_s = packet, time_s
            return
        each_s = step_s / (packet - anchor)
        # The packets before the first PCR are taken to have come at the rate of those behind it.
        begin_s = anchor * each_s if self._anchor_s is None else self._anchor_s
        waiting, self._waiting = self._waiting, []
        for number, action in waiting:
            action(begin_s + (number - anchor) * each_s, True)  # noqa: FBT003 - see Action
        self._recent.append((packet - anchor, step_s))
        self._anchor, self._anchor_s = packet, begin_s + step_s

    def _guess(self) -> None:
        waiting, self._waiting = self._waiting, []
        for number, action in waiting:
            action(self.time_s(number), False)  # noqa: FBT003 - see Action

    def interrupt(self) -> None:
        """The stream stops here; what waits for a PCR gets an extrapolated time."""
        self._guess()

    def time_s(self, packet: int) -> float | None:
        """Return the time of *packet*, in a file extrapolated from the PCRs before it."""
        if self.arrival_s is not None:
            return self.arrival_s
        if self._anchor is None or self._anchor_s is None or not self._recent:
            return None
        steps = sum(step for step, _ in self._recent)
        return self._anchor_s + (packet - self._anchor) * sum(step_s for _, step_s in self._recent) / steps

    @property
    def certain_s(self) -> float | None:
        """The newest time that is no extrapolation."""
        return self._anchor_s if self.arrival_s is None else self.arrival_s

    def span(self, packets: int) -> tuple[int, float] | None:
        """Return how many of the *packets* so far came in how many seconds; None if that is not known."""
        if self.arrival_s is not None and self._first_arrival_s is not None:
            took_s = self.arrival_s - self._first_arrival_s
            return (packets, took_s) if took_s > 0 else None
        return (self._anchor, self._anchor_s) if self._anchor and self._anchor_s else None
