"""Whether PCRs lie where a stream of constant rate has them (indicator 2.4). Pure.

TR 101 290 asks for the test in streams of constant rate only: there the PCR is a line over the bytes. Its slope is
learnt from :data:`LEARNT` intervals between PCRs, which must agree to half a packet: inaccurate PCRs are off by
microseconds, a varying rate by packets. Where it varies, nothing is said. A PCR off the line is an error once the next
PCR has confirmed the line: it is back on it, or as far off, or also off by less than half a packet.
"""

from collections import deque

PCR_HZ = 27_000_000
PCR_MODULUS = (1 << 33) * 300
LEARNT = 8
AGREEING = 6
"""One wrong PCR spoils two intervals."""
LEAST_JUDGED, CONSTANT_SHARE = 16, 0.8
"""So many PCRs, and such a share of them, must lie near the line before the rate is called constant."""
PHASE_GAIN, SLOPE_GAIN = 0.1, 0.01
"""How far the line follows a PCR near it."""


def signed_ticks(later: int, earlier: int) -> int:
    """Return the difference of two PCRs, across the wrap after 26.5 hours, as the shorter way round.

    >>> signed_ticks(100, PCR_MODULUS - 100)
    200
    """
    ticks = (later - earlier) % PCR_MODULUS
    return ticks - PCR_MODULUS if ticks > PCR_MODULUS // 2 else ticks


class PcrLine:
    """Follows the PCRs of one PID."""

    def __init__(self, limit_ns: float) -> None:
        """Call a PCR wrong that is more than *limit_ns* off the line."""
        self._limit = limit_ns * PCR_HZ / 1e9 + 1.0  # half a tick of rounding in each of two PCRs
        self._learnt: deque[tuple[int, int]] = deque(maxlen=LEARNT)
        self._slope: float | None = None
        self._last: tuple[int, int] | None = None
        self._line = (0, 0.0)
        self._doubt: tuple[int, float] | None = None
        self._calm = 0  # PCRs in succession that were on the line: only then is a step one
        self.judged = 0
        """PCRs that were compared with a line."""
        self.intervals = 0
        self.worst_ns = 0.0

    def skip_to(self, packet: int, pcr: int) -> None:
        """Packets are missing before *packet*, or the clock jumped: the line begins again with the same slope."""
        self._last, self._line, self._doubt = (packet, pcr), (packet, float(pcr)), None

    def add(self, packet: int, pcr: int) -> tuple[int, float] | None:
        """Take the next PCR; return packet and deviation in ns of a PCR that is now known to be wrong."""
        if self._last is None or packet <= self._last[0]:
            self.skip_to(packet, pcr)
            return None
        interval = packet - self._last[0], signed_ticks(pcr, self._last[1])
        self._last = packet, pcr
        self.intervals += 1
        if self._slope is None:
            self._learn(interval)
            self._line, self._doubt = (packet, float(pcr)), None
            return None
        return self._judge(packet, pcr, self._slope, interval)

    def _learn(self, interval: tuple[int, int]) -> None:
        self._learnt.append(interval)
        if len(self._learnt) < LEARNT:
            return
        slopes = sorted(ticks / packets for packets, ticks in self._learnt)
        slope = slopes[LEARNT // 2]
        agreed = max(self._limit, slope / 2)
        good = [row for row in self._learnt if abs(row[1] - slope * row[0]) <= agreed]
        if slope > 0 and len(good) >= AGREEING:
            self._slope = sum(ticks for _, ticks in good) / sum(packets for packets, _ in good)

    def _judge(self, packet: int, pcr: int, slope: float, interval: tuple[int, int]) -> tuple[int, float] | None:
        at, ticks = self._line
        steps = packet - at
        off = (pcr - ticks - slope * steps + PCR_MODULUS / 2) % PCR_MODULUS - PCR_MODULUS / 2
        doubt, self._doubt = self._doubt, None
        calm = self._calm
        if abs(off) <= self._limit:
            self._calm += 1
            self._follow(packet, ticks + slope * steps, off, steps)
            return self._confirmed(off, doubt)
        if doubt is None:
            self._doubt = packet, off
            return None
        self._calm = 0
        if abs(off - doubt[1]) <= self._limit and calm >= LEARNT:
            self._line = packet, float(pcr)
            # A step of whole packets: some are missing that have no counter, such as null packets.
            if abs(off - round(off / slope) * slope) <= self._limit and round(off / slope):
                return None
            return self._confirmed(off, doubt)
        if max(abs(off), abs(doubt[1])) < slope / 2:
            self._follow(packet, ticks + slope * steps, off, steps)
            self._doubt = packet, off
            return self._confirmed(off, doubt)
        self._slope = None  # the rate changed
        self._learnt.clear()
        self._learn(interval)
        self._line = packet, float(pcr)
        return None

    def _follow(self, packet: int, place: float, off: float, steps: int) -> None:
        """Move the line a little towards a PCR near it: its slope was learnt from few PCRs."""
        self.judged += 1
        self._line = packet, (place + PHASE_GAIN * off) % PCR_MODULUS
        slope = (self._slope or 0) + SLOPE_GAIN * off / steps
        self._slope = slope if slope > 0 else None

    def _confirmed(self, off: float, doubt: tuple[int, float] | None) -> tuple[int, float] | None:
        """Return the PCR in *doubt* as an error, if there is one and the rate has been constant so far."""
        if not self.constant:
            return None
        self.worst_ns = max(self.worst_ns, abs(off if doubt is None else doubt[1]) * 1e9 / PCR_HZ)
        return None if doubt is None else (doubt[0], doubt[1] * 1e9 / PCR_HZ)

    @property
    def constant(self) -> bool | None:
        """Whether the rate is constant; None: too few PCRs to say."""
        if self.judged >= LEAST_JUDGED and self.judged >= CONSTANT_SHARE * (self.intervals - LEARNT):
            return True
        return False if self.intervals >= LEARNT + LEAST_JUDGED else None
