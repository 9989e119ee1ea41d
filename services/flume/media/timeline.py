"""One endless timeline for many items: PCR, PTS and DTS of each item are moved to follow the item before.

Inside this module all times count at 27 MHz and never wrap; values written to packets are taken modulo their field. The
rules:

- At a seam between two items, no elementary stream goes back: the next item's first DTS (and PTS) of a stream is at or
  after the end of the same stream before the seam. The stream that needs the latest start decides for all, so the
  longest stream has no gap. An item without the longest stream begins at that stream's end.
- All items begin with the same lead of their timestamps over the PCR, the largest that any had so far. Otherwise each
  change from a small lead to a large one would be a pause.
- The PCR never goes back.
- An item with a trusted clock is believed: its reader has repaired the clock. A PCR may step ahead as far as it will,
  no timestamp is stray, and a frame may last as long as it will. For any other item the rules below hold.
- A PCR that goes back is a jump, and one that is far ahead. Far is more than a second for a live source, but not where
  its streams have come as far, or where its last step was as long: it sends few pictures. Far is more than a minute
  for a film: its timestamps are believed over any limit for transmitted streams.
- After a jump the PCR is placed where the old one would have been next, and the jump is counted. Its streams keep the
  lead that they had over the old PCR, so that none of them goes back.
- Around such a jump, audio and video do not change at the same byte. A timestamp from the other side of the jump is
  placed where its stream would have been next. Where the timestamps jump for good and no PCR does, the streams continue
  where they were, and the jump is counted.
- Where no PCR comes, the timeline continues by an estimate, and waits for the PCR when it returns.
"""

from collections.abc import Mapping
from typing import NamedTuple

from flume.media.mpegts import PCR_HZ, PCR_MODULUS, PTS_MODULUS, TICKS_PER_PTS
from flume.media.tracks import MAX_STRAYS, Track, end_of

JUMP_TICKS = PCR_HZ
"""In a live source, a PCR more than one second ahead is a jump: the standard allows 100 ms between two PCRs."""

SAME_EVENT_TICKS = PCR_HZ
"""A PCR that jumps as far as streams have jumped before, up to 1 s, follows them: that is one event."""

ORIGIN_TICKS = 10 * PCR_HZ
"""The first PCR written, 10 s. Not 0, so that a timestamp a little before it does not wrap."""

DEFAULT_INTERVAL_TICKS = PCR_HZ // 25
"""The PCR interval that is assumed until two PCRs have come: one frame at 25 frames a second."""

SEAM_TICKS = PCR_HZ // 1000
"""Least step of the PCR from one item to the next: 1 ms."""

FAR_TICKS = 60 * PCR_HZ
"""A timestamp more than a minute from the PCR is damaged or of another timeline: it is moved like the others, but its
stream's end is not computed from it."""

LONGEST_LEAD_TICKS = 3 * PCR_HZ
"""Most of an item's first lead that later items take over: 3 s. Decoders buffer 1 s (ISO/IEC 13818-1, 2.4.2.6)."""

LATE_TICKS = 3 * PCR_HZ
"""A stream whose first DTS is more than 3 s before the first PCR does not decide where its item begins: the timestamp
is damaged, and going by it would leave clients without datagrams. libvlc sends 1 s of audio before the first PCR of a
live source (measured)."""

MAX_FRAME_TICKS = PCR_HZ
"""Longest duration assumed for a last frame without a trusted clock, so that a damaged timestamp does not delay the
next item."""


class FirstTimestamps(NamedTuple):
    """The first DTS and PTS of an elementary stream in an item, as in the packet (90 kHz)."""

    dts: int
    pts: int


def unwrap(value: int, reference: int, modulus: int) -> int:
    """Return the number nearest to *reference* that equals *value* modulo *modulus*.

    >>> unwrap(3, 998, 1000)
    1003
    """
    return reference + (value - reference + modulus // 2) % modulus - modulus // 2


class Timeline:
    """Moves the timestamps of one item after another; see the module for the rules.

    >>> timeline = Timeline()
    >>> timeline.begin_item()
    >>> timeline.restamp_pcr(123_456_789)  # the first PCR becomes ORIGIN_TICKS
    270000000
    """

    def __init__(self) -> None:
        """Begin before the first item."""
        self.pcr_jumps = 0
        """How often a PCR inside an item went back or jumped ahead."""
        self.stray_timestamps = 0
        """PES whose timestamps were placed where their stream would have been next."""
        self.timestamp_jumps = 0
        """How often streams jumped inside an item without the PCR."""
        self._offset: int | None = None
        """What is added to a PCR of the present item; ``None`` before it has its place."""
        self._delay = 0
        """What is added to a PTS or DTS besides, so that all items begin with the same lead."""
        self._lead = 0
        """The largest lead over the PCR with which an item began."""
        self._pcr: int | None = None
        self._first_of_item = True
        self._begins_at = ORIGIN_TICKS
        """The present item's first PCR on the timeline."""
        self._is_trusted, self._is_live = False, True
        self._is_estimated = False
        self._step = 0
        """The last step of the item's PCR, in whatever direction."""
        self._after_jump: set[int] = set()
        """Streams of which no PES has come since the PCR jumped."""
        self._interval = DEFAULT_INTERVAL_TICKS
        self._tracks: dict[int, Track] = {}
        self._before: dict[int, Track] = {}

    @property
    def now(self) -> int:
        """The last PCR on the timeline."""
        return ORIGIN_TICKS if self._pcr is None else self._pcr

    @property
    def follows_an_item(self) -> bool:
        """Whether there were streams before, so that :meth:`anchor` needs the first timestamps of the new ones."""
        return bool(self._before)

    def begin_item(self, *, trusted_clock: bool = False, live: bool = True) -> None:
        """Forget the item's offset: the timestamps that follow belong to another clock, *trusted_clock* or not."""
        self._lead = max(self._lead, min(self._lead_of_item(), LONGEST_LEAD_TICKS))
        end = self._end(self._tracks)
        self._before |= {pid: track for pid, track in self._tracks.items() if track.next <= end}
        self._tracks = {}
        self._offset, self._delay = None, 0
        self._first_of_item = True
        self._is_trusted, self._is_live = trusted_clock, live
        self._is_estimated = False
        self._step = 0
        self._after_jump.clear()

    def anchor(self, pcr: int, firsts: Mapping[int, FirstTimestamps]) -> None:
        """Place the item whose first PCR is *pcr* (27 MHz, as in the packet); *firsts* by outgoing PID."""
        if self._pcr is None:
            self._offset = ORIGIN_TICKS - pcr
            return
        earliest = self._pcr + SEAM_TICKS - pcr
        begins = _believed(pcr, firsts)
        if not begins or not self._before:
            self._offset = earliest
            return
        first = min(dts for dts, _ in begins.values())
        begins_after = {pid: firsts for pid, firsts in begins.items() if pid in self._before}
        longest = max(self._before, key=lambda pid: self._before[pid].end)
        if longest not in begins:
            begins_after[longest] = FirstTimestamps(first, min(pts for _, pts in begins.values()))
        start = max(
            self._before[pid].start_after(dts, pts, is_trusted=self._is_trusted)
            for pid, (dts, pts) in begins_after.items()
        )
        lead = first - pcr
        self._offset = max(earliest, start + lead - max(lead, self._lead))
        self._delay = max(start - self._offset, 0)

    def restamp_pcr(self, pcr: int, *, is_estimated: bool = False) -> int:
        """Return *pcr* (27 MHz, as in the packet) on the timeline; never before the last one.

        *is_estimated*: *pcr* comes from a timestamp because no PCR came.
        """
        if self._offset is None:
            self.anchor(pcr, {})
        offset = self._offset or 0
        if self._pcr is None or self._first_of_item:
            moved = self._begins_at = max(pcr + offset, self._pcr or 0)
        else:
            moved = unwrap(pcr + offset, self._pcr, PCR_MODULUS)
            step = moved - self._pcr
            if step < 0 and (self._is_trusted or (self._is_estimated and step >= -JUMP_TICKS)):
                return self._pcr  # the estimate was ahead: repeat it until the PCR has reached it
            if self._is_jump(step, moved):
                moved = self._jump(pcr)
            elif step:
                self._interval = step
            self._step = step
        self._first_of_item = False
        self._is_estimated = is_estimated
        self._pcr = moved
        return moved

    def _is_jump(self, step: int, moved: int) -> bool:
        if self._is_trusted or 0 <= step <= JUMP_TICKS:
            return False
        if step < 0:
            return True
        if not self._is_live and step <= FAR_TICKS:
            return False
        is_usual = JUMP_TICKS < step <= 2 * self._step
        return not is_usual and all(track.dts < moved for track in self._tracks.values())

    def _jump(self, pcr: int) -> int:
        """Take *pcr* for the one that was expected next, and move all that follows by the same offset."""
        moved = self.now + self._interval
        jump = moved - self.move(pcr)
        shifts = [track.shift for track in self._tracks.values() if track.shift]
        self.pcr_jumps += all(abs(shift - jump) > SAME_EVENT_TICKS for shift in shifts)
        self._offset = moved - pcr
        self._after_jump = set(self._tracks)
        for track in self._tracks.values():
            track.shift = 0
        return moved

    def estimate(self, pcr: int) -> int:
        """Go on to *pcr* (on the timeline), which comes from a timestamp because no PCR came; return it.

        It is never before the last one.
        """
        self._first_of_item = False
        self.advance_to(pcr)
        return self.now

    def advance_to(self, pcr: int) -> None:
        """Move on to *pcr* (on the timeline): datagrams were already given due times up to there."""
        self._pcr = max(self.now, pcr)
        self._is_estimated = True

    def move(self, pcr: int) -> int:
        """Return *pcr* (27 MHz, as in the packet) on the timeline. Changes nothing."""
        return unwrap(pcr + (self._offset or 0), self.now, PCR_MODULUS)

    def move_timestamp(self, value: int) -> int:
        """Return the PTS or DTS *value* (90 kHz, as in the packet) on the timeline (27 MHz). Changes nothing."""
        return unwrap(value * TICKS_PER_PTS + (self._offset or 0) + self._delay, self.now, PCR_MODULUS)

    def restamp_pes(self, pid: int, pts: int, dts: int) -> tuple[int, int]:
        """Return PTS and DTS (90 kHz) on the timeline for a PES of the outgoing *pid*, to be written modulo 2^33."""
        now, track = self.now, self._tracks.get(pid)
        moved = self.move_timestamp(dts)
        if track is not None and not self._is_trusted:
            moved = self._place(pid, track, moved)
        shown = moved + unwrap(pts - dts, 0, PTS_MODULUS) * TICKS_PER_PTS
        if track is not None and moved < track.dts <= shown:
            moved = track.dts  # some multiplexers go back with it before B pictures; the PTS is what counts
        if self._is_trusted or max(abs(moved - now), abs(shown - now)) <= FAR_TICKS:
            if track is None:
                self._tracks[pid] = track = Track(moved, shown, moved - now)
            longest = None if self._is_trusted else MAX_FRAME_TICKS if self._is_live else FAR_TICKS
            track.advance(moved, shown, moved - now, longest=longest)
        return shown // TICKS_PER_PTS, moved // TICKS_PER_PTS

    def _place(self, pid: int, track: Track, moved: int) -> int:
        """Return the DTS to give a PES of *pid*, which the present offset would place at *moved*."""
        moved += track.shift
        if not track.fits(moved, moved - self.now):
            if track.strays < MAX_STRAYS:
                track.strays += 1
                return track.next
            others = [other for other in self._tracks.values() if other is not track]
            if track.takes_a_jump(moved, others):
                self.timestamp_jumps += track.jump(moved, others)
                track.strays = 0
                return track.next
        self._count_strays(track)
        if pid in self._after_jump:
            self._after_jump.discard(pid)
            late = track.next - moved
            if 0 < late <= JUMP_TICKS // 2:
                # The streams have less lead over the new PCR than over the old one: no stream may go back for it.
                self._offset = (self._offset or 0) + late
                moved += late
        return moved

    def _count_strays(self, track: Track) -> None:
        self.stray_timestamps += track.strays
        track.strays = 0

    def _end(self, tracks: Mapping[int, Track]) -> int:
        return end_of(tracks, now=self.now, is_trusted=self._is_trusted)

    def _lead_of_item(self) -> int:
        """Return by how much the present item's earliest DTS is ahead of its first PCR."""
        if not self._tracks:
            return 0
        return min(track.first_dts for track in self._tracks.values()) - self._begins_at

    def end_of_item(self, last_durations: Mapping[int, int] | None = None) -> int | None:
        """Return when the item's last bytes are due (27 MHz): its streams' end, less the lead with which items begin.

        *last_durations*: how long the last frame of a stream lasts (90 kHz), by outgoing PID. For any other stream its
        last step is taken. ``None`` before the very first PCR.
        """
        if self._pcr is None:
            return None
        for pid, track in self._tracks.items():
            self._count_strays(track)
            if last_durations and pid in last_durations:
                track.duration = last_durations[pid] * TICKS_PER_PTS
            elif not track.duration:  # a single frame
                before = self._before.get(pid)
                track.duration = before.duration if before is not None else DEFAULT_INTERVAL_TICKS
        if not self._tracks:
            return self._pcr + self._interval
        end = self._end(self._tracks) - max(self._lead, self._lead_of_item())
        return max(self._pcr, end if self._is_trusted else min(end, self._pcr + FAR_TICKS))


def _believed(pcr: int, firsts: Mapping[int, FirstTimestamps]) -> dict[int, FirstTimestamps]:
    """Return those of an item's *firsts*, unwrapped to 27 MHz, that may decide where it begins; see :data:`LATE_TICKS`.

    *pcr* is its first PCR.
    """
    unwrapped = {
        pid: FirstTimestamps(*(unwrap(value * TICKS_PER_PTS, pcr, PCR_MODULUS) for value in first))
        for pid, first in firsts.items()
    }
    return {pid: first for pid, first in unwrapped.items() if first.dts >= pcr - LATE_TICKS}


def seconds_from_origin(ticks: int) -> float:
    """Return *ticks* on the timeline as seconds since the first PCR.

    >>> seconds_from_origin(ORIGIN_TICKS + PCR_HZ)
    1.0
    """
    return (ticks - ORIGIN_TICKS) / PCR_HZ
