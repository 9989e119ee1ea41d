"""What a source does wrong and what goes out nevertheless, by a checker that does not use the product's parsers."""

import itertools
from collections.abc import Callable

import pytest

from flume.media.datagrams import MAX_PENDING_DATAGRAMS
from support.media.camera import FRAME_TICKS
from support.media.studio import AUDIO, FRAME_S, PCR, VIDEO, Studio, check_promises, dts_steps_s, named
from support.media.ts_stream import Check

# --- clocks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump_s", [3600, 5, 1.5, -0.5, -3, -10, -3600])
def test_a_source_that_merely_sets_its_clock_is_not_seen_to(jump_s: float) -> None:
    studio = Studio()
    studio.shoot(60)
    studio.camera.clock += round(jump_s * 90_000)
    studio.shoot(60)
    check = check_promises(studio)
    for pid in (VIDEO, AUDIO):
        assert dts_steps_s(check, pid) == pytest.approx([FRAME_S] * 119)
    assert named(studio) == {"pcr_jumps": 1}


@pytest.mark.parametrize("jump_s", [3600, 5, -3, -10, -3600])
def test_sound_from_the_other_side_of_a_jump_is_put_where_it_was_to_be_heard(jump_s: float) -> None:
    studio = Studio()
    studio.shoot(60)
    before = studio.camera.clock
    studio.camera.clock += round(jump_s * 90_000)
    studio.put_pes(200, studio.camera.clock)  # the new clock's sound before the new clock
    studio.shoot(1)
    studio.put_pes(200, before + FRAME_TICKS)  # and the old one's after it
    studio.shoot(59)
    check = check_promises(studio)
    assert all(0 <= step <= 3 * FRAME_S for step in dts_steps_s(check, AUDIO))
    assert named(studio) == {"pcr_jumps": 1, "stray_timestamps": 2}


def test_a_clock_that_is_nearer_to_its_streams_after_a_jump_lets_none_of_them_go_back() -> None:
    studio = Studio()
    studio.shoot(60)
    studio.camera.clock += 90_000 * 100
    studio.camera.pcr_lead_ticks -= 9_000
    studio.shoot(60)
    check = check_promises(studio)
    assert min(dts_steps_s(check, VIDEO)) >= FRAME_S - 0.001
    assert min(dts_steps_s(check, AUDIO)) >= FRAME_S - 0.001


def test_a_pause_of_the_sound_is_no_jump_of_its_time() -> None:
    studio = Studio()
    studio.shoot(30)
    studio.camera.silent = True
    studio.shoot(125)
    studio.camera.silent = False
    studio.shoot(30)
    check = check_promises(studio)
    assert max(dts_steps_s(check, AUDIO)) == pytest.approx(126 * FRAME_S)
    assert named(studio) == {}


def test_sound_that_has_moved_for_good_is_believed_in_the_end() -> None:
    studio = Studio()
    studio.shoot(30)
    for number in range(30):
        studio.put_pes(200, studio.camera.clock + 90_000 * 4 + number * FRAME_TICKS)
        studio.camera.silent = True
        studio.shoot(1)
    check = check_promises(studio)
    assert max(dts_steps_s(check, AUDIO)) > 3
    assert named(studio) == {"stray_timestamps": 10}


def test_a_clock_that_wraps_is_no_event() -> None:
    studio = Studio()
    studio.camera.clock = 2**33 - 90_000
    studio.shoot(60)
    check = check_promises(studio)
    assert dts_steps_s(check, VIDEO) == pytest.approx([FRAME_S] * 59)
    assert named(studio) == {}


@pytest.mark.parametrize("silent_s", [1, 10])
def test_without_clock_references_timestamps_keep_the_time(silent_s: int) -> None:
    studio = Studio()
    studio.shoot(60)
    studio.camera.pcr_pid = None
    studio.shoot(25 * silent_s)
    lead_s = studio.camera.clock / 90_000 - 10 - studio.datagrams[-1].due_s
    assert lead_s < 0.8, "no waiting for a reference that may never come"
    studio.camera.pcr_pid = 100
    studio.shoot(60)
    check = check_promises(studio)
    assert dts_steps_s(check, VIDEO) == pytest.approx([FRAME_S] * (119 + 25 * silent_s))
    assert named(studio) == {"pcr_gaps": 1}
    assert check.continuity_errors == 0


@pytest.mark.parametrize("pcr_pid", [200, 300, 0x1FFF])
def test_references_that_are_not_where_the_table_says_are_done_without(pcr_pid: int) -> None:
    studio = Studio()
    studio.camera.builder.pcr_pid = pcr_pid
    studio.shoot(40)
    assert studio.datagrams, "a second is enough to know"
    studio.shoot(60)
    check = check_promises(studio)
    assert dts_steps_s(check, VIDEO) == pytest.approx([FRAME_S] * 99)
    assert named(studio) == {"pcr_gaps": 1}
    assert check.continuity_errors == 0


def test_references_on_a_pid_of_their_own_are_the_clock() -> None:
    studio = Studio()
    studio.camera.builder.pcr_pid = studio.camera.pcr_pid = 300
    studio.shoot(60)
    check = check_promises(studio)
    assert check.pids[PCR] == 60
    assert named(studio) == {}


# --- packets -------------------------------------------------------------------------------------------------------


def each_packet(change: Callable[[int, bytes], bytes]) -> Callable[[bytes], bytes]:
    numbers = itertools.count()
    return lambda data: b"".join(change(next(numbers), data[at : at + 188]) for at in range(0, len(data), 188))


def test_a_source_that_sends_everything_twice_is_heard_once() -> None:
    studio = Studio()
    studio.camera.spoil = each_packet(lambda _, packet: packet * 2)
    studio.shoot(60)
    check = check_promises(studio)
    assert dts_steps_s(check, VIDEO) == pytest.approx([FRAME_S] * 59)
    assert check.pids[VIDEO] == 60 * 17
    assert set(named(studio)) == {"duplicate_packets"}
    assert check.continuity_errors == 0


def test_lost_packets_leave_their_gap_and_are_counted() -> None:
    studio = Studio()
    studio.camera.spoil = each_packet(lambda number, packet: b"" if number % 50 == 17 else packet)
    studio.shoot(120)
    check = check_promises(studio)
    assert named(studio) == {"continuity_gaps": check.continuity_errors}
    assert check.continuity_errors > 30


def test_damaged_packets_are_left_out_and_counted() -> None:
    studio = Studio()
    damage = each_packet(lambda number, packet: b"\x47\x80" + packet[2:] if number % 50 == 17 else packet)
    studio.camera.spoil = damage
    studio.shoot(120)
    check_promises(studio)
    counts = named(studio)
    assert counts["damaged_packets"] == counts["continuity_gaps"] > 30


def test_a_gap_that_the_source_announces_is_none() -> None:
    studio = Studio()
    studio.shoot(30)
    studio.camera.builder.counters[100] += 5
    studio.camera.builder.announce_gap = True
    studio.shoot(30)
    check_promises(studio)
    assert named(studio) == {}


# --- tables --------------------------------------------------------------------------------------------------------


def change_tables(studio: Studio, **changes: int | None) -> None:
    """Let the camera's next frame be a keyframe, after tables that say something else."""
    for name, value in changes.items():
        setattr(studio.camera.builder, name, value)
    builder = studio.camera.builder
    builder.version += 1
    studio.camera.number = 0
    if "video" in changes and builder.video is not None:
        builder.pcr_pid = studio.camera.pcr_pid = builder.video


@pytest.mark.parametrize(
    ("changes", "versions"),
    [
        ({"video": 101, "audio": 201}, 1),
        ({"video": 300, "pmt_pid": 100}, 1),  # the table comes where the video was
        ({"video_type": 0x24}, 2),
        ({"audio": None}, 2),
        ({"video": 200, "audio": 100}, 1),
    ],
)
def test_a_change_of_tables_is_followed(changes: dict[str, int | None], versions: int) -> None:
    studio = Studio()
    studio.shoot(60)
    change_tables(studio, **changes)
    studio.shoot(60)
    check = check_promises(studio)
    assert len(check.tables[0x1000]) == versions
    assert len({table[5] >> 1 & 31 for table in check.tables[0x1000]}) == versions
    assert dts_steps_s(check, VIDEO) == pytest.approx([FRAME_S] * 119)
    assert check.continuity_errors == 0
    assert named(studio) == {"table_changes": 1}
    news = [datagram for datagram in studio.datagrams if datagram.new_tables]
    assert len(news) == versions - 1


def test_what_has_other_tables_begins_a_datagram_with_them() -> None:
    studio = Studio()
    studio.shoot(60)
    change_tables(studio, video_type=0x02)
    studio.shoot(60)
    check_promises(studio)
    at = next(number for number, datagram in enumerate(studio.datagrams) if datagram.new_tables)
    before, after = (
        Check(b"".join(d.payload for d in part)) for part in (studio.datagrams[:at], studio.datagrams[at:])
    )
    assert studio.datagrams[at].payload[1:3] == b"\x40\0"
    assert len(before.tables[0x1000]) == len(after.tables[0x1000]) == 1
    assert len(before.pes[VIDEO]) == 60


def test_the_clock_may_move_to_another_stream() -> None:
    studio = Studio()
    studio.shoot(60)
    studio.camera.pcr_pid = 200
    change_tables(studio, pcr_pid=200)
    studio.shoot(60)
    check = check_promises(studio)
    assert dts_steps_s(check, VIDEO) == pytest.approx([FRAME_S] * 119)
    assert named(studio) == {"table_changes": 1}


def test_one_of_two_programs_is_kept_whatever_their_order() -> None:
    studio = Studio()
    builder = studio.camera.builder
    studio.camera.repeats_tables = False
    for number in range(6):
        builder.data.clear()
        programs = [(1, 66), (2, 67), (3, 66)]
        builder.pat(*(programs if number % 2 == 0 else programs[::-1]))
        builder.pmt()
        builder.video = 900
        builder.pmt(program_number=3)
        builder.video = 100
        studio.put(bytes(builder.data))
        studio.shoot(25)
    check = check_promises(studio)
    assert dts_steps_s(check, VIDEO) == pytest.approx([FRAME_S] * 149)
    assert len(check.tables[0x1000]) == 1
    assert named(studio) == {}


def test_damaged_tables_change_nothing_and_are_counted() -> None:
    studio = Studio()
    studio.shoot(60)
    studio.camera.spoil = each_packet(
        lambda _, packet: packet[:-1] + b"\0" if packet[1:3] in {b"\x40\0", b"\x40\x42"} else packet
    )
    change_tables(studio, video_type=0x24)
    studio.shoot(60)
    check = check_promises(studio)
    assert len(check.tables[0x1000]) == 1
    assert named(studio) == {"damaged_tables": 6}


def test_without_tables_nothing_is_known_and_with_them_the_stream_begins() -> None:
    studio = Studio()
    studio.camera.repeats_tables = False
    studio.shoot(125)
    assert not studio.datagrams
    foreign = named(studio)["foreign_packets"]
    studio.camera.repeats_tables = True
    studio.shoot(60)
    assert len(check_promises(studio).pes[VIDEO]) == 60
    assert named(studio) == {"foreign_packets": foreign}


def test_tables_that_the_source_does_not_repeat_are_repeated() -> None:
    studio = Studio()
    studio.camera.gop = 10_000
    studio.shoot(1)
    studio.camera.repeats_tables = False
    studio.shoot(124)
    assert check_promises(studio).pids[0x1000] >= 9


# --- too much ------------------------------------------------------------------------------------------------------


def test_what_is_left_out_leaves_no_hole_but_in_the_picture() -> None:
    studio = Studio()
    studio.shoot(60)
    studio.datagrams += studio.packetizer.skip()
    studio.shoot(45)
    studio.packetizer.resume(at="keyframe")
    studio.shoot(60)  # the next keyframe is the 21st of these
    check = check_promises(studio)
    assert len(check.pes[VIDEO]) == 60 + 40
    assert dts_steps_s(check, VIDEO) == pytest.approx([FRAME_S] * 99)
    assert check.continuity_errors == 0
    counts = named(studio)
    assert set(counts) == {"overrun_packets"}
    assert counts["overrun_packets"] == pytest.approx(65 * 19, abs=2)
    assert studio.datagrams[-1].due_s == pytest.approx(100 * FRAME_S, abs=0.1)


def test_where_no_keyframe_comes_any_picture_has_to_do() -> None:
    studio = Studio()
    studio.camera.gop = 10_000
    studio.shoot(60)
    studio.datagrams += studio.packetizer.skip()
    studio.packetizer.resume(at="keyframe")
    studio.shoot(40)
    assert studio.packetizer.is_skipping
    studio.packetizer.resume(at="any_frame")
    studio.shoot(40)
    assert not studio.packetizer.is_skipping
    assert len(check_promises(studio).pes[VIDEO]) == 100


def test_the_clock_goes_on_where_packets_were_sent_without_one() -> None:
    studio = Studio()
    studio.shoot(30)
    studio.camera.builder.data.clear()
    for _ in range((MAX_PENDING_DATAGRAMS + 100) * 7):
        studio.camera.builder.packet(100, bytes(184))
    studio.put(bytes(studio.camera.builder.data))
    assert named(studio)["unclocked_datagrams"] > MAX_PENDING_DATAGRAMS
    sent = len(studio.datagrams)
    studio.shoot(100)
    after = [datagram.due_s for datagram in studio.datagrams[sent + 100 :]]
    assert after[-1] - after[0] == pytest.approx(100 * FRAME_S, abs=0.1), "not all at once"


def test_a_source_that_begins_with_sound_is_waited_for_until_its_clock_comes() -> None:
    studio = Studio()
    studio.camera.builder.tables()
    studio.put(bytes(studio.camera.builder.data))
    for number in range(32):
        studio.put_pes(200, studio.camera.clock - 32 * FRAME_TICKS + number * FRAME_TICKS)
    studio.shoot(60)
    check_promises(studio)
    assert named(studio) == {}


def test_where_the_picture_stops_and_the_clock_with_it_the_sound_goes_on() -> None:
    studio = Studio()
    studio.shoot(60)
    studio.camera.dark = True
    studio.shoot(25 * 15)
    assert studio.camera.clock / 90_000 - 10 - studio.datagrams[-1].due_s < 1.5
    joinable = [datagram.due_s for datagram in studio.datagrams if datagram.random_access]
    assert joinable[-1] > 12, "nobody shall begin with what was long ago"
    studio.camera.dark = False
    studio.shoot(60)
    check = check_promises(studio, gap_s=1.1)
    assert dts_steps_s(check, AUDIO) == pytest.approx([FRAME_S] * (119 + 25 * 15))
    assert dts_steps_s(check, VIDEO)[59] == pytest.approx((1 + 25 * 15) * FRAME_S)
    assert named(studio) == {"pcr_gaps": 1}


def test_a_picture_that_is_announced_and_never_comes_does_not_keep_the_sound() -> None:
    studio = Studio()
    studio.camera.dark = True
    studio.shoot(100)
    assert studio.datagrams
    studio.shoot(400)
    check = check_promises(studio)
    assert len(check.pes[AUDIO]) == 500
    assert sum(datagram.random_access for datagram in studio.datagrams) >= 5
    assert named(studio) == {"pcr_gaps": 1}


def test_something_left_out_goes_on_with_the_sound_where_there_is_no_picture() -> None:
    studio = Studio()
    studio.shoot(60)
    studio.camera.dark = True
    studio.datagrams += studio.packetizer.skip()
    studio.packetizer.resume(at="any_frame")
    studio.shoot(60)
    assert not studio.packetizer.is_skipping
