"""Interarrival jitter (RFC 3550, 6.4.1 and A.8). Pure."""

CLOCK_HZ = 90_000
"""The clock of RTP's time stamps for MPEG-TS (RFC 2250)."""
_MODULUS = 1 << 32


def timestamp_step(later: int, earlier: int) -> int:
    """Return how far the 32-bit time stamp *later* is beyond *earlier*, by the shorter way; negative: before it.

    >>> timestamp_step(5, 0xFFFFFFFF)
    6
    """
    half = _MODULUS // 2
    return (later - earlier + half) % _MODULUS - half


class InterarrivalJitter:
    """How far the spacing of arrivals deviates from that of the time stamps, smoothed by 1/16. Milliseconds.

    A datagram that comes 16 ms late after one in time moves the estimate by a sixteenth, which is 1 ms:

    >>> jitter = InterarrivalJitter()
    >>> for timestamp, arrival_s in ((0, 0.0), (3600, 0.040), (7200, 0.096)):
    ...     jitter.add(timestamp, arrival_s)
    >>> round(jitter.jitter_ms, 6)
    1.0
    """

    def __init__(self) -> None:
        """Begin at 0."""
        self._last: tuple[int, float] | None = None
        self._jitter_s = 0.0
        self.most_ms = 0.0
        """The highest estimate so far."""

    def pause(self) -> None:
        """Forget the last arrival, and keep the estimate: a pause is not jitter."""
        self._last = None

    def add(self, timestamp: int, arrival_s: float) -> None:
        """Take the next arrival with its 32-bit time stamp, in the order of arrival."""
        if self._last is not None:
            expected_s = timestamp_step(timestamp, self._last[0]) / CLOCK_HZ
            deviation_s = abs(arrival_s - self._last[1] - expected_s)
            self._jitter_s += (deviation_s - self._jitter_s) / 16
            self.most_ms = max(self.most_ms, self.jitter_ms)
        self._last = timestamp, arrival_s

    @property
    def jitter_ms(self) -> float:
        """The present estimate."""
        return self._jitter_s * 1000
