"""Measures one stream of RTP by its numbers and time stamps, and says at which packet they are wrong. Pure."""

from collections import OrderedDict
from typing import NamedTuple

from flume.capture.rtp import RtpPacket
from flume.inspect.values import MOST_FINDINGS, RtpFigures, WireFinding
from flume.measures.bursts import NONE, BurstsAndGaps, bursts_and_gaps
from flume.measures.jitter import InterarrivalJitter
from flume.measures.rtp import EMPTY, RtpAccount, SequenceAccount, extend

CLOCK_90_KHZ = frozenset((26, 31, 32, 33, 34))
"""Payload types with a clock of 90 kHz (RFC 3551): JPEG, H.261, MPEG video, MPEG-TS, H.263."""
MOST_DROPPED = 3000
"""A larger step of the numbers is no loss: the sender went on at another place (RFC 3550, A.1)."""
_RECENT = 4096
"""So many of the latest numbers are known, to tell a duplicate from a datagram that comes late."""
_MOST_LOST = 1_000_000
"""The places of so many lost datagrams are kept, in 100 MB; later ones are in no figure of bursts."""


class Place(NamedTuple):
    """Where a datagram belongs in its stream."""

    lost: int = 0
    """Missing before it."""
    is_late: bool = False
    is_duplicate: bool = False


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
        self._numbers = SequenceAccount()
        self._recent: OrderedDict[int, None] = OrderedDict()
        self._lost: dict[int, None] = {}
        self._first: int | None = None
        self._next = 0

    def add(self, packet_number: int, time_s: float, packet: RtpPacket) -> Place:
        """Take *packet*, which arrived at *time_s* as number *packet_number* of the capture; return its place."""
        sequence = packet.sequence
        if self._first is None:
            self._first = self._next = sequence
        elif abs(extend(sequence, self._next) - self._next) > MOST_DROPPED and not self._has_jumped(
            packet_number, time_s, sequence
        ):
            return Place(is_late=True)
        place = self._place(packet_number, time_s, sequence)
        if self._jitter is not None and not place.is_duplicate:
            self._jitter.add(packet.timestamp, time_s)
        return place

    def _has_jumped(self, packet_number: int, time_s: float, sequence: int) -> bool:
        """Whether the numbers go on with *sequence*: the second packet in its order says so, as in RFC 3550, A.1."""
        if self._jumper is None or sequence != (self._jumper + 1) % (1 << 16):
            self._jumper, self._strays = sequence, self._strays + 1
            return False
        self._jumps, self._strays = self._jumps + 1, self._strays - 1
        self._find("jump", packet_number, time_s, f"from {(self._next - 1) % (1 << 16)} to {self._jumper}")
        self._account, self._bursts = self._totals()
        self._begin()
        self._first = self._next = self._jumper
        self._place(packet_number, time_s, self._jumper)
        self._jumper = None
        if self._jitter is not None:
            self._jitter.pause()
        return True

    def _place(self, packet_number: int, time_s: float, sequence: int) -> Place:
        number, expected = self._numbers.add(sequence), self._next
        if number >= expected:
            self._next = number + 1
            self._note(number)
            lost = number - expected
            if lost:
                self._find("loss", packet_number, time_s, f"{lost} missing: {_range(expected, lost)}")
                if len(self._lost) < _MOST_LOST:
                    self._lost.update(dict.fromkeys(range(expected, number)))
            return Place(lost=lost)
        if number in self._recent:
            self._find("duplicate", packet_number, time_s, f"number {sequence} came again")
            return Place(is_duplicate=True)
        self._note(number)
        self._lost.pop(number, None)
        self._first = min(self._first or 0, number)
        self._find("reordered", packet_number, time_s, f"number {sequence} came {expected - number - 1} late")
        return Place(is_late=True)

    def _note(self, number: int) -> None:
        self._recent[number] = None
        if len(self._recent) > _RECENT:
            self._recent.popitem(last=False)

    def _find(self, kind: str, packet_number: int, time_s: float, detail: str) -> None:
        if len(self._findings) < MOST_FINDINGS:
            self._findings.append(WireFinding(kind=kind, packet=packet_number, time_s=time_s, detail=detail))

    def _totals(self) -> tuple[RtpAccount, BurstsAndGaps]:
        if self._first is None:
            return self._account, self._bursts
        lost = sorted(number - self._first for number in self._lost)
        bursts = bursts_and_gaps(lost, self._next - self._first)
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
