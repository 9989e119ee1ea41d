"""Items whose reader has repaired their clock: slides, clips of one frame, and what was sent of each track."""

import itertools

import pytest

from flume.media.account import TrackAccount
from flume.media.datagrams import Datagram
from flume.media.packetizer import Packetizer
from flume.media.program import StreamKind
from support.media.packetizer_harness import AUDIO, VIDEO
from support.media.ts_stream import H264_KEYFRAME, Builder, Check, item

FRAME = 3600
SLIDE = 20 * 90_000


def slides(count: int, *, step: int = SLIDE, start: int = 900_000, audio: bool = False) -> bytes:
    """Return *count* pictures, and audio of 0.1 s steps if asked for."""
    builder = Builder(audio=200 if audio else None)
    for number in range(count):
        dts = start + number * step
        builder.tables()
        builder.pes(100, H264_KEYFRAME + bytes(20_000), pts=dts, pcr=(dts - 63_000) * 300)
        for at in range(0, step if audio else 0, 9000):
            builder.pes(200, b"\xff\xf1" + bytes(300), pts=dts + at)
    return bytes(builder.data)


def play(packetizer: Packetizer, data: bytes, last_durations: dict[int, int] | None = None) -> list[Datagram]:
    packetizer.begin_item(trusted_clock=True)
    return packetizer.feed_untrusted(data) + packetizer.end_item(last_durations)


def check(packetizer: Packetizer, datagrams: list[Datagram]) -> Check:
    """Assert what holds for trusted items; return the checker."""
    statistics = packetizer.statistics()
    assert (statistics.pcr_jumps, statistics.stray_timestamps, statistics.unclocked_datagrams) == (0, 0, 0)
    due = [datagram.due_s for datagram in datagrams]
    assert round(max(after - before for before, after in itertools.pairwise(due)), 9) <= 0.25, "a silence"
    found = Check(b"".join(datagram.payload for datagram in datagrams))
    pcrs = [pcr for _, pcr in found.pcrs]
    assert pcrs == sorted(pcrs)
    assert found.continuity_errors == 0
    return found


def video_dts(found: Check) -> list[int]:
    first = found.pes[VIDEO][0].dts
    return [pes.dts - first for pes in found.pes[VIDEO]]


@pytest.mark.parametrize("audio", [False, True])
def test_slides_keep_their_times_and_the_last_one_its_duration(audio: bool) -> None:
    packetizer = Packetizer()
    datagrams = [one for _ in range(3) for one in play(packetizer, slides(3, audio=audio), {100: SLIDE, 200: 9000})]
    found = check(packetizer, datagrams)
    assert video_dts(found) == [number * SLIDE for number in range(9)]
    assert datagrams[-1].due_s == pytest.approx(180, abs=0.3)
    joinable = [datagram.due_s for datagram in datagrams if datagram.random_access]
    assert len(joinable) == 9, "at the pictures alone"


def test_the_bytes_of_a_slide_do_not_wait_for_the_next_one() -> None:
    packetizer = Packetizer()
    datagrams = play(packetizer, slides(2), {100: SLIDE})
    pictures = [one for one in datagrams if b"\0\0\1\x65" in one.payload or bytes(184) in one.payload]
    assert len(pictures) > 30
    assert not any(0.25 < one.due_s < 19.9 or one.due_s > 20.25 for one in pictures)


def test_an_hour_without_a_picture_is_bridged_within_bounds() -> None:
    packetizer = Packetizer()
    datagrams = play(packetizer, slides(2, step=3600 * 90_000))
    assert len(datagrams) < 9000
    due = [datagram.due_s for datagram in datagrams]
    assert max(after - before for before, after in itertools.pairwise(due)) < 1
    assert video_dts(Check(b"".join(one.payload for one in datagrams))) == [0, 3600 * 90_000]


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_a_short_clip_takes_its_time_and_no_more(frames: int) -> None:
    packetizer = Packetizer()
    clip, film = item(frames=frames, audio=None, start=7), item(frames=50)
    datagrams = []
    for data in (film, clip, clip, film, clip):
        datagrams += play(packetizer, data, {100: FRAME, 200: FRAME // 2})
    found = check(packetizer, datagrams)
    assert video_dts(found) == [number * FRAME for number in range(100 + 3 * frames)]


def test_audio_of_a_tenth_of_a_second_alternates_with_a_film() -> None:
    packetizer = Packetizer()
    sound, film = item(frames=3, video=None), item(frames=50)
    datagrams = []
    for data in (sound, film, sound, sound, film):
        datagrams += play(packetizer, data, {100: FRAME, 200: FRAME // 2})
    found = check(packetizer, datagrams)
    steps = [after.dts - before.dts for before, after in itertools.pairwise(found.pes[AUDIO])]
    # Sound that follows the film waits for the film's last picture, which is shown two frames after its DTS.
    assert [number for number, step in enumerate(steps) if step != FRAME // 2] == [105]
    assert steps[105] == 2 * FRAME + FRAME // 2


def test_items_of_different_leads_follow_without_a_pause_once_the_longest_has_begun() -> None:
    packetizer = Packetizer()
    datagrams = []
    for lead in (18_000, 126_000, 18_000, 0, 126_000):
        builder = Builder(audio=None)
        builder.tables()
        for number in range(25):
            dts = 900_000 + number * FRAME
            builder.pes(100, H264_KEYFRAME + bytes(500), pts=dts, pcr=(dts - lead) * 300)
        datagrams += play(packetizer, bytes(builder.data), {100: FRAME})
    found = check(packetizer, datagrams)
    steps = [after.dts - before.dts for before, after in itertools.pairwise(found.pes[VIDEO])]
    assert [number for number, step in enumerate(steps) if step != FRAME] == [24]
    assert steps[24] == pytest.approx(126_000 - 18_000 + FRAME, abs=FRAME)


def test_a_trusted_pcr_that_goes_back_is_held_and_not_taken_for_a_jump() -> None:
    packetizer = Packetizer()
    builder = Builder(audio=None)
    builder.tables()
    for number in range(50):
        dts = 900_000 + number * FRAME
        back = 20_000 if number == 25 else 0
        builder.pes(100, H264_KEYFRAME + bytes(500), pts=dts, pcr=(dts - 63_000 - back) * 300)
    found = check(packetizer, play(packetizer, bytes(builder.data)))
    assert video_dts(found) == [number * FRAME for number in range(50)]


def test_the_account_says_what_was_sent_of_each_track() -> None:
    packetizer = Packetizer()
    packetizer.begin_item(trusted_clock=True)
    assert packetizer.item_account() == {}
    packetizer.feed_untrusted(item(frames=50, video=101, audio=33))
    during = packetizer.item_account()
    packetizer.end_item()
    account = packetizer.item_account()
    assert during == account
    video, audio = account[101], account[33]
    assert (video.frames, video.kind, video.stream_type) == (50, StreamKind.VIDEO, 0x1B)
    assert (audio.frames, audio.kind, audio.stream_type) == (100, StreamKind.AUDIO, 0x0F)
    assert video.first_dts is not None
    assert video.last_dts is not None
    assert video.last_dts - video.first_dts == 49 * FRAME
    assert video.bytes == 50 * 17 * 188
    assert audio.bytes == 100 * 2 * 188
    packetizer.begin_item(trusted_clock=True)
    assert packetizer.item_account() == {}


def test_a_pes_that_was_cut_off_is_not_in_the_account() -> None:
    packetizer = Packetizer()
    builder = Builder(first_counter=4)
    builder.pes(200, bytes(600), pts=900_000 + 50 * FRAME)
    play(packetizer, item(frames=50) + bytes(builder.data[:188]))
    assert packetizer.item_account()[200].frames == 100


def test_a_track_without_timestamps_has_no_first_dts() -> None:
    packetizer = Packetizer()
    data = bytearray(item(frames=1, audio=None))
    start = 4 + 1 + data[188 * 2 + 4]
    data[188 * 2 + start + 7] = 0  # PTS_DTS_flags
    play(packetizer, bytes(data))
    assert packetizer.item_account()[100] == TrackAccount(1, None, None, 17 * 188, StreamKind.VIDEO, 0x1B)
