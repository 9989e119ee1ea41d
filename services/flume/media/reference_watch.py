"""Notices that clock references stay away, and says what they would be, by the timestamps of the main stream.

Without them nothing that follows would ever be due: a stream that has lost them would stand still and come in one
burst with the next one. Times here are as in the packets, at 27 MHz, modulo the field.
"""

from flume.media.clock import unwrap
from flume.media.mpegts import PCR_HZ, PCR_MODULUS

GAP_TICKS = PCR_HZ // 2
"""So much of the main stream without a clock reference is a gap. The standard allows 0.1 s between two; libvlc leaves
0.4 s at the beginning of a live source (measured)."""

GAP_STARTS = 3
"""And so many of its PES: one whose timestamp is damaged proves nothing."""

DTS_LEAD_TICKS = PCR_HZ // 5
"""An item without any PCR is paced by its DTS, this much earlier: 0.2 s for the decoder's buffer."""


class ReferenceWatch:
    """Told of each clock reference and of each PES of the main stream, in their order."""

    def __init__(self) -> None:
        """Begin before the first item."""
        self.gaps = 0
        """How often clock references stayed away; an item without any is one."""
        self.begin_item()

    def begin_item(self) -> None:
        """Expect references."""
        self._is_missing = False
        self._pcr: int | None = None
        self._first: int | None = None
        self._starts = 0

    def expect_none(self) -> None:
        """The item has begun without a reference: do without until one comes."""
        self._is_missing = True
        self.gaps += 1

    def on_reference(self, pcr: int) -> None:
        """A clock reference came."""
        self._is_missing = False
        self._pcr, self._first, self._starts = pcr, None, 0

    def estimate(self, dts: int) -> int | None:
        """Return the clock reference that a PES with *dts* stands for, ``None`` while the true ones come."""
        if self._first is None:
            self._first = dts
        self._starts += 1
        if not self._is_missing:
            progress = unwrap(dts - self._first, 0, PCR_MODULUS)
            if self._starts < GAP_STARTS or progress <= GAP_TICKS:
                return None
            self._is_missing = True
            self.gaps += 1
        lead = DTS_LEAD_TICKS if self._pcr is None else self._first - self._pcr
        return (dts - lead) % PCR_MODULUS
