"""Sends no item at a rate that is absurd for it, whatever its clock says.

The due times come from a source's PCR. Where that is wrong in a way that no rule foresaw, an item of 100 kbit/s would
be sent at tens of Mbit/s to each client. What the item promised as its mean rate says what cannot be.
"""

from flume.media.mpegts import PACKET_BYTES, PCR_HZ

PEAK_FACTOR = 8
"""A rate of more than eight times the mean, over seconds, is absurd. Encoders with a rate limit are usually set to a
peak of two or three times the mean. A screen recording that is still for long has more, and stays below
:data:`LEAST_LIMIT`."""

LEAST_LIMIT = 10_000_000
"""10 Mbit/s: no limit is below, so that slides, screen recordings and a stream's tables are never touched."""

BURST_S = 1.0
"""So much may come at once, as seconds at the limit: at least 1.25 MB, several times the largest keyframe of a film."""


class RateGuard:
    """A leaky bucket over due times (ticks of 27 MHz): the generic cell rate algorithm of ITU-T I.371.

    >>> guard = RateGuard(datagram_bytes=1250)
    >>> guard.begin_item(bit_rate=100_000)
    >>> [guard.delay(0) for _ in range(1002)][-1] // (PCR_HZ // 1000)  # 1 ms each, after a burst of 1 s
    1
    """

    def __init__(self, *, datagram_bytes: int = 7 * PACKET_BYTES) -> None:
        """Limit nothing before an item's rate is known."""
        self.limited = 0
        """Datagrams whose due time was moved."""
        self._bits = 8 * datagram_bytes
        self._interval = 0
        self._next = 0

    def begin_item(self, *, bit_rate: int | None) -> None:
        """Another item begins whose mean rate is *bit_rate* bit/s; ``None``: it is not known, and not limited."""
        limit = None if bit_rate is None else max(PEAK_FACTOR * bit_rate, LEAST_LIMIT)
        self._interval = 0 if limit is None else self._bits * PCR_HZ // limit

    def delay(self, due: int) -> int:
        """Return when to send the next datagram, which is due at *due*: then, or later."""
        if not self._interval:
            return due
        earliest = self._next - round(BURST_S * PCR_HZ)
        if due < earliest:
            self.limited += 1
            due = earliest
        self._next = max(self._next, due) + self._interval
        return due
