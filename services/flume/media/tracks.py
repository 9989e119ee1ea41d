"""One elementary stream on the timeline: what continues it, what is stray, and what is a jump of its own.

All times are 27 MHz ticks on the timeline.
"""

from collections.abc import Iterable, Mapping

from flume.media.mpegts import PCR_HZ

STRAY_TICKS = PCR_HZ
"""A DTS is stray if it is more than 1 s from its stream's last DTS and its lead over the PCR is also more than 1 s from
the last one and the first. All are needed: after a pause of the stream only the first is true, and the last lead may
be that of a frame that came late."""

MAX_STRAYS = 10
"""After so many strays in a row the next one is no damage: the stream itself has moved against the PCR."""

SAME_JUMP_TICKS = PCR_HZ // 2
"""Two streams that jump by the same amount, up to 0.5 s, have jumped together and keep their distance."""

LONGEST_DECODER_LEAD_TICKS = 10 * PCR_HZ
"""A DTS is at most 10 s ahead of its PCR (ISO/IEC 13818-1, 2.7.9 for H.264): a stream farther ahead is damaged, and no
item waits for its end."""

REORDERED_FRAMES = 16
"""Most frames by which a PTS is after its DTS (H.264 and H.265: max_dec_frame_buffering)."""


class Track:
    """The last timestamps of one elementary stream, and the duration of its last frame."""

    __slots__ = ("dts", "duration", "first_dts", "first_lead", "lead", "pts", "shift", "strays")

    def __init__(self, dts: int, pts: int, lead: int) -> None:
        """Begin with the stream's first frame in the item, *lead* ahead of the PCR."""
        self.dts, self.pts, self.lead = dts, pts, lead
        self.first_dts, self.first_lead = dts, lead
        self.duration = self.strays = 0
        self.shift = 0
        """What is added to its timestamps since they jumped without the PCR."""

    @property
    def next(self) -> int:
        """Where its next frame belongs."""
        return self.dts + self.duration

    @property
    def end(self) -> int:
        """Until when its last frame is shown."""
        return self.pts + self.duration

    def fits(self, dts: int, lead: int) -> bool:
        """Return whether *dts*, *lead* ahead of the PCR, continues the stream; see :data:`STRAY_TICKS`."""
        return min(abs(dts - self.dts), abs(lead - self.lead), abs(lead - self.first_lead)) <= STRAY_TICKS

    def advance(self, dts: int, pts: int, lead: int, *, longest: int | None) -> None:
        """Take the next frame; a step of more than *longest* is no frame's duration."""
        if dts > self.dts and (longest is None or dts - self.dts <= longest):
            self.duration = dts - self.dts
        self.dts = max(self.dts, dts)
        self.pts = max(self.pts, pts)
        self.lead = lead

    def takes_a_jump(self, moved: int, others: Iterable["Track"]) -> bool:
        """Whether its timestamps, which go on at *moved*, jumped: back, or ahead together with all *others*.

        ``False``: it went ahead alone. Its multiplexer sends it early, and a decoder keeps it until its time.
        """
        return moved < self.dts or all(other.strays or other.shift for other in others)

    def jump(self, moved: int, others: Iterable["Track"]) -> bool:
        """Continue at :attr:`next` from now on, although the timestamps go on at *moved*; return whether alone.

        ``False``: it joins another track that has jumped by the same amount.
        """
        needed = self.next - moved
        for other in others:
            together = other.shift - self.shift
            if other.shift and abs(together - needed) <= SAME_JUMP_TICKS:
                self.shift += max(together, needed)
                return False
        self.shift += needed
        return True

    def start_after(self, dts: int, pts: int, *, is_trusted: bool) -> int:
        """Return what must be added to another item's first *dts* and *pts* so that they follow this track's end."""
        by_dts, by_pts = self.next - dts, self.pts - pts + self.duration
        if not is_trusted:
            by_pts = min(by_pts, by_dts + REORDERED_FRAMES * max(self.duration, PCR_HZ // 25))
        return max(by_dts, by_pts)


def end_of(tracks: Mapping[int, Track], *, now: int, is_trusted: bool) -> int:
    """Return the end of the longest of *tracks*, 0 if there are none; *now* is the last PCR."""
    ends = [track.next for track in tracks.values()]
    plausible = [
        track.next for track in tracks.values() if track.next - track.duration <= now + LONGEST_DECODER_LEAD_TICKS
    ]
    return max(ends if is_trusted else plausible or ends, default=0)
