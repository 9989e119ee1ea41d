"""Items of any length follow one another: nothing is lost, no stream goes back, and no seam is a silence."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flume.media.datagrams import Datagram
from flume.media.packetizer import Packetizer
from support.media.packetizer_harness import AUDIO, VIDEO
from support.media.ts_stream import H264_KEYFRAME, H264_OTHER, Builder, Check

PIDS = {100: VIDEO, 200: AUDIO}
QUARTER = 22_500
MS = 90


class Clip(NamedTuple):
    """An item of a random multiplexer. All times are 90 kHz."""

    video: int
    """Pictures; 0: it has no video."""
    audio: int
    video_step: int
    audio_step: int
    video_offset: int
    """By how much the first picture comes after the item's beginning."""
    audio_offset: int
    reorder: int
    """By how many frames PTS is after DTS."""
    start: int
    lead: int
    pcr_every: int
    """Frames of the stream with the PCR from one PCR to the next."""

    def frames(self) -> list[tuple[int, int]]:
        """Return DTS and incoming PID of each frame, in the multiplexer's order."""
        video = [(self.video_offset + number * self.video_step, 100) for number in range(self.video)]
        audio = [(self.audio_offset + number * self.audio_step, 200) for number in range(self.audio)]
        return sorted(video + audio)

    def steps(self) -> dict[int, int]:
        return {100: self.video_step, 200: self.audio_step}

    def own_lead(self) -> int:
        """Return by how much its earliest DTS is ahead of its first PCR."""
        begins = self.video_offset if self.video else self.audio_offset
        return self.lead - (begins - min(self.frames())[0])

    def bytes(self) -> bytes:
        builder = Builder(video=100 if self.video else None, audio=200 if self.audio else None)
        builder.tables()
        counts = {100: 0, 200: 0}
        for at, pid in self.frames():
            dts = self.start + at
            has_pcr = pid == builder.pcr_pid and counts[pid] % self.pcr_every == 0
            pcr = ((dts - self.lead) * 300) % (2**33 * 300) if has_pcr else None
            pts, payload = dts, b"\xff\xf1" + bytes(100)
            if pid == 100:
                pts += self.reorder * self.video_step
                payload = (H264_KEYFRAME if counts[pid] % 10 == 0 else H264_OTHER) + bytes(1300)
            builder.pes(pid, payload, pts=pts, dts=dts, pcr=pcr)
            counts[pid] += 1
        return bytes(builder.data)


CLIPS = st.builds(
    Clip,
    video=st.one_of(st.integers(0, 5), st.integers(20, 40)),
    audio=st.one_of(st.integers(0, 5), st.integers(20, 40)),
    video_step=st.sampled_from([1500, 3000, 3600, 3753, 18_000]),
    audio_step=st.sampled_from([1920, 2090, 2160]),
    video_offset=st.integers(0, 200 * MS),
    audio_offset=st.integers(0, 200 * MS),
    reorder=st.integers(0, 3),
    start=st.sampled_from([40_000, 900_000, 2**33 - 90_000]),
    lead=st.sampled_from([0, 18_000, 36_000, 63_000, 126_000]),
    pcr_every=st.integers(1, 3),
).filter(lambda clip: clip.video + clip.audio > 0)


def play(clips: Sequence[Clip], *, trusted: bool) -> tuple[list[Datagram], Packetizer]:
    packetizer, datagrams = Packetizer(), []
    for clip in clips:
        packetizer.begin_item(trusted_clock=trusted, live=False)
        datagrams += packetizer.feed_untrusted(clip.bytes())
        datagrams += packetizer.end_item(clip.steps() if trusted else None)
    return datagrams, packetizer


def shown(clips: Sequence[Clip], check: Check) -> list[tuple[int, int]]:
    """Return when each item begins and ends, 90 kHz: its first DTS, and the end of its last frame of any stream."""
    spans, at = [], {VIDEO: 0, AUDIO: 0}
    for clip in clips:
        begins, ends = [], []
        for pid, count, step in ((VIDEO, clip.video, clip.video_step), (AUDIO, clip.audio, clip.audio_step)):
            frames = check.pes.get(pid, [])[at[pid] : at[pid] + count]
            at[pid] += count
            if frames:
                begins.append(frames[0].dts)
                ends.append(frames[-1].dts + step)
        spans.append((min(begins), max(ends)))
    return spans


@given(clips=st.lists(CLIPS, min_size=2, max_size=6), trusted=st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_items_follow_one_another(clips: list[Clip], trusted: bool) -> None:
    datagrams, packetizer = play(clips, trusted=trusted)
    check = Check(b"".join(datagram.payload for datagram in datagrams))
    assert check.continuity_errors == 0
    statistics = packetizer.statistics()
    assert (statistics.pcr_jumps, statistics.timestamp_jumps, statistics.stray_timestamps) == (0, 0, 0)
    for incoming, pid in PIDS.items():
        frames = check.pes.get(pid, [])
        assert len(frames) == sum(clip.video if incoming == 100 else clip.audio for clip in clips), "nothing is lost"
        dts = [pes.dts for pes in frames]
        assert dts == sorted(dts), "no stream goes back"
    pcrs = [pcr for _, pcr in check.pcrs]
    assert pcrs == sorted(pcrs)
    due = [datagram.due_s for datagram in datagrams]
    assert due == sorted(due)
    assert max(after - before for before, after in itertools.pairwise(due)) <= 0.25, "a silence"
    _check_seams(clips, check)


def _check_seams(clips: Sequence[Clip], check: Check) -> None:
    longest_lead = 0
    spans = shown(clips, check)
    for clip, following, (_, end), (begin, _) in zip(clips, clips[1:], spans, spans[1:], strict=False):
        longest_lead = max(longest_lead, clip.own_lead())
        grown = max(0, following.own_lead() - longest_lead)
        reordered = clip.reorder * clip.video_step
        assert begin - end <= QUARTER + grown + reordered, "a pause between two items"


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_a_short_clip_in_a_loop_takes_its_time(frames: int, trusted: bool) -> None:
    clip = Clip(frames, 0, 3600, 1920, 0, 0, 0, 900_000, 36_000, 1)
    datagrams, _ = play([clip] * 50, trusted=trusted)
    check = Check(b"".join(datagram.payload for datagram in datagrams))
    assert {after.dts - before.dts for before, after in itertools.pairwise(check.pes[VIDEO])} == {3600}
    assert datagrams[-1].due_s == pytest.approx(50 * frames * 0.04, abs=0.1)
