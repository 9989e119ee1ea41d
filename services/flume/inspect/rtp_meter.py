"""Measures one stream of RTP by its numbers and time stamps, and says at which packet they are wrong. Pure."""

from typing import NamedTuple

from flume.capture.rtp import RtpPacket
from flume.inspect.values import MOST_FINDINGS, RtpFigures, WireFinding
from flume.measures.bursts import NONE, BurstCounter, BurstsAndGaps
from flume.measures.jitter import InterarrivalJitter
from flume.measures.missing import MissingRuns
from flume.measures.rtp import EMPTY, RtpAccount, SequenceAccount, extend

CLOCK_90_KHZ = frozenset((26, 31, 32, 33, 34))
"""Payload types with a clock of 90 kHz (RFC 3551): JPEG, H.261, MPEG video, MPEG-TS, H.263."""
MOST_DROPPED = 3000
"""A larger step of the numbers is no loss: the sender went on at another place (RFC 3550, A.1)."""
_MOST_JUMP_STEP = 16
"""The second number at another place may be so far behind the first: what lies between was lost."""
_RECENT = 4096
"""A missing number is known so long: one that comes later than MOST_DROPPED is no late datagram, but a stray."""


class Place(NamedTuple):
    """Where a datagram belongs in its stream."""

    lost: int = 0
    """Missing beside it, for the first time."""
    is_late: bool = False
    """It came out of order, and was not counted as missing before."""
    is_duplicate: bool = False
    is_stray: bool = False
    """Its number is far from all others. It has no place, unless the next datagram follows it."""
    follows_stray: bool = False
    """The numbers go on with the stray before it, which has a place now."""


class RtpMeter:
    """Takes the packets of one SSRC in the order of arrival."""

    def __init__(self, payload_type: int) -> None:
        """Begin without a packet; *payload_type* says how fast the time stamps go."""
        self._jitter = InterarrivalJitter() if payload_type in CLOCK_90_KHZ else None
        self._account, self._bursts = EMPTY, NONE
        self._jumps = self._strays = 0
        self._jumper: int | None = None
        self._findings: list[WireFinding] = []
        self._begin()

    def _begin(self) -> None:
        """Begin to count anew: the numbers go on at another place."""
        self._numbers = SequenceAccount(memory=_RECENT)
        self._lost, self._old_bursts = MissingRuns(), BurstCounter()
        self._first: int | None = None
        self._next = 0

    def add(self, packet_number: int, time_s: float, packet: RtpPacket) -> Place:
        """Take *packet*, which arrived at *time_s* as number *packet_number* of the capture; return its place."""
        sequence = packet.sequence
        if self._first is None:
            self._first = self._next = sequence
        has_jumped = False
        if abs(extend(sequence, self._next) - self._next) > MOST_DROPPED:
            has_jumped = self._has_jumped(packet_number, time_s, sequence)
            if not has_jumped:
                return Place(is_stray=True)
        self._jumper = None
        place = self._place(packet_number, time_s, sequence)._replace(follows_stray=has_jumped)
        if self._jitter is not None and not place.is_duplicate:
            self._jitter.add(packet.timestamp, time_s)
        return place

    def _has_jumped(self, packet_number: int, time_s: float, sequence: int) -> bool:
        """Whether the numbers go on with *sequence*: a second packet just behind says so (RFC 3550, A.1)."""
        if self._jumper is None or not 0 < (sequence - self._jumper) % (1 << 16) <= _MOST_JUMP_STEP:
            self._jumper, self._strays = sequence, self._strays + 1
            return False
        self._jumps, self._strays = self._jumps + 1, self._strays - 1
        self._find("jump", packet_number, time_s, f"from {(self._next - 1) % (1 << 16)} to {self._jumper}")
        self._account, self._bursts = self._totals()
        self._begin()
        self._first = self._next = self._jumper
        self._place(packet_number, time_s, self._jumper)
        if self._jitter is not None:
            self._jitter.pause()
        return True

    def _place(self, packet_number: int, time_s: float, sequence: int) -> Place:
        number, expected = self._numbers.add(sequence), self._next
        if number >= expected:
            self._next = number + 1
            lost = number - expected
            if lost:
                self._find("loss", packet_number, time_s, f"{lost} missing: {_range(expected, lost)}")
                self._lost.append(expected, number)
            for run in self._lost.take_before(number - _RECENT):
                self._old_bursts.add(*run)
            return Place(lost=lost)
        first = self._first or 0
        is_first = number < first
        if is_first:
            self._lost.prepend(number + 1, first)
            self._first = number
        elif not self._lost.remove(number):
            self._find("duplicate", packet_number, time_s, f"number {sequence} came again")
            return Place(is_duplicate=True)
        self._find("reordered", packet_number, time_s, f"number {sequence} came {expected - number - 1} late")
        return Place(is_late=is_first, lost=first - number - 1 if is_first else 0)

    def _find(self, kind: str, packet_number: int, time_s: float, detail: str) -> None:
        if len(self._findings) < MOST_FINDINGS:
            self._findings.append(WireFinding(kind=kind, packet=packet_number, time_s=time_s, detail=detail))

    def _totals(self) -> tuple[RtpAccount, BurstsAndGaps]:
        if self._first is None:
            return self._account, self._bursts
        bursts = self._old_bursts.result(self._first, self._next, self._lost)
        return self._account + self._numbers.account(), self._bursts + bursts

    def figures(self, since_s: float) -> RtpFigures:
        """Return the figures up to now; the times of findings count from *since_s*."""
        account, bursts = self._totals()
        density = bursts.burst_density
        return RtpFigures(
            expected=account.expected,
            received=account.received,
            lost=account.lost,
            loss_pct=100 * account.lost / account.expected if account.expected else 0.0,
            duplicates=account.duplicates,
            reordered=account.reordered,
            jumps=self._jumps,
            strays=self._strays,
            loss_runs=account.loss_runs,
            longest_run=account.longest_run,
            burst_pct=None if density is None else 100 * density,
            burst_mean=bursts.burst_mean,
            gap_mean=bursts.gap_mean,
            jitter_ms=None if self._jitter is None else self._jitter.jitter_ms,
            jitter_most_ms=None if self._jitter is None else self._jitter.most_ms,
            findings=[_since(each, since_s) for each in self._findings],
        )


def _since(finding: WireFinding, since_s: float) -> WireFinding:
    return WireFinding(
        kind=finding.kind, packet=finding.packet, time_s=round(finding.time_s - since_s, 6), detail=finding.detail
    )


def _range(first: int, count: int) -> str:
    """Return the 16-bit numbers of *count* datagrams from the extended number *first* on.

    >>> _range(65535, 2), _range(7, 1)
    ('65535 to 0', '7')
    """
    numbers = first % (1 << 16), (first + count - 1) % (1 << 16)
    return str(numbers[0]) if count == 1 else f"{numbers[0]} to {numbers[1]}"
