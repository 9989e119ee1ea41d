"""Notices that clock references stay away, and says what they would be, by the timestamps of a stream: of the main one,
or of another that goes on while the main one, and with it perhaps the clock, has stopped.

Without them nothing that follows would ever be due: a stream that has lost them would stand still and come in one
burst with the next one. Times here are as in the packets, at 27 MHz, modulo the field.
"""

from flume.media.mpegts import PCR_HZ, PCR_MODULUS
from flume.media.timeline import unwrap

GAP_TICKS = PCR_HZ // 2
"""So much of the main stream without a clock reference is a gap. The standard allows 0.1 s between two; libvlc leaves
0.4 s at the beginning of a live source (measured)."""

OTHER_GAP_TICKS = 3 * PCR_HZ // 4
"""And so much of another stream, in which nothing came of the main one either: with a PES more it has to be less than
what the clock takes for a jump."""

GAP_STARTS = 3
"""And so many PES: one whose timestamp is damaged proves nothing."""

DTS_LEAD_TICKS = PCR_HZ // 5
"""An item without any PCR is paced by its DTS, this much earlier: 0.2 s for the decoder's buffer."""


class PcrWatch:
    """Told of each clock reference and of each PES of the timed streams, in their order; streams are named by PID."""

    def __init__(self) -> None:
        """Begin before the first item."""
        self.gaps = 0
        """How often clock references stayed away; an item without any is one."""
        self.begin_item()

    def begin_item(self) -> None:
        """Expect references."""
        self._pcr: int | None = None
        self._firsts: dict[int, tuple[int, int]] = {}
        """The first DTS of each stream since the last reference or estimate, and how many PES began since."""
        self._leader: int | None = None
        self._lead = DTS_LEAD_TICKS

    def expect_none(self, pid: int) -> None:
        """The item has begun without a reference: go by the stream *pid* until one comes."""
        self._leader, self._lead = pid, DTS_LEAD_TICKS
        self.gaps += 1

    def on_pcr(self, pcr: int) -> None:
        """A clock reference came."""
        self._pcr, self._leader = pcr, None
        self._firsts.clear()

    def on_pes(self, pid: int, dts: int, *, is_main: bool) -> int | None:
        """A PES of *pid* with *dts* came: return the PCR to put in its place, ``None`` while PCRs come by themselves.

        ``None`` before the item's first PCR, too: whether there will be one is not decided here.
        """
        if self._pcr is None and self._leader is None:
            return None
        if pid != self._leader:
            first, starts = self._firsts.get(pid, (dts, 0))
            self._firsts[pid] = (first, starts + 1)
            gap = GAP_TICKS if is_main else OTHER_GAP_TICKS
            if starts + 1 < GAP_STARTS or unwrap(dts - first, 0, PCR_MODULUS) <= gap:
                return None
            self._follow(pid, first)
        self._firsts.clear()
        self._pcr = (dts - self._lead) % PCR_MODULUS
        return self._pcr

    def _follow(self, pid: int, first: int) -> None:
        """Go by the stream *pid* from now on, whose *first* DTS since the last PCR or estimate this was."""
        self.gaps += self._leader is None
        self._leader = pid
        self._lead = DTS_LEAD_TICKS if self._pcr is None else first - self._pcr
