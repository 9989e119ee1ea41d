"""Moves decoding times up to where they are needed, for pictures that come slowly.

A picture that others refer to is decoded before them, by as many frames as are reordered. At 25 pictures a second that
is 0.1 s; at one a second it is two seconds. The bytes leave by the decoding times, so an item would begin to leave two
seconds before its first picture is shown, while the item before it still plays. A decoder needs a picture no earlier
than any picture behind it in the order of decoding is shown. Presentation times stay as they are.
"""

from collections import deque
from typing import Generic, NamedTuple, TypeVar

LONG_LEAD = 22_500
"""Tracks whose first picture is shown more than 0.25 s after it is decoded (90 kHz) are moved."""

P = TypeVar("P")


class Timed(NamedTuple, Generic[P]):
    """A packet and its timestamps, ticks of 90 kHz."""

    dts: int
    pts: int
    packet: P


class DecodeTimes(Generic[P]):
    """The packets of one video track, in the order of decoding.

    >>> times = DecodeTimes()
    >>> rows = [(0, 180_000, "I"), (90_000, 360_000, "P"), (180_000, 270_000, "B"), (270_000, 450_000, "P")]
    >>> [(each.dts, each.packet) for row in rows for each in times.push(*row)]
    [(180000, 'I'), (269999, 'P'), (270000, 'B')]
    >>> times.flush()
    [Timed(dts=450000, pts=450000, packet='P')]
    """

    def __init__(self) -> None:
        """Begin before the first packet, which decides whether the track is moved."""
        self._moves: bool | None = None
        self._waiting: deque[Timed[P]] = deque()

    def push(self, dts: int, pts: int, packet: P) -> list[Timed[P]]:
        """Take a packet; return those whose decoding time is known now."""
        if self._moves is None:
            self._moves = pts - dts > LONG_LEAD
        if not self._moves:
            return [Timed(dts, pts, packet)]
        self._waiting.append(Timed(dts, pts, packet))
        return self._settled(until=dts)

    def _settled(self, *, until: int) -> list[Timed[P]]:
        """Return the packets that nothing precedes in showing: what follows is shown at *until* at the earliest."""
        settled: list[Timed[P]] = []
        while self._waiting:
            earliest = min(range(len(self._waiting)), key=lambda at: self._waiting[at].pts)
            shown = self._waiting[earliest].pts
            if shown > until:
                break
            for before in range(earliest, -1, -1):
                timed = self._waiting.popleft()
                settled.append(timed._replace(dts=shown - before))
        return settled

    def flush(self) -> list[Timed[P]]:
        """Return what waits, at the end of the track."""
        return self._settled(until=1 << 62)
