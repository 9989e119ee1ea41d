"""One endless timeline out of many items: PCR, PTS and DTS of each item moved to follow the one before.

Inside, everything counts at 27 MHz and never wraps; what is written into packets is taken modulo the field. The
rules at a seam:

- no elementary stream goes back: the next item's first DTS (and PTS) of a stream is at or after the end of the same
  stream before the seam, and the stream for which that asks most decides for all, so the longest one is seamless;
- the PCR never goes back;
- inside an item a PCR that goes back, or more than a second ahead, starts a new anchor where the old one would have
  been next, and is counted; what the streams were ahead of the old clock is not lost, for none of them goes back;
- around such a jump audio and video are not cut at the same byte: a timestamp that belongs to the other side of it is
  put where its stream would have been next;
- where clock references stay away, the clock goes on by an estimate, and waits for the references when they return.
"""

from collections.abc import Mapping
from typing import NamedTuple

from flume.media.mpegts import PCR_HZ, PCR_MODULUS, PTS_MODULUS, TICKS_PER_PTS

JUMP_TICKS = PCR_HZ
"""A PCR more than one second ahead is a jump: the standard allows 100 ms between two."""

ORIGIN_TICKS = 10 * PCR_HZ
"""The first PCR written. Away from 0, so that a timestamp a little before it does not wrap."""

DEFAULT_INTERVAL_TICKS = PCR_HZ // 25
"""Taken as the PCR interval until there have been two: one frame at 25 frames a second."""

SEAM_TICKS = PCR_HZ // 1000
"""Least step of the PCR from one item to the next, 1 ms."""

FAR_TICKS = 60 * PCR_HZ
"""A timestamp further from the PCR than a minute is damaged or of another timeline: moved, but believed for nothing."""

LONGEST_SEAM_TICKS = 3 * PCR_HZ
"""Most that an item's first timestamps may ask the seam to wait: more is a damaged timestamp, and would be silence."""

STRAY_TICKS = PCR_HZ
"""A timestamp that is more than this away from its stream's last one, and has come as much nearer to the clock or gone
away from it, does not fit: after a pause of a stream the first is true, but not the second."""

MAX_STRAYS = 10
"""So many in a row are believed: the stream itself has moved against the clock."""

MAX_FRAME_TICKS = PCR_HZ
"""Longest duration believed of a last frame: streams of one picture an hour do not stretch the seam."""


class FirstTimestamps(NamedTuple):
    """The first DTS and PTS of an elementary stream in an item, as they stand in the packet (90 kHz)."""

    dts: int
    pts: int


def unwrap(value: int, reference: int, modulus: int) -> int:
    """Return the number nearest to *reference* that is *value* modulo *modulus*."""
    return reference + (value - reference + modulus // 2) % modulus - modulus // 2


class _Track:
    """How far one elementary stream has come on the endless timeline."""

    __slots__ = ("dts", "duration", "lead", "pts", "strays")

    def __init__(self, dts: int, pts: int, lead: int) -> None:
        self.dts, self.pts, self.lead = dts, pts, lead
        self.duration = self.strays = 0

    @property
    def next(self) -> int:
        return self.dts + self.duration

    def fits(self, dts: int, lead: int) -> bool:
        """Whether *dts*, so much ahead of the clock, belongs to the same timeline as the one before."""
        return abs(dts - self.dts) <= STRAY_TICKS or abs(lead - self.lead) <= STRAY_TICKS or self.strays == MAX_STRAYS

    def advance(self, dts: int, pts: int, lead: int) -> None:
        if 0 < dts - self.dts <= MAX_FRAME_TICKS:
            self.duration = dts - self.dts
        self.dts = max(self.dts, dts)
        self.pts = max(self.pts, pts)
        self.lead = lead


class Timeline:
    """Moves timestamps of one item after another; see the module for the rules."""

    def __init__(self) -> None:
        """Begin before the first item."""
        self.pcr_jumps = 0
        self.stray_timestamps = 0
        """Timestamps of PES that were put where their stream would have been next."""
        self._offset: int | None = None
        self._pcr: int | None = None
        self._first_of_item = True
        self._is_estimated = False
        self._unsettled: set[int] = set()
        """Streams of which nothing has come since the clock jumped."""
        self._interval = DEFAULT_INTERVAL_TICKS
        self._tracks: dict[int, _Track] = {}
        self._before: dict[int, _Track] = {}
        self._end_at_pcr = 0

    @property
    def now(self) -> int:
        """The last PCR on the endless timeline."""
        return ORIGIN_TICKS if self._pcr is None else self._pcr

    @property
    def follows_an_item(self) -> bool:
        """Whether there are earlier streams to follow, so that :meth:`anchor` wants to know where new ones begin."""
        return bool(self._before)

    def begin_item(self) -> None:
        """Forget the item's anchor; what follows belongs to another clock."""
        self._before |= self._tracks
        self._tracks = {}
        self._offset = None
        self._first_of_item = True
        self._is_estimated = False
        self._unsettled.clear()

    def anchor(self, pcr: int, firsts: Mapping[int, FirstTimestamps]) -> None:
        """Place the item that begins at *pcr* (27 MHz, as in the packet), with *firsts* by outgoing PID."""
        if self._pcr is None:
            self._offset = ORIGIN_TICKS - pcr
            return
        earliest = self._pcr + SEAM_TICKS - pcr
        starts = [earliest]
        for pid, first in firsts.items():
            track = self._before.get(pid)
            if track is not None:
                dts, pts = (unwrap(value * TICKS_PER_PTS, pcr, PCR_MODULUS) for value in first)
                starts.append(max(track.dts - dts, track.pts - pts) + track.duration)
        self._offset = max(start for start in starts if start <= earliest + LONGEST_SEAM_TICKS)

    def restamp_pcr(self, pcr: int, *, is_estimated: bool = False) -> int:
        """Return *pcr* (as in the packet) on the endless timeline, at 27 MHz; never before the last one.

        *is_estimated*: no packet says so, it is taken from timestamps while clock references stay away.
        """
        if self._offset is None:
            self.anchor(pcr, {})
        offset = self._offset or 0
        if self._pcr is None or self._first_of_item:
            moved = max(pcr + offset, self._pcr or 0)
        else:
            moved = unwrap(pcr + offset, self._pcr, PCR_MODULUS)
            step = moved - self._pcr
            if self._is_estimated and -JUMP_TICKS <= step < 0:
                return self._pcr  # the estimate was ahead: stand still until the truth has come there
            if not 0 <= step <= JUMP_TICKS:
                moved = self._jump(pcr)
            elif step:
                self._interval = step
        self._first_of_item = False
        self._is_estimated = is_estimated
        self._pcr = moved
        self._end_at_pcr = self._end()
        return moved

    def _jump(self, pcr: int) -> int:
        """Go on from another *pcr* as if it were the one that was expected next."""
        self.pcr_jumps += 1
        moved = self.now + self._interval
        self._offset = moved - pcr
        self._unsettled = set(self._tracks)
        return moved

    def advance_to(self, pcr: int) -> None:
        """Go on to *pcr* (on the endless timeline), because what is on its way was sent by that time."""
        self._pcr = max(self.now, pcr)
        self._is_estimated = True

    def move(self, ticks: int) -> int:
        """Return the place of *ticks* (27 MHz, as in the packet) on the endless timeline, and change nothing."""
        return unwrap(ticks + (self._offset or 0), self.now, PCR_MODULUS)

    def restamp_pes(self, pid: int, pts: int, dts: int) -> tuple[int, int]:
        """Return PTS and DTS (90 kHz) of a PES on the outgoing *pid*, to be written modulo 2^33."""
        now, track = self.now, self._tracks.get(pid)
        moved = self.move(dts * TICKS_PER_PTS)
        if track is not None:
            moved = self._place(pid, track, moved)
        delay = unwrap(pts - dts, 0, PTS_MODULUS) * TICKS_PER_PTS
        if max(abs(moved - now), abs(moved + delay - now)) <= FAR_TICKS:
            if track is None:
                self._tracks[pid] = track = _Track(moved, moved + delay, moved - now)
            track.advance(moved, moved + delay, moved - now)
        return (moved + delay) // TICKS_PER_PTS, moved // TICKS_PER_PTS

    def _place(self, pid: int, track: _Track, moved: int) -> int:
        """Return where a PES of *pid* belongs whose DTS would be *moved* by the present offset."""
        if not track.fits(moved, moved - self.now):
            track.strays += 1
            self.stray_timestamps += 1
            return track.next
        track.strays = 0
        if pid in self._unsettled:
            self._unsettled.discard(pid)
            late = track.next - moved
            if 0 < late <= JUMP_TICKS // 2:
                # The new clock is nearer to its streams: it gets the difference, rather than that they go back.
                self._offset = (self._offset or 0) + late
                moved += late
        return moved

    def _end(self) -> int:
        return max((track.dts + track.duration for track in self._tracks.values()), default=0)

    def end_of_item(self) -> int | None:
        """Return where the item's last bytes are due, at 27 MHz: as far after its last PCR as its streams went on.

        ``None`` before the first PCR of all.
        """
        if self._pcr is None:
            return None
        return self._pcr + max(self._interval, min(self._end() - self._end_at_pcr, FAR_TICKS))


def seconds_from_origin(ticks: int) -> float:
    """Return a place on the endless timeline as seconds since the first PCR."""
    return (ticks - ORIGIN_TICKS) / PCR_HZ
