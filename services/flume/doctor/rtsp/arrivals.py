"""What came of a stream over RTP (RFC 3550), of any payload, and of the reports beside it. Pure."""

import itertools

from flume.control.rtsp.rtcp import BYE, SENDER_REPORT, kinds_untrusted
from flume.media.rtp import HEADER_BYTES, extend_sequence

MOST_NUMBERS = 100_000
"""Sequence numbers that are kept: 20 s at 50 Mbit/s."""

NEAR = 1000
"""The announced first number counts if it is at most so far before the first that came."""


class Arrivals:
    """The datagrams of one stream.

    >>> arrivals = Arrivals()
    >>> for number in (7, 8, 10):
    ...     arrivals.take_untrusted(bytes([0x80, 33, 0, number]) + bytes(1324), at_s=1.0)
    >>> arrivals.count, arrivals.lost, arrivals.longest_gap
    (3, 1, 1)
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.first_s: float | None = None
        """When the first one came (monotonic)."""
        self.last_s = 0.0
        self.bytes = 0
        self.first_announced: int | None = None
        """The number of the first one that was sent, as RTP-Info says."""
        self.reports = 0
        """Sender reports."""
        self.first_report_s: float | None = None
        self.is_over = False
        """Whether BYE came."""
        self._numbers: dict[int, None] = {}

    @property
    def count(self) -> int:
        """How many came, each counted once."""
        return len(self._numbers)

    @property
    def _ordered(self) -> list[int]:
        if not self._numbers:
            return []
        first = next(iter(self._numbers))
        numbers = sorted(extend_sequence(number, first) for number in self._numbers)
        announced = self.first_announced
        if announced is not None and 0 < numbers[0] - (before := extend_sequence(announced, numbers[0])) <= NEAR:
            numbers.insert(0, before - 1)
        return numbers

    @property
    def lost(self) -> int:
        """How many numbers are missing, up to the last that came."""
        return sum(later - earlier - 1 for earlier, later in itertools.pairwise(self._ordered))

    @property
    def longest_gap(self) -> int:
        """Most numbers that are missing in a row."""
        return max((later - earlier - 1 for earlier, later in itertools.pairwise(self._ordered)), default=0)

    def take_untrusted(self, datagram: bytes, *, at_s: float) -> None:
        """Count *datagram* if it is RTP. Raises nothing."""
        if len(datagram) < HEADER_BYTES or datagram[0] >> 6 != 2:
            return
        if self.first_s is None:
            self.first_s = at_s
        self.last_s = at_s
        number = int.from_bytes(datagram[2:4], "big")
        if number not in self._numbers and len(self._numbers) < MOST_NUMBERS:
            self._numbers[number] = None
            self.bytes += len(datagram)

    def take_report_untrusted(self, datagram: bytes, *, at_s: float) -> None:
        """Count *datagram* if it is a report of the sender. Raises nothing."""
        kinds = kinds_untrusted(datagram)
        if SENDER_REPORT in kinds:
            self.reports += 1
            self.first_report_s = at_s if self.first_report_s is None else self.first_report_s
        self.is_over = self.is_over or BYE in kinds


def announced_first_untrusted(rtp_info: str) -> int | None:
    """Return the number of the first datagram in an RTP-Info header; ``None`` if there is none. Raises nothing.

    >>> announced_first_untrusted("url=rtsp://192.0.2.7/stream=0;seq=812;rtptime=9")
    812
    """
    for part in rtp_info.partition(",")[0].split(";")[:16]:
        name, _, value = part.strip().partition("=")
        if name.lower() == "seq" and value.isascii() and value.isdigit() and len(value) <= 5:
            return int(value) % 65_536
    return None
