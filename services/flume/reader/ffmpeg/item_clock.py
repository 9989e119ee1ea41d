"""One clock for an item whose own clock may break: recordings that were joined, or whose transmitter began anew.

Every track has its own timestamps, and any of them may jump. An *offset* leads from an item's timestamps to the clock
that goes out. A jump of one track makes a new offset, by which that track continues where it would have been next. The
other tracks jump a little earlier or later in the file; each then takes the offset that fits. So a jump of all tracks
is one event, and a track that does not jump keeps its own offset.

A stored file's timestamps are believed: a slide show has 20 s between two pictures. Only the formats of transmission
(MPEG-TS, MPEG-PS) are without a clock of the file, so a step forward there may be a jump: if it is long for its track
and no other track goes along.

All times here are ticks of 90 kHz.
"""

from fractions import Fraction
from typing import NamedTuple

from flume.media.mpegts import PTS_HZ

HZ = PTS_HZ

TIME_BASE = Fraction(1, HZ)
"""The same as a time base of FFmpeg's, seconds a tick."""

ORIGIN = 10 * HZ
"""Where the first packet is put: above 0, because packets of other tracks may come before it."""

BACK = HZ // 10
"""A DTS that goes back by less than 0.1 s is rounded badly, and moved; by more, the clock has jumped."""

FORWARD = HZ
"""In a format of transmission, a step of more than 1 s may be a jump."""

STEPS = 10
"""… unless the track's frames are that far apart: a jump is longer than so many of its steps."""

MAX_OVERLAP = HZ // 2
"""Tracks of a recording end up to half a second apart: where the next one follows, one of them overlaps itself."""

SPREAD = 3 * HZ
"""In a format of transmission, tracks lie so far apart in the file at most; a track further behind had paused."""

APART = 60 * HZ
"""In a format of transmission, a track that would begin more than a minute from the others has a clock of its own."""

UNKNOWN_STEP = 60 * HZ
"""The longest step that is believed of a track of which only one packet came."""

MAX_OFFSETS = 4
"""How many offsets are remembered, the newest last."""


class Place(NamedTuple):
    """Where a packet belongs on the clock that goes out."""

    dts: int
    pts: int


class _Track:
    __slots__ = ("last", "last_shown", "offset", "step")

    def __init__(self, last: int, offset: int, step: int) -> None:
        self.last, self.offset, self.step = last, offset, step
        self.last_shown = last


class ItemClock:
    """Gives each packet of an item its place. Tracks are named by any number.

    >>> clock = ItemClock(may_break=True)
    >>> [clock.place(0, dts, dts, 3600).dts - ORIGIN for dts in (90000, 93600, 0, 3600)]
    [0, 3600, 7200, 10800]
    >>> clock.jumps
    1
    """

    def __init__(self, *, may_break: bool) -> None:
        """*may_break*: the format is one of transmission, in which a clock may jump ahead."""
        self.jumps = 0
        """How often the item's clock jumped."""
        self._may_break = may_break
        self._offsets: list[int] = []
        self._tracks: dict[int, _Track] = {}

    def place(self, number: int, dts: int, pts: int, duration: int) -> Place:
        """Return where the packet of track *number* belongs; *duration* is 0 where the item does not know it."""
        track = self._tracks.get(number)
        if track is None:
            self._begin_track(dts)
            track = self._tracks[number] = _Track(dts + self._offsets[-1] - 1, self._offsets[-1], duration)
            offset = track.offset
        else:
            offset = self._offset_for(track, dts, pts)
        track.offset = offset
        moved = dts + offset
        if moved <= track.last:
            moved = track.last + 1
        elif moved > track.last + 1:
            track.step = duration or moved - track.last
        track.last = moved
        shown = max(moved, pts + offset)
        track.last_shown = max(track.last_shown, shown)
        return Place(moved, shown)

    def _begin_track(self, dts: int) -> None:
        """Make the newest offset one by which a track may begin with *dts*."""
        if not self._offsets:
            self._offsets.append(ORIGIN - dts)
        elif self._may_break:
            now = self._now()
            if abs(dts + self._offsets[-1] - now) > APART:
                self.jumps += 1
                self._offsets = [*self._offsets[1 - MAX_OFFSETS :], now + 1 - dts]

    def _now(self) -> int:
        """Return where the track is that is furthest."""
        return max(track.last for track in self._tracks.values())

    def _offset_for(self, track: _Track, dts: int, pts: int) -> int:
        if self._fits(track, dts + track.offset):
            return track.offset
        for offset in reversed(self._offsets):
            if offset == track.offset:
                continue
            # The track that jumped first goes on where it was; this one may overlap itself a little. Its packets there
            # are moved, and picture and sound stay together.
            overlap = track.last - (dts + offset)
            if self._may_break and self._now() - (dts + offset) > SPREAD:
                continue
            if self._fits(track, dts + offset) or (offset == self._offsets[-1] and 0 <= overlap <= MAX_OVERLAP):
                return offset
        return self._jump(track, dts, pts)

    def _fits(self, track: _Track, moved: int) -> bool:
        step = moved - track.last
        if step < -BACK:
            return False
        if not self._may_break or step <= FORWARD:
            return True
        if step <= (STEPS * track.step if track.step else UNKNOWN_STEP):
            return True
        # A pause of this track alone: the others have gone on meanwhile, up to here or further.
        return any(moved - other.last <= FORWARD for other in self._tracks.values() if other is not track)

    def _jump(self, track: _Track, dts: int, pts: int) -> int:
        self.jumps += 1
        # After the last picture in the order of decoding, and in that of showing.
        offset = max(track.last - dts, track.last_shown - pts) + max(track.step, 1)
        # A track that had paused goes on where the others are now.
        if self._may_break and self._now() - track.last > SPREAD:
            offset = max(offset, self._now() + 1 - dts)
        self._offsets = [*self._offsets[1 - MAX_OFFSETS :], offset]
        return offset
