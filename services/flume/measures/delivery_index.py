"""The media delivery index, MDI: delay factor and media loss rate (RFC 4445). Pure.

A virtual buffer gets the media of each arrival and is drained at the media rate. Its highest minus its lowest level in
an interval, divided by the media rate, is the *delay factor*: the buffer that would have hidden the jitter, as time.
The *media loss rate* is the number of media packets that were lost or came out of order in the interval.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

INTERVAL_S = 1.0
"""The interval that RFC 4445 recommends."""
GRAIN_S = 1e-5
"""Arrivals that are closer than this are held as one, so that memory is bounded for any stream."""


class DeliveryIndex(NamedTuple):
    """Of one interval."""

    start_s: float
    delay_factor_ms: float
    media_loss_rate: float
    """Media packets (188 bytes) a second."""


def delay_factor_ms(arrivals: list[tuple[float, int]], rate_bytes_s: float) -> float:
    """Return the delay factor of one interval: *arrivals* are pairs of time and bytes of media, in their order.

    The level is looked at before and behind each arrival, as the RFC's equations do (the figure 0 without an arrival).
    Raises :class:`ValueError` for a rate that is not above 0.

    Steady arrivals, one each 10 ms, need the buffer of one arrival, 10 ms of media:

    >>> round(delay_factor_ms([(0.01 * n, 1000) for n in range(100)], 100_000), 6)
    10.0
    """
    if rate_bytes_s <= 0:
        raise ValueError(f"the media rate has to be above 0, not {rate_bytes_s:g} bytes/s")
    if not arrivals:
        return 0.0
    began_s = arrivals[0][0]
    taken, highest, lowest = 0, 0.0, 0.0
    for time_s, size in arrivals:
        drained = rate_bytes_s * (time_s - began_s)
        lowest = min(lowest, taken - drained)
        taken += size
        highest = max(highest, taken - drained)
    return 1000 * (highest - lowest) / rate_bytes_s


def stamped_delay_factor_ms(delays_s: Iterable[float]) -> float:
    """Return the time-stamped delay factor of one interval, TS-DF (EBU Tech 3337), whatever the rate does meanwhile.

    *delays_s*: of each arrival, how long after its own time it came: its departure, or its time stamp. Only differences
    count, so the clocks need not agree. For a constant rate it is the delay factor of RFC 4445 less one datagram. Of a
    rate that varies, that one measures the variation too, and this one the network alone. 0 without an arrival.

    >>> round(stamped_delay_factor_ms([0.010, 0.012, 0.045]), 6)
    35.0
    """
    lowest, highest = math.inf, -math.inf
    for delay_s in delays_s:
        lowest, highest = min(lowest, delay_s), max(highest, delay_s)
    return max(0.0, 1000 * (highest - lowest))


class DeliveryIndexMeter:
    """Measures interval after interval of one stream, in the order of arrival.

    The media rate of an interval is that of what was *sent* for it, which the caller knows: the constant rate of the
    stream, or the bytes that left within the interval. A stream whose rate varies within an interval has a delay factor
    of its own: see :func:`stamped_delay_factor_ms`.

    >>> meter = DeliveryIndexMeter()
    >>> for n in range(200):
    ...     meter.add(0.01 * n, 1316, is_late=n == 50)
    >>> meter.lost(0.3, packets=7)
    >>> [(index.start_s, round(index.delay_factor_ms), index.media_loss_rate) for index in meter.measure(131_600)]
    [(0.0, 10, 14.0), (1.0, 10, 0.0)]
    """

    def __init__(
        self, *, start_s: float = 0.0, interval_s: float = INTERVAL_S, before: tuple[float, int] | None = None
    ) -> None:
        """Let the first interval begin at *start_s*; *before* it came an arrival at a time with so many bytes."""
        self._start_s, self._interval_s = start_s, interval_s
        self._before = self.last = before
        """The last arrival: its time and bytes."""
        self._arrivals: dict[int, list[tuple[float, int]]] = {}
        self._losses: dict[int, int] = {}

    def _interval(self, time_s: float) -> int:
        # Times are sums of floats: one that is a nanosecond short of an interval's end belongs to the next.
        return int((time_s - self._start_s + 1e-9) // self._interval_s)

    def add(self, time_s: float, size_bytes: int, *, is_late: bool = False) -> None:
        """Take an arrival with *size_bytes* of media packets. *is_late*: it came out of order."""
        interval = self._interval(time_s)
        arrivals = self._arrivals.setdefault(interval, [])
        if arrivals and 0 <= time_s - arrivals[-1][0] < GRAIN_S:
            arrivals[-1] = arrivals[-1][0], arrivals[-1][1] + size_bytes
        else:
            arrivals.append((time_s, size_bytes))
        self.last = arrivals[-1]
        if is_late:
            self._losses[interval] = self._losses.get(interval, 0) + size_bytes // 188

    def lost(self, time_s: float, *, packets: int) -> None:
        """Note that *packets* media packets due at *time_s* did not come."""
        interval = self._interval(time_s)
        self._losses[interval] = self._losses.get(interval, 0) + packets

    def measure(self, rate_bytes_s: float | None = None) -> list[DeliveryIndex]:
        """Return the index of each interval that saw something, in order.

        *rate_bytes_s* None: each interval's own mean rate.
        """
        found, before = [], self._before
        for interval in sorted(self._arrivals.keys() | self._losses.keys()):
            arrivals = self._arrivals.get(interval, [])
            if arrivals and before is not None:
                # The silence since the last arrival belongs to the interval that it ends in.
                arrivals = [before, *arrivals]
            before = arrivals[-1] if arrivals else before
            rate = rate_bytes_s or _mean_rate(arrivals)
            factor_ms = delay_factor_ms(arrivals, rate) if rate else 0.0
            start_s = self._start_s + interval * self._interval_s
            found.append(DeliveryIndex(start_s, factor_ms, self._losses.get(interval, 0) / self._interval_s))
        return found


def _mean_rate(arrivals: list[tuple[float, int]]) -> float:
    """Return the bytes a second of *arrivals*, between the first and the last; 0 where there is no such rate."""
    length_s = arrivals[-1][0] - arrivals[0][0] if arrivals else 0.0
    return sum(size for _, size in arrivals[:-1]) / length_s if length_s > 0 else 0.0
