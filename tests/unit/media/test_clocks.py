"""Clocks that jump without a PCR, and streams of few pictures, by a checker that does not use the product's parsers."""

import itertools

import pytest

from support.media.camera import FRAME_TICKS
from support.media.packetizer_harness import (
    AUDIO,
    FRAME_S,
    VIDEO,
    PacketizerHarness,
    check_promises,
    dts_steps_s,
    faults,
)
from support.media.ts_stream import Check


@pytest.mark.parametrize("jump_s", [-7.9, -3600, 5, 3600])
@pytest.mark.parametrize("returns", [False, True])
def test_a_jump_after_which_no_pcr_comes_does_not_show_in_the_output(jump_s: float, returns: bool) -> None:
    harness = PacketizerHarness()
    harness.feed_frames(60)
    harness.camera.pcr_pid = None
    harness.camera.clock += round(jump_s * 90_000)
    harness.feed_frames(120)
    if returns:
        harness.camera.pcr_pid = 100
        harness.feed_frames(60)
    check = check_promises(harness)
    for pid in (VIDEO, AUDIO):
        assert min(dts_steps_s(check, pid)) >= 0
        assert max(dts_steps_s(check, pid)) <= FRAME_S + 0.2
        assert sum(dts_steps_s(check, pid)) == pytest.approx((179 + 60 * returns) * FRAME_S, abs=0.2)
    assert faults(harness) == {"pcr_gaps": 1, "timestamp_jumps": 1}
    assert harness.datagrams[-1].due_s == pytest.approx((180 + 60 * returns) * FRAME_S, abs=0.3)


def test_a_jump_of_one_stream_that_is_the_only_one_left_is_followed() -> None:
    harness = PacketizerHarness()
    harness.feed_frames(60)
    harness.camera.pcr_pid = None
    harness.camera.is_without_audio = True
    harness.camera.clock -= round(7.9 * 90_000)
    harness.feed_frames(150)
    check = check_promises(harness)
    assert dts_steps_s(check, VIDEO) == pytest.approx([FRAME_S] * 209)
    assert faults(harness) == {"pcr_gaps": 1, "timestamp_jumps": 1}


@pytest.mark.parametrize("jump_s", [-5, 5])
def test_timestamps_that_jump_while_the_pcr_goes_on_continue_where_they_were(jump_s: int) -> None:
    harness = PacketizerHarness()
    harness.feed_frames(60)
    harness.camera.clock += jump_s * 90_000
    harness.camera.pcr_lead_ticks += jump_s * 90_000
    harness.feed_frames(60)
    check = check_promises(harness)
    for pid in (VIDEO, AUDIO):
        assert dts_steps_s(check, pid) == pytest.approx([FRAME_S] * 119)
    assert faults(harness) == {"timestamp_jumps": 1}


def test_audio_alone_that_goes_back_for_good_continues_where_it_was() -> None:
    harness = PacketizerHarness()
    harness.feed_frames(30)
    harness.camera.is_without_audio = True
    for _ in range(30):
        harness.feed_pes(200, harness.camera.clock - 90_000 * 4)
        harness.feed_frames(1)
    check = check_promises(harness)
    assert dts_steps_s(check, AUDIO) == pytest.approx([FRAME_S] * 59)
    assert faults(harness) == {"timestamp_jumps": 1}


# --- few pictures --------------------------------------------------------------------------------------------------


def slow_video(harness: PacketizerHarness, *, frames: int, step_s: int, repeats: int, audio: bool) -> None:
    """Feed video of one frame each *step_s*, its PCR *repeats* times, and audio between, as libvlc writes it."""
    builder = harness.camera.builder
    builder.data.clear()
    builder.tables()
    for number in range(frames):
        dts = 900_000 + number * step_s * 90_000
        pcr = (dts - 36_000) * 300
        builder.pes(100, b"\0\0\1\x65" + bytes(1000), pts=dts, pcr=pcr)
        for at in range(0, step_s * 90_000, 2000):
            if audio:
                builder.pes(200, b"\xff\xf1" + bytes(100), pts=dts + at)
            if at % (step_s * 90_000 // max(repeats, 1)) == 0 and repeats:
                builder.packet(100, b"", pcr=pcr - at % 3 * 300)
    harness.feed(bytes(builder.data))


@pytest.mark.parametrize("audio", [True, False])
@pytest.mark.parametrize("repeats", [0, 20])
def test_a_stored_film_of_few_pictures_keeps_their_times(audio: bool, repeats: int) -> None:
    harness = PacketizerHarness()
    harness.packetizer.begin_item(live=False)
    slow_video(harness, frames=10, step_s=2, repeats=repeats, audio=audio)
    harness.datagrams += harness.packetizer.end_item()
    check = Check(b"".join(datagram.payload for datagram in harness.datagrams))
    assert dts_steps_s(check, VIDEO) == pytest.approx([2.0] * 9)
    due = [datagram.due_s for datagram in harness.datagrams]
    assert max(after - before for before, after in itertools.pairwise(due)) <= 0.25
    assert max(sum(at <= other < at + 1 for other in due) for at in due[::10]) < 80, "the rate of the film"
    assert harness.datagrams[-1].due_s == pytest.approx(20, abs=0.3)
    assert {name for name in faults(harness) if name != "items"} <= {"pcr_gaps"}
    if audio:
        assert dts_steps_s(check, AUDIO) == pytest.approx([2000 / 90_000] * 899)


def test_a_live_source_of_few_pictures_is_believed_from_the_second_step_on() -> None:
    harness = PacketizerHarness()
    slow_video(harness, frames=10, step_s=2, repeats=0, audio=False)
    harness.datagrams += harness.packetizer.end_item()
    check = Check(b"".join(datagram.payload for datagram in harness.datagrams))
    assert dts_steps_s(check, VIDEO)[1:] == pytest.approx([2.0] * 8)
    assert faults(harness) == {"pcr_jumps": 1}


def test_dts_that_go_back_before_b_pictures_are_held() -> None:
    harness = PacketizerHarness()
    builder = harness.camera.builder
    builder.data.clear()
    builder.tables()
    for number, back in enumerate([0, 0, 3000, 0, 0, 4000, 0] * 5):
        dts = 900_000 + number * FRAME_TICKS
        pcr = (dts - 36_000) * 300
        builder.pes(100, b"\0\0\1\x65" + bytes(1000), pts=dts + 3 * FRAME_TICKS, dts=dts - 2 * back, pcr=pcr)
    harness.feed(bytes(builder.data))
    check = check_promises(harness)
    assert min(dts_steps_s(check, VIDEO)) >= 0
    assert [pes.pts - check.pes[VIDEO][0].pts for pes in check.pes[VIDEO]] == [n * FRAME_TICKS for n in range(35)]
