"""Rate over time, its peak, and the longest silence. Pure."""

from collections import deque
from collections.abc import Iterable
from itertools import pairwise

PEAK_S = 0.1
"""The interval over which the peak rate is taken."""
_MOST_HELD = 50_000
"""Of so many datagrams the times are known; the bytes of further ones are added to the last of these."""


def bins(events: Iterable[tuple[float, float]], bin_s: float, count: int) -> list[float]:
    """Return the sums of the values of *events*, pairs of time and value, for *count* bins of *bin_s* seconds from 0.

    An event before the first bin or behind the last one counts nowhere.

    >>> bins([(0.1, 1), (0.9, 2), (1.0, 4)], 0.5, 3)
    [1.0, 2.0, 4.0]
    """
    sums = [0.0] * count
    for time_s, value in events:
        position = int(time_s // bin_s)
        if 0 <= position < count:
            sums[position] += value
    return sums


class PeakRate:
    """The highest rate over any :data:`PEAK_S`, of datagrams in the order of arrival.

    >>> peak = PeakRate()
    >>> for time_s in (0.0, 0.05, 0.2):
    ...     peak.add(time_s, 1250)
    >>> peak.peak_kbit
    200.0
    """

    def __init__(self, interval_s: float = PEAK_S) -> None:
        """Look at each *interval_s* that ends with a datagram."""
        self._interval_s = interval_s
        self._recent: deque[tuple[float, int]] = deque()
        self._bytes = self._most = 0

    def add(self, time_s: float, size_bytes: int) -> None:
        """Take the next datagram."""
        # Times are sums of floats: the nanosecond leaves a datagram out that came just one interval earlier.
        while self._recent and self._recent[0][0] <= time_s - self._interval_s + 1e-9:
            self._bytes -= self._recent.popleft()[1]
        if len(self._recent) >= _MOST_HELD:
            last_s, last_bytes = self._recent.pop()
            self._recent.append((last_s, last_bytes + size_bytes))
        else:
            self._recent.append((time_s, size_bytes))
        self._bytes += size_bytes
        self._most = max(self._most, self._bytes)

    def begin_anew(self) -> None:
        """Forget the last datagrams, and keep the highest rate: the clock was set."""
        self._recent.clear()
        self._bytes = 0

    @property
    def peak_kbit(self) -> float:
        """The highest rate so far, kbit/s; 0 without a datagram."""
        return self._most * 8 / 1000 / self._interval_s


def longest_silence_s(times_s: Iterable[float]) -> float | None:
    """Return the longest time between two arrivals at *times_s*, which rise; None for fewer than two.

    >>> longest_silence_s([1.0, 1.5, 3.5])
    2.0
    """
    return max((b - a for a, b in pairwise(times_s)), default=None)
