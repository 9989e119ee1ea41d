"""One clock for an item whose own clock breaks: each jump is one event, and no track goes back."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.reader.ffmpeg.item_clock import HZ, ORIGIN, ItemClock

VIDEO, AUDIO = 0x100, 0x110
FRAME, SOUND = 3600, 1920


def played(clock: ItemClock, packets):
    """Place (track, dts) pairs; return what came out by track, relative to the origin."""
    out: dict[int, list[int]] = {VIDEO: [], AUDIO: []}
    for track, dts in packets:
        place = clock.place(track, dts, dts, FRAME if track == VIDEO else SOUND)
        assert place.pts >= place.dts
        out[track].append(place.dts - ORIGIN)
    return out


def film(start: int, seconds: float, *, late: int = 0):
    """Both tracks of a recording that begins at *start*, in the order of their DTS."""
    end = round(seconds * HZ)
    rows = [(start + at, VIDEO) for at in range(0, end, FRAME)]
    rows += [(start + late + at, AUDIO) for at in range(0, end, SOUND)]
    return [(track, dts) for dts, track in sorted(rows)]


def steps(values):
    return {after - before for before, after in itertools.pairwise(values)}


@pytest.mark.parametrize(
    "second", [0, 40 * HZ, 3600 * HZ, 5 * HZ], ids=["again", "40 s on", "an hour on", "back a little"]
)
def test_two_recordings_in_one_file_are_one_event(second):
    clock = ItemClock(may_break=True)
    out = played(clock, film(10 * HZ, 4) + film(second, 4))
    assert clock.jumps == 1
    assert steps(out[VIDEO]) == {FRAME}
    assert len(out[VIDEO]) == 200
    assert min(steps(out[AUDIO])) > 0
    assert max(steps(out[AUDIO])) <= 2 * SOUND
    assert abs(out[AUDIO][-1] - out[VIDEO][-1]) < 2 * FRAME, "sound and picture stay together"


def test_three_recordings_are_two_events():
    clock = ItemClock(may_break=True)
    out = played(clock, film(0, 2) * 3)
    assert clock.jumps == 2
    assert steps(out[VIDEO]) == {FRAME}


def test_a_jump_of_one_track_alone_leaves_the_other_as_it_is():
    clock = ItemClock(may_break=True)
    rows = film(0, 4)
    moved = [(track, dts + 7200 * HZ if track == VIDEO and dts >= 2 * HZ else dts) for track, dts in rows]
    out = played(clock, moved)
    assert clock.jumps == 1
    assert steps(out[VIDEO]) == {FRAME}
    assert steps(out[AUDIO]) == {SOUND}


def test_a_track_that_begins_in_another_epoch_begins_with_the_others():
    clock = ItemClock(may_break=True)
    out = played(clock, [(track, dts + 40_000 * HZ if track == AUDIO else dts) for track, dts in film(0, 2)])
    assert clock.jumps == 1
    assert steps(out[AUDIO]) == {SOUND}
    assert abs(out[AUDIO][0] - out[VIDEO][0]) <= FRAME


def test_a_stored_film_is_believed():
    """A slide show has a minute between two pictures, and a film may pause its sound."""
    clock = ItemClock(may_break=False)
    out = [clock.place(VIDEO, at * 60 * HZ, at * 60 * HZ, 0).dts - ORIGIN for at in range(5)]
    assert out == [at * 60 * HZ for at in range(5)]
    assert clock.jumps == 0


def test_slides_with_sound_are_believed_in_a_transport_stream():
    clock = ItemClock(may_break=True)
    rows = sorted([(at, AUDIO) for at in range(0, 60 * HZ, SOUND)] + [(at * 20 * HZ, VIDEO) for at in range(3)])
    for dts, track in rows:
        clock.place(track, dts, dts, 0)
    assert clock.jumps == 0


def test_slides_without_sound_are_believed_in_a_transport_stream():
    clock = ItemClock(may_break=True)
    for at in range(5):
        clock.place(VIDEO, at * 20 * HZ, at * 20 * HZ, 0)
    assert clock.jumps == 0


def test_sound_that_pauses_and_goes_on_in_a_transport_stream_is_no_jump():
    clock = ItemClock(may_break=True)
    rows = [(track, dts) for track, dts in film(0, 20) if track == VIDEO or not 2 * HZ < dts < 15 * HZ]
    out = played(clock, rows)
    assert clock.jumps == 0
    assert max(steps(out[AUDIO])) > 12 * HZ


def test_a_track_that_paused_and_comes_back_with_another_clock_goes_on_beside_the_others():
    clock = ItemClock(may_break=True)
    rows = film(0, 4)
    rows += [(track, dts) for track, dts in film(0, 4) if track == AUDIO]
    out = played(clock, rows + film(0, 4))
    assert abs(out[VIDEO][-1] - out[AUDIO][-1]) < HZ // 10
    assert max(steps(out[VIDEO])) > 3 * HZ


def test_a_dts_that_is_rounded_badly_is_moved_by_one_tick():
    clock = ItemClock(may_break=False)
    places = [clock.place(VIDEO, dts, dts + FRAME, FRAME).dts for dts in (0, FRAME, FRAME - 90, 2 * FRAME)]
    assert [each - ORIGIN for each in places] == [0, FRAME, FRAME + 1, 2 * FRAME]
    assert clock.jumps == 0


@given(
    st.lists(st.tuples(st.sampled_from([VIDEO, AUDIO]), st.integers(-(1 << 40), 1 << 40)), max_size=200), st.booleans()
)
def test_no_track_ever_goes_back(packets, may_break):
    clock = ItemClock(may_break=may_break)
    for values in played(clock, packets).values():
        assert all(step > 0 for step in steps(values))
