"""Measures the arrivals of one stream, in memory that does not grow with it. Pure."""

from flume.inspect.values import ArrivalFigures
from flume.measures.delivery_index import INTERVAL_S, DeliveryIndexMeter
from flume.measures.rates import PeakRate

TS_BYTES = 188
CLOCK_STEP_S = 0.05
"""Time stamps of two CPUs may swap by microseconds in a file; a step back of this size is a set clock."""


class ArrivalMeter:
    """Takes datagrams in the order of arrival.

    >>> meter = ArrivalMeter()
    >>> for n in range(11):
    ...     meter.add(0.1 * n, 1316, media_bytes=1316)
    >>> figures = meter.figures(numbered=False)
    >>> figures.datagrams, round(figures.longest_silence_ms), figures.media_loss_rate
    (11, 100, None)
    """

    def __init__(self) -> None:
        """Begin without a datagram."""
        self._datagrams = self._bytes = self._last_bytes = 0
        self._first_s = self._last_s = self._silence_s = self._before_s = 0.0
        self._peak = PeakRate()
        self._second = DeliveryIndexMeter()
        self._second_ends_s = 0.0
        self._delay_factor_ms = 0.0
        self._media_loss_rate = 0.0
        self._has_media = False

    def add(self, time_s: float, size_bytes: int, *, media_bytes: int, is_late: bool = False, lost: int = 0) -> None:
        """Take a datagram of *size_bytes*, with *media_bytes* of transport packets.

        *is_late*: out of order, and in no *lost* before. *lost*: so many datagrams are missing beside it.
        """
        if not self._datagrams:
            self._begin(time_s)
        elif time_s < self._last_s - CLOCK_STEP_S:
            self._end_second()
            self._before_s += self._last_s - self._first_s
            self._begin(time_s)
        elif time_s >= self._second_ends_s:
            self._end_second()
            self._begin_second(time_s, self._second.last)
        self._silence_s = max(self._silence_s, time_s - self._last_s)
        self._last_s = max(self._last_s, time_s)
        self._datagrams, self._bytes, self._last_bytes = self._datagrams + 1, self._bytes + size_bytes, size_bytes
        self._peak.add(self._last_s, size_bytes)
        if media_bytes:
            self._has_media = True
            self._second.add(self._last_s, media_bytes, is_late=is_late)
            if lost:
                self._second.lost(self._last_s, packets=lost * (media_bytes // TS_BYTES))

    def _begin(self, time_s: float) -> None:
        """Let the times begin with *time_s*, the first one or the first one of a clock that was set."""
        self._first_s = self._last_s = time_s
        self._peak.begin_anew()
        self._begin_second(time_s, None)

    def _begin_second(self, time_s: float, last: tuple[float, int] | None) -> None:
        whole_seconds = int((time_s - self._first_s) / INTERVAL_S)
        start_s = self._first_s + whole_seconds * INTERVAL_S
        self._second = DeliveryIndexMeter(start_s=start_s, before=last)
        self._second_ends_s = start_s + INTERVAL_S

    def _end_second(self) -> None:
        for index in self._second.measure():
            self._delay_factor_ms = max(self._delay_factor_ms, index.delay_factor_ms)
            self._media_loss_rate = max(self._media_loss_rate, index.media_loss_rate)

    def figures(self, *, numbered: bool) -> ArrivalFigures:
        """Return the figures up to now; without *numbered* datagrams nothing says what was lost."""
        self._end_second()
        duration_s = round(self._before_s + self._last_s - self._first_s, 6)
        return ArrivalFigures(
            datagrams=self._datagrams,
            bytes=self._bytes,
            duration_s=duration_s,
            rate_kbit=(self._bytes - self._last_bytes) * 8 / 1000 / duration_s if duration_s > 0 else None,
            peak_kbit=self._peak.peak_kbit,
            longest_silence_ms=round(self._silence_s * 1000, 3),
            delay_factor_ms=self._delay_factor_ms if self._has_media else None,
            media_loss_rate=self._media_loss_rate if self._has_media and numbered else None,
        )
