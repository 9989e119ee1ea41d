"""One timeline over many items: the rules at a seam, and jumps inside an item."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from flume.media.mpegts import PCR_HZ, PCR_MODULUS
from flume.media.timeline import ORIGIN_TICKS, FirstTimestamps, Timeline, seconds_from_origin, unwrap

FRAME = 3600
MS = PCR_HZ // 1000


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9), st.integers(2, 10**7))
def test_unwrap_finds_the_nearest(value: int, reference: int, modulus: int) -> None:
    found = unwrap(value, reference, modulus)
    assert (found - value) % modulus == 0
    assert -modulus / 2 <= found - reference <= modulus / 2


def play(timeline: Timeline, *, start: int, frames: int, pid: int = 256, reorder: int = 0) -> list[int]:
    """Play an item whose first DTS is *start*; return its DTS on the timeline."""
    timeline.begin_item()
    timeline.anchor(((start - 36_000) * 300) % PCR_MODULUS, {pid: FirstTimestamps(start, start + reorder)})
    moved = []
    for number in range(frames):
        dts = start + number * FRAME
        timeline.restamp_pcr(((dts - 36_000) * 300) % PCR_MODULUS)
        moved.append(timeline.restamp_pes(pid, dts + reorder, dts)[1])
    return moved


def test_the_first_pcr_is_the_origin() -> None:
    timeline = Timeline()
    timeline.begin_item()
    assert timeline.restamp_pcr(123_456_789) == ORIGIN_TICKS
    assert seconds_from_origin(timeline.now) == 0.0


def test_frames_follow_one_another_over_seams() -> None:
    timeline = Timeline()
    starts = (900_000, 5, 2**33 - 20 * FRAME, 900_000)
    moved = [dts for start in starts for dts in play(timeline, start=start, frames=50)]
    assert {after - before for before, after in itertools.pairwise(moved)} == {FRAME}
    assert timeline.pcr_jumps == 0


def test_a_longer_stream_decides_where_the_next_item_begins() -> None:
    timeline = Timeline()
    timeline.begin_item()
    timeline.anchor(0, {256: FirstTimestamps(9000, 9000), 272: FirstTimestamps(9000, 9000)})
    timeline.restamp_pcr(0)
    for number in range(10):
        timeline.restamp_pes(256, 9000 + number * FRAME, 9000 + number * FRAME)
    for number in range(30):
        end = timeline.restamp_pes(272, 9000 + number * 1920, 9000 + number * 1920)[1] + 1920
    timeline.begin_item()
    timeline.anchor(0, {256: FirstTimestamps(9000, 9000), 272: FirstTimestamps(9000, 9000)})
    timeline.restamp_pcr(0)
    assert timeline.restamp_pes(272, 9000, 9000)[1] == end
    assert timeline.restamp_pes(256, 9000, 9000)[1] == end


def test_frames_with_less_reordering_do_not_overlap_the_item_before() -> None:
    timeline = Timeline()
    play(timeline, start=900_000, frames=10, reorder=2 * FRAME)
    last = timeline.restamp_pes(256, 900_000 + 12 * FRAME, 900_000 + 10 * FRAME)[0]
    timeline.begin_item()
    timeline.anchor(0, {256: FirstTimestamps(36_000, 36_000)})
    timeline.restamp_pcr(0)
    assert timeline.restamp_pes(256, 36_000, 36_000)[0] >= last + FRAME


def test_the_pcr_never_goes_back_at_a_seam() -> None:
    timeline = Timeline()
    play(timeline, start=900_000, frames=10)
    before = timeline.now
    timeline.begin_item()
    timeline.anchor(10 * PCR_HZ, {999: FirstTimestamps(0, 0)})  # a stream that is new has no say
    assert timeline.restamp_pcr(10 * PCR_HZ) > before


def test_a_jump_inside_an_item_continues_where_the_pcr_would_have_been() -> None:
    timeline = Timeline()
    timeline.begin_item()
    for pcr in (0, 40 * MS, 80 * MS):
        timeline.restamp_pcr(pcr)
    before = timeline.now
    assert timeline.restamp_pcr(5000 * MS) == before + 40 * MS
    assert timeline.restamp_pcr(5040 * MS) == before + 80 * MS
    assert timeline.restamp_pcr(10 * MS) == before + 120 * MS
    assert timeline.pcr_jumps == 2


def test_a_clock_that_wraps_does_not_jump() -> None:
    timeline = Timeline()
    timeline.begin_item()
    values = [timeline.restamp_pcr((PCR_MODULUS - 100 * MS + step * 40 * MS) % PCR_MODULUS) for step in range(6)]
    assert [after - before for before, after in itertools.pairwise(values)] == [40 * MS] * 5
    assert timeline.pcr_jumps == 0


def test_a_damaged_timestamp_does_not_delay_the_next_item() -> None:
    timeline = Timeline()
    play(timeline, start=900_000, frames=10)
    timeline.restamp_pes(256, 900_000 + 3 * 10**9, 900_000 + 3 * 10**9)
    before = timeline.now
    timeline.begin_item()
    timeline.anchor(0, {256: FirstTimestamps(36_000, 36_000)})
    assert timeline.restamp_pcr(0) - before < PCR_HZ


def test_the_end_of_an_item_is_as_far_as_its_streams_went() -> None:
    timeline = Timeline()
    assert timeline.end_of_item() is None
    play(timeline, start=900_000, frames=10)
    timeline.restamp_pes(256, 900_000 + 35 * FRAME, 900_000 + 34 * FRAME)
    end = timeline.end_of_item()
    assert end is not None
    assert 0.9 * PCR_HZ < end - timeline.now < 2.1 * PCR_HZ
