"""What is promised, and transcoded, of the tracks that libvlc announces."""

import pytest

from flume.reader.libvlc.promise import AUDIO_CHAIN, VIDEO_CHAIN, chain_for, expected_tracks, promised_tracks
from flume.reader.libvlc.table import ItemTable
from flume.reader.libvlc.track import VlcTrack
from support.media.ts_stream import Builder

VIDEO, AUDIO = VlcTrack("video", "VP90", 0, frame_rate=25.0), VlcTrack("audio", "s16l", 1, "deu")
TEXT = VlcTrack("text", "tx3g", 2)


@pytest.mark.parametrize(
    ("rejected", "chain", "expected"),
    [
        ({"VP90"}, None, VIDEO_CHAIN),
        ({"s16l"}, None, AUDIO_CHAIN),
        ({"s16l", "VP90"}, None, f"{VIDEO_CHAIN},{AUDIO_CHAIN}"),
        ({"else"}, None, f"{VIDEO_CHAIN},{AUDIO_CHAIN}"),
        ({"s16l"}, "vcodec=mp2v", f"vcodec=mp2v,{AUDIO_CHAIN}"),
        ({"s16l"}, "vcodec=mp2v,acodec=mp3", None),
        ({"VP90"}, AUDIO_CHAIN, f"{AUDIO_CHAIN},{VIDEO_CHAIN}"),
    ],
)
def test_a_chain_gets_what_the_multiplexer_refused(rejected: set[str], chain: str | None, expected: str | None) -> None:
    assert chain_for([VIDEO, AUDIO], rejected, chain) == expected


def test_what_is_left_out_is_not_waited_for() -> None:
    tracks = [VIDEO, AUDIO, TEXT]
    assert expected_tracks(tracks, None) == 2
    assert expected_tracks(tracks, "vcodec=mp2v,acodec=none") == 1


def table(*, video: int | None, audio: int | None) -> ItemTable:
    builder, read = Builder(video=video, audio=audio), ItemTable()
    builder.tables()
    read.feed(bytes(builder.data))
    return read


def test_each_track_is_carried_or_has_a_reason() -> None:
    video, audio, text = promised_tracks([VIDEO, AUDIO, TEXT], table(video=100, audio=200), VIDEO_CHAIN, 8.0)
    assert (video.pid, video.transcoded, video.seconds, video.left_out) == (100, True, 8.0, "")
    assert (audio.pid, audio.transcoded, audio.seconds, audio.language) == (200, False, None, "deu")
    assert text.left_out == "libvlc's multiplexer cannot carry these subtitles"
    video, audio = promised_tracks([VIDEO, AUDIO], table(video=100, audio=None), None, None)
    assert (video.left_out, audio.left_out) == ("", "libvlc has given no data of it so far")
    _, audio = promised_tracks([VIDEO, AUDIO], table(video=100, audio=None), "acodec=none", None)
    assert audio.left_out == "the transcode chain leaves it out"


def test_a_pid_is_said_only_where_it_is_sure() -> None:
    second = VlcTrack("audio", "s16l", 200)
    first, known = promised_tracks([AUDIO, second], table(video=None, audio=200), None, 4.0)
    assert (first.pid, known.pid) == (None, 200)
    assert first.seconds == 4.0, "where there is no video"
