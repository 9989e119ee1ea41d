"""Notices that no PCR comes, and estimates one from the DTS of a stream.

Without a PCR no datagram would get a due time: the stream would stall, and then arrive in one burst with the next PCR.
The estimate follows the main stream. Where the main stream has stopped, and the PCR perhaps with it, the estimate
follows another stream that continues. Times here are 27 MHz ticks on the timeline, where a jump of the source's clock
does not show: the estimate goes on although the timestamps jumped, and no PCR came that did.
"""

from flume.media.mpegts import PCR_HZ

GAP_TICKS = PCR_HZ // 2
"""So much of the main stream without a PCR is a gap: 0.5 s. The standard allows 0.1 s between two PCRs; libvlc leaves
0.4 s at the beginning of a live source (measured)."""

OTHER_GAP_TICKS = 3 * PCR_HZ // 4
"""The same for another stream while none of the main stream came either: 0.75 s. One PES more must still be less than
:data:`flume.media.timeline.JUMP_TICKS`."""

GAP_STARTS = 3
"""A gap has at least this many PES: a single PES with a damaged timestamp proves nothing."""

DTS_LEAD_TICKS = PCR_HZ // 5
"""An item without any PCR is paced by its DTS, this much earlier: 0.2 s for the decoder's buffer."""


class PcrWatch:
    """Takes each PCR and each PES of the timed streams, in their order. Streams are named by their outgoing PID."""

    def __init__(self) -> None:
        """Begin before the first item."""
        self.gaps = 0
        """How often PCRs stayed away. An item without any PCR counts once."""
        self.begin_item()

    def begin_item(self) -> None:
        """Begin another item, and expect PCRs in it."""
        self._pcr: int | None = None
        self._firsts: dict[int, tuple[int, int]] = {}
        """For each stream since the last PCR or estimate: its first DTS, and how many PES have begun."""
        self._leader: int | None = None
        """The stream that the estimate follows; ``None`` while PCRs come."""
        self._lead: int | None = None
        """By how much the leader's DTS are ahead of the estimate; ``None`` before the leader's first."""

    def expect_none(self, pid: int, pcr: int) -> None:
        """The item has begun at *pcr*, which it does not have: follow the stream *pid* until a PCR comes."""
        self._leader, self._lead, self._pcr = pid, None, pcr
        self.gaps += 1

    def on_pcr(self, pcr: int) -> None:
        """A PCR came: stop estimating."""
        self._pcr, self._leader = pcr, None
        self._firsts.clear()

    def on_pes(self, pid: int, dts: int, *, is_main: bool) -> int | None:
        """A PES of *pid* with *dts* came: return the estimated PCR, or ``None`` while PCRs come.

        ``None`` also before the item's first PCR: :class:`~flume.media.item_start.ItemStart` decides whether there
        will be one.
        """
        if self._pcr is None and self._leader is None:
            return None
        if pid != self._leader:
            first, starts = self._firsts.get(pid, (dts, 0))
            self._firsts[pid] = (first, starts + 1)
            gap = GAP_TICKS if is_main else OTHER_GAP_TICKS
            if starts + 1 < GAP_STARTS or dts - first <= gap:
                return None
            self._follow(pid, first)
        self._firsts.clear()
        if self._lead is None:
            self._lead = dts - (self._pcr or 0)
        self._pcr = max(dts - self._lead, self._pcr or 0)
        return self._pcr

    def _follow(self, pid: int, first: int) -> None:
        """Follow the stream *pid* from now on; *first* is its first DTS since the last PCR or estimate."""
        self.gaps += self._leader is None
        self._leader = pid
        self._lead = first - (self._pcr or 0)
