"""What is sent although a source misbehaves, by a checker that does not use the product's parsers."""

import itertools
from collections.abc import Callable

import pytest

from flume.media.datagrams import MAX_PENDING_DATAGRAMS
from support.media.camera import FRAME_TICKS
from support.media.packetizer_harness import (
    AUDIO,
    FRAME_S,
    PCR,
    VIDEO,
    PacketizerHarness,
    check_promises,
    dts_steps_s,
    faults,
)
from support.media.ts_stream import Check

# --- clocks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump_s", [3600, 5, 1.5, -0.5, -3, -10, -3600])
def test_a_jump_of_the_sources_clock_does_not_show_in_the_output(jump_s: float) -> None:
    harness = PacketizerHarness()
    harness.feed_frames(60)
    harness.camera.clock += round(jump_s * 90_000)
    harness.feed_frames(60)
    check = check_promises(harness)
    for pid in (VIDEO, AUDIO):
        assert dts_steps_s(check, pid) == pytest.approx([FRAME_S] * 119)
    assert faults(harness) == {"pcr_jumps": 1}


@pytest.mark.parametrize("jump_s", [3600, 5, -3, -10, -3600])
def test_audio_from_the_other_side_of_a_jump_is_placed_where_its_stream_continues(jump_s: float) -> None:
    harness = PacketizerHarness()
    harness.feed_frames(60)
    before = harness.camera.clock
    harness.camera.clock += round(jump_s * 90_000)
    harness.feed_pes(200, harness.camera.clock)  # audio of the new clock before the first new PCR
    harness.feed_frames(1)
    harness.feed_pes(200, before + FRAME_TICKS)  # and audio of the old clock after it
    harness.feed_frames(59)
    check = check_promises(harness)
    assert all(0 <= step <= 3 * FRAME_S for step in dts_steps_s(check, AUDIO))
    assert faults(harness) == {"pcr_jumps": 1, "stray_timestamps": 2}


def test_no_stream_goes_back_when_its_lead_over_the_pcr_is_smaller_after_a_jump() -> None:
    harness = PacketizerHarness()
    harness.feed_frames(60)
    harness.camera.clock += 90_000 * 100
    harness.camera.pcr_lead_ticks -= 9_000
    harness.feed_frames(60)
    check = check_promises(harness)
    assert min(dts_steps_s(check, VIDEO)) >= FRAME_S - 0.001
    assert min(dts_steps_s(check, AUDIO)) >= FRAME_S - 0.001


def test_a_pause_of_the_audio_is_no_stray_timestamp() -> None:
    harness = PacketizerHarness()
    harness.feed_frames(30)
    harness.camera.is_without_audio = True
    harness.feed_frames(125)
    harness.camera.is_without_audio = False
    harness.feed_frames(30)
    check = check_promises(harness)
    assert max(dts_steps_s(check, AUDIO)) == pytest.approx(126 * FRAME_S)
    assert faults(harness) == {}


def test_audio_that_has_moved_for_good_is_believed_after_ten_strays() -> None:
    harness = PacketizerHarness()
    harness.feed_frames(30)
    for number in range(30):
        harness.feed_pes(200, harness.camera.clock + 90_000 * 4 + number * FRAME_TICKS)
        harness.camera.is_without_audio = True
        harness.feed_frames(1)
    check = check_promises(harness)
    assert max(dts_steps_s(check, AUDIO)) > 3
    assert faults(harness) == {"stray_timestamps": 10}


def test_a_clock_that_wraps_is_no_fault() -> None:
    harness = PacketizerHarness()
    harness.camera.clock = 2**33 - 90_000
    harness.feed_frames(60)
    check = check_promises(harness)
    assert dts_steps_s(check, VIDEO) == pytest.approx([FRAME_S] * 59)
    assert faults(harness) == {}


@pytest.mark.parametrize("silent_s", [1, 10])
def test_without_pcrs_timestamps_pace_the_stream(silent_s: int) -> None:
    harness = PacketizerHarness()
    harness.feed_frames(60)
    harness.camera.pcr_pid = None
    harness.feed_frames(25 * silent_s)
    lead_s = harness.camera.clock / 90_000 - 10 - harness.datagrams[-1].due_s
    assert lead_s < 0.8, "no waiting for a PCR that may never come"
    harness.camera.pcr_pid = 100
    harness.feed_frames(60)
    check = check_promises(harness)
    assert dts_steps_s(check, VIDEO) == pytest.approx([FRAME_S] * (119 + 25 * silent_s))
    assert faults(harness) == {"pcr_gaps": 1}
    assert check.continuity_errors == 0


@pytest.mark.parametrize("pcr_pid", [200, 300, 0x1FFF])
def test_a_stream_whose_pcrs_are_not_on_the_pmts_pcr_pid_is_paced_by_timestamps(pcr_pid: int) -> None:
    harness = PacketizerHarness()
    harness.camera.builder.pcr_pid = pcr_pid
    harness.feed_frames(40)
    assert harness.datagrams, "one second is enough to decide"
    harness.feed_frames(60)
    check = check_promises(harness)
    assert dts_steps_s(check, VIDEO) == pytest.approx([FRAME_S] * 99)
    assert faults(harness) == {"pcr_gaps": 1}
    assert check.continuity_errors == 0


def test_pcrs_on_a_pid_of_their_own_pace_the_stream() -> None:
    harness = PacketizerHarness()
    harness.camera.builder.pcr_pid = harness.camera.pcr_pid = 300
    harness.feed_frames(60)
    check = check_promises(harness)
    assert check.pids[PCR] == 60
    assert faults(harness) == {}


# --- packets -------------------------------------------------------------------------------------------------------


def each_packet(change: Callable[[int, bytes], bytes]) -> Callable[[bytes], bytes]:
    numbers = itertools.count()
    return lambda data: b"".join(change(next(numbers), data[at : at + 188]) for at in range(0, len(data), 188))


def test_a_source_that_sends_everything_twice_is_sent_once() -> None:
    harness = PacketizerHarness()
    harness.camera.alter = each_packet(lambda _, packet: packet * 2)
    harness.feed_frames(60)
    check = check_promises(harness)
    assert dts_steps_s(check, VIDEO) == pytest.approx([FRAME_S] * 59)
    assert check.pids[VIDEO] == 60 * 17
    assert set(faults(harness)) == {"duplicate_packets"}
    assert check.continuity_errors == 0


def test_lost_packets_leave_their_gap_and_are_counted() -> None:
    harness = PacketizerHarness()
    harness.camera.alter = each_packet(lambda number, packet: b"" if number % 50 == 17 else packet)
    harness.feed_frames(120)
    check = check_promises(harness)
    assert faults(harness) == {"continuity_gaps": check.continuity_errors}
    assert check.continuity_errors > 30


def test_damaged_packets_are_left_out_and_counted() -> None:
    harness = PacketizerHarness()
    damage = each_packet(lambda number, packet: b"\x47\x80" + packet[2:] if number % 50 == 17 else packet)
    harness.camera.alter = damage
    harness.feed_frames(120)
    check_promises(harness)
    counts = faults(harness)
    assert counts["damaged_packets"] == counts["continuity_gaps"] > 30


def test_a_gap_that_the_source_announces_is_not_counted() -> None:
    harness = PacketizerHarness()
    harness.feed_frames(30)
    harness.camera.builder.counters[100] += 5
    harness.camera.builder.announce_gap = True
    harness.feed_frames(30)
    check_promises(harness)
    assert faults(harness) == {}


# --- tables --------------------------------------------------------------------------------------------------------


def change_tables(harness: PacketizerHarness, **changes: int | None) -> None:
    """Make the camera's next frame a keyframe after changed tables."""
    for name, value in changes.items():
        setattr(harness.camera.builder, name, value)
    builder = harness.camera.builder
    builder.version += 1
    harness.camera.number = 0
    if "video" in changes and builder.video is not None:
        builder.pcr_pid = harness.camera.pcr_pid = builder.video


@pytest.mark.parametrize(
    ("changes", "versions"),
    [
        ({"video": 101, "audio": 201}, 1),
        ({"video": 300, "pmt_pid": 100}, 1),  # the PMT comes on the PID that was the video
        ({"video_type": 0x24}, 2),
        ({"audio": None}, 2),
        ({"video": 200, "audio": 100}, 1),
    ],
)
def test_a_change_of_tables_is_followed(changes: dict[str, int | None], versions: int) -> None:
    harness = PacketizerHarness()
    harness.feed_frames(60)
    change_tables(harness, **changes)
    harness.feed_frames(60)
    check = check_promises(harness)
    assert len(check.tables[0x1000]) == versions
    assert len({table[5] >> 1 & 31 for table in check.tables[0x1000]}) == versions
    assert dts_steps_s(check, VIDEO) == pytest.approx([FRAME_S] * 119)
    assert check.continuity_errors == 0
    assert faults(harness) == {"table_changes": 1}
    news = [datagram for datagram in harness.datagrams if datagram.new_tables]
    assert len(news) == versions - 1


def test_new_tables_begin_a_datagram() -> None:
    harness = PacketizerHarness()
    harness.feed_frames(60)
    change_tables(harness, video_type=0x02)
    harness.feed_frames(60)
    check_promises(harness)
    at = next(number for number, datagram in enumerate(harness.datagrams) if datagram.new_tables)
    before, after = (
        Check(b"".join(d.payload for d in part)) for part in (harness.datagrams[:at], harness.datagrams[at:])
    )
    assert harness.datagrams[at].payload[1:3] == b"\x40\0"
    assert len(before.tables[0x1000]) == len(after.tables[0x1000]) == 1
    assert len(before.pes[VIDEO]) == 60


def test_the_pcr_may_move_to_another_stream() -> None:
    harness = PacketizerHarness()
    harness.feed_frames(60)
    harness.camera.pcr_pid = 200
    change_tables(harness, pcr_pid=200)
    harness.feed_frames(60)
    check = check_promises(harness)
    assert dts_steps_s(check, VIDEO) == pytest.approx([FRAME_S] * 119)
    assert faults(harness) == {"table_changes": 1}


def test_one_of_two_programs_is_kept_whatever_their_order() -> None:
    harness = PacketizerHarness()
    builder = harness.camera.builder
    harness.camera.repeats_tables = False
    for number in range(6):
        builder.data.clear()
        programs = [(1, 66), (2, 67), (3, 66)]
        builder.pat(*(programs if number % 2 == 0 else programs[::-1]))
        builder.pmt()
        builder.video = 900
        builder.pmt(program_number=3)
        builder.video = 100
        harness.feed(bytes(builder.data))
        harness.feed_frames(25)
    check = check_promises(harness)
    assert dts_steps_s(check, VIDEO) == pytest.approx([FRAME_S] * 149)
    assert len(check.tables[0x1000]) == 1
    assert faults(harness) == {}


def test_damaged_tables_change_nothing_and_are_counted() -> None:
    harness = PacketizerHarness()
    harness.feed_frames(60)
    harness.camera.alter = each_packet(
        lambda _, packet: packet[:-1] + b"\0" if packet[1:3] in {b"\x40\0", b"\x40\x42"} else packet
    )
    change_tables(harness, video_type=0x24)
    harness.feed_frames(60)
    check = check_promises(harness)
    assert len(check.tables[0x1000]) == 1
    assert faults(harness) == {"damaged_tables": 6}


def test_nothing_is_sent_before_the_first_tables() -> None:
    harness = PacketizerHarness()
    harness.camera.repeats_tables = False
    harness.feed_frames(125)
    assert not harness.datagrams
    unreferenced = faults(harness)["unreferenced_packets"]
    harness.camera.repeats_tables = True
    harness.feed_frames(60)
    assert len(check_promises(harness).pes[VIDEO]) == 60
    assert faults(harness) == {"unreferenced_packets": unreferenced}


def test_tables_that_the_source_does_not_repeat_are_repeated() -> None:
    harness = PacketizerHarness()
    harness.camera.gop = 10_000
    harness.feed_frames(1)
    harness.camera.repeats_tables = False
    harness.feed_frames(124)
    assert check_promises(harness).pids[0x1000] >= 9
    due_s = [datagram.due_s for datagram in harness.datagrams if b"\x47\x50\x00" in datagram.payload]
    # TR 101 290 allows 0.5 s between their arrivals, and a tick of the sender sends one up to 20 ms late.
    assert max(after - before for before, after in itertools.pairwise(due_s)) < 0.5 - 0.02


# --- too much ------------------------------------------------------------------------------------------------------


def test_packets_that_are_left_out_leave_a_gap_in_the_video_only() -> None:
    harness = PacketizerHarness()
    harness.feed_frames(60)
    harness.datagrams += harness.packetizer.skip()
    harness.feed_frames(45)
    harness.packetizer.resume(at="keyframe")
    harness.feed_frames(60)  # the next keyframe is the 21st of these
    check = check_promises(harness)
    assert len(check.pes[VIDEO]) == 60 + 40
    assert dts_steps_s(check, VIDEO) == pytest.approx([FRAME_S] * 99)
    assert check.continuity_errors == 0
    counts = faults(harness)
    assert set(counts) == {"overrun_packets"}
    assert counts["overrun_packets"] == pytest.approx(65 * 19, abs=2)
    assert harness.datagrams[-1].due_s == pytest.approx(100 * FRAME_S, abs=0.1)


def test_without_a_keyframe_the_stream_resumes_at_any_frame() -> None:
    harness = PacketizerHarness()
    harness.camera.gop = 10_000
    harness.feed_frames(60)
    harness.datagrams += harness.packetizer.skip()
    harness.packetizer.resume(at="keyframe")
    harness.feed_frames(40)
    assert harness.packetizer.is_skipping
    harness.packetizer.resume(at="any_frame")
    harness.feed_frames(40)
    assert not harness.packetizer.is_skipping
    assert len(check_promises(harness).pes[VIDEO]) == 100


def test_the_timeline_continues_from_the_extrapolated_due_times() -> None:
    harness = PacketizerHarness()
    harness.feed_frames(30)
    harness.camera.builder.data.clear()
    for _ in range((MAX_PENDING_DATAGRAMS + 100) * 7):
        harness.camera.builder.packet(100, bytes(184))
    harness.feed(bytes(harness.camera.builder.data))
    assert faults(harness)["unclocked_datagrams"] > MAX_PENDING_DATAGRAMS
    sent = len(harness.datagrams)
    harness.feed_frames(100)
    after = [datagram.due_s for datagram in harness.datagrams[sent + 100 :]]
    assert after[-1] - after[0] == pytest.approx(100 * FRAME_S, abs=0.1), "not all at once"


def test_a_source_that_begins_with_audio_is_held_until_its_pcr_comes() -> None:
    harness = PacketizerHarness()
    harness.camera.builder.tables()
    harness.feed(bytes(harness.camera.builder.data))
    for number in range(32):
        harness.feed_pes(200, harness.camera.clock - 32 * FRAME_TICKS + number * FRAME_TICKS)
    harness.feed_frames(60)
    check_promises(harness)
    assert faults(harness) == {}


def test_audio_continues_when_the_video_stops_and_the_pcr_with_it() -> None:
    harness = PacketizerHarness()
    harness.feed_frames(60)
    harness.camera.is_without_video = True
    harness.feed_frames(25 * 15)
    assert harness.camera.clock / 90_000 - 10 - harness.datagrams[-1].due_s < 1.5
    joinable = [datagram.due_s for datagram in harness.datagrams if datagram.random_access]
    assert joinable[-1] > 12, "new clients do not begin far in the past"
    harness.camera.is_without_video = False
    harness.feed_frames(60)
    check = check_promises(harness, gap_s=1.1)
    assert dts_steps_s(check, AUDIO) == pytest.approx([FRAME_S] * (119 + 25 * 15))
    assert dts_steps_s(check, VIDEO)[59] == pytest.approx((1 + 25 * 15) * FRAME_S)
    assert faults(harness) == {"pcr_gaps": 1}


def test_video_that_never_comes_does_not_hold_back_the_audio() -> None:
    harness = PacketizerHarness()
    harness.camera.is_without_video = True
    harness.feed_frames(100)
    assert harness.datagrams
    harness.feed_frames(400)
    check = check_promises(harness)
    assert len(check.pes[AUDIO]) == 500
    assert sum(datagram.random_access for datagram in harness.datagrams) >= 5
    assert faults(harness) == {"pcr_gaps": 1}


def test_without_video_the_stream_resumes_at_an_audio_frame() -> None:
    harness = PacketizerHarness()
    harness.feed_frames(60)
    harness.camera.is_without_video = True
    harness.datagrams += harness.packetizer.skip()
    harness.packetizer.resume(at="any_frame")
    harness.feed_frames(60)
    assert not harness.packetizer.is_skipping
