"""The engine by libvlc alone, with real media: what it promises, and that all it promises comes."""

import http.server
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from flume.media.mpegts import PACKET_BYTES, pid_of
from flume.media.table_reader import TableReader
from flume.reader.engine import UnplayableError
from flume.reader.libvlc import library
from flume.reader.libvlc.engine import VlcEngine
from flume.reader.libvlc.playback import Output, VlcPlayback
from flume.reader.messages import Ended, Play, Promise, Track
from support.media.clips import ffmpeg, packet_count, tone_input, video_input
from support.servers.web import web_server

pytestmark = pytest.mark.vlc


class Memory:
    """A sink that keeps what an engine plays."""

    def __init__(self) -> None:
        self.promise: Promise | None = None
        self.data = bytearray()

    def open(self, promise: Promise) -> None:
        assert self.promise is None
        self.promise = promise

    def write(self, data: bytes) -> None:
        assert self.promise is not None
        assert len(data) % PACKET_BYTES == 0
        self.data += data


@pytest.fixture(scope="module")
def engine() -> Iterator[VlcEngine]:
    engine = VlcEngine()
    yield engine
    engine.close()


def play(engine: VlcEngine, path: Path | str, **how: Any) -> tuple[Promise, Path]:
    """Play *path*; return its promise, and its MPEG-TS as a file beside it."""
    sink = Memory()
    item: dict[str, Any] = {"name": "item", "location": os.fsencode(path), "is_path": isinstance(path, Path)}
    assert engine.play(Play(**item | how, engine="vlc"), sink) == Ended()
    assert sink.promise is not None
    written = (path if isinstance(path, Path) else Path(urlsplit(path).path)).with_suffix(".played.ts")
    written.write_bytes(sink.data)
    return sink.promise, written


def film(path: Path, *options: object, seconds: float = 2) -> Path:
    """Write a film of *seconds* at 25 pictures a second."""
    ffmpeg(*video_input(seconds=seconds), *tone_input(seconds=seconds), *options, path)
    return path


H264 = ("-c:v", "libx264", "-preset", "veryfast", "-g", 50)


def tables(path: Path) -> list[tuple[int, ...]]:
    """Return the PIDs of each PMT that differs from the one before."""
    data, reader = path.read_bytes(), TableReader()
    seen: list[tuple[int, ...]] = []
    for at in range(0, len(data), PACKET_BYTES):
        packet = bytearray(data[at : at + PACKET_BYTES])
        if pid_of(packet) == 0:
            reader.read_pat_untrusted(packet)
        elif pid_of(packet) == reader.pmt_pid and reader.read_pmt_untrusted(packet) and reader.program:
            pids = tuple(sorted(row.pid for row in reader.program.streams))
            if seen[-1:] != [pids]:
                seen.append(pids)
    return seen


EVERY_TRACK_TRANSCODED = {
    "vp9.webm": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", 8, "-an"),
    "vp8-vorbis.webm": ("-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libvorbis"),
    "theora-vorbis.ogv": ("-c:v", "libtheora", "-c:a", "libvorbis"),
    "prores-pcm.mov": ("-c:v", "prores_ks", "-c:a", "pcm_s16le"),
    "ffv1-flac.mkv": ("-c:v", "ffv1", "-c:a", "flac"),
    "pcm.wav": ("-vn",),
    "flac.flac": ("-vn",),
    "vorbis.ogg": ("-vn", "-c:a", "libvorbis"),
}


@pytest.mark.parametrize(("name", "codecs"), EVERY_TRACK_TRANSCODED.items(), ids=EVERY_TRACK_TRANSCODED)
def test_an_item_of_which_every_track_has_to_be_transcoded_plays(
    engine: VlcEngine, tmp_path: Path, name: str, codecs: tuple[object, ...]
) -> None:
    path = film(tmp_path / name, *codecs)
    for _ in range(2):  # the second time it is known what has to be transcoded
        promise, written = play(engine, path)
        assert all(track.transcoded and not track.left_out for track in promise.tracks)
        assert promise.seconds == pytest.approx(2, abs=0.1)
        for track in promise.tracks:
            assert packet_count(written, f"0:{track.kind[0]}:0") >= (46 if track.kind == "video" else 85)
        assert len(tables(written)) == 1


def test_a_table_that_loses_the_picture_at_the_end_is_not_handed_on(engine: VlcEngine, tmp_path: Path) -> None:
    path = film(tmp_path / "pcm.mov", *H264, "-c:a", "pcm_s16le", seconds=4)
    promise, written = play(engine, path)
    assert tables(written) == [(100, 200)]
    assert [track.pid for track in promise.tracks] == [100, 200]


AC3 = {
    "ac3.ts": (*H264, "-c:a", "ac3"),
    "ac3.m2ts": (*H264, "-c:a", "ac3"),
    "ac3.vob": ("-c:v", "mpeg2video", "-b:v", "1M", "-c:a", "ac3"),
    "ac3-32k.vob": ("-c:v", "mpeg2video", "-b:v", "1M", "-c:a", "ac3", "-ar", 32000),
    "eac3.ts": (*H264, "-c:a", "eac3"),
    "dts.ts": (*H264, "-c:a", "dca", "-strict", -2),
}


@pytest.mark.parametrize(("name", "codecs"), AC3.items(), ids=AC3)
def test_no_picture_is_lost_in_the_middle_with_audio_of_long_frames(
    engine: VlcEngine, tmp_path: Path, name: str, codecs: tuple[object, ...]
) -> None:
    path = film(tmp_path / name, *codecs, seconds=6)
    _, written = play(engine, path)
    pictures, promised = decoded_pictures(written), decoded_pictures(path)
    assert len(promised) == 150
    assert pictures[:144] == promised[:144]
    assert len(pictures) >= 147


def decoded_pictures(path: Path) -> list[bytes]:
    lines = ffmpeg("-i", path, "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framemd5", "-").splitlines()
    return [line.rpartition(b",")[2] for line in lines if not line.startswith(b"#")]


def test_one_program_of_several_plays_on_its_own_pids(engine: VlcEngine, tmp_path: Path) -> None:
    one, path = film(tmp_path / "one.mp4", *H264), tmp_path / "two-programs.ts"
    other = tmp_path / "other.mp4"
    ffmpeg(*video_input(seconds=2, size="160x90"), *tone_input(seconds=2), *H264, other)
    programs = ("-program", "title=one:st=0:st=1", "-program", "title=zwei:st=2:st=3")
    ffmpeg("-i", one, "-i", other, "-map", 0, "-map", 1, "-c", "copy", *programs, path)
    for wanted, pids, number in ((None, (256, 257), 1), ("2", (258, 259), 2), ("zwei", (258, 259), 2)):
        promise, written = play(engine, path, program=wanted)
        assert tables(written) == [pids]
        assert promise.program == number
        assert promise.programs == ("1 (one)", "2 (zwei)")
        assert [(track.kind, track.pid) for track in promise.tracks] == [("video", pids[0]), ("audio", pids[1])]
    with pytest.raises(UnplayableError, match=r"no program 7: it has 1 \(one\), 2 \(zwei\)") as raised:
        play(engine, path, program="7")
    assert not raised.value.unreadable


def test_what_is_not_carried_is_promised_so(engine: VlcEngine, tmp_path: Path) -> None:
    subtitles = tmp_path / "s.srt"
    subtitles.write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n")
    upright = film(tmp_path / "upright.mp4", *H264)
    path = tmp_path / "phone.mp4"
    language = ("-metadata:s:a:0", "language=deu")
    ffmpeg("-display_rotation", -90, "-i", upright, "-i", subtitles, "-c", "copy", "-c:s", "mov_text", *language, path)
    promise, _ = play(engine, path)
    assert promise.rotation == 90
    turned, written = play(engine, path, turn=True)
    assert (turned.rotation, turned.tracks[0].transcoded) == (0, True)
    assert b"180x320" in ffmpeg("-i", written, "-map", "0:v", "-frames:v", 1, "-c:v", "rawvideo", "-f", "framecrc", "-")
    assert promise.seconds == pytest.approx(2, abs=0.1)
    video, audio, text = promise.tracks
    assert video == Track(kind="video", codec="h264", number=0, pid=100, seconds=promise.seconds, frame_rate=25.0)
    assert audio == Track(kind="audio", codec="mp4a", language="deu", number=1, pid=200)
    assert text.kind == "subtitles"
    assert "subtitles" in text.left_out


def test_a_chain_leaves_out_what_it_says_and_is_completed_where_ts_needs_more(
    engine: VlcEngine, tmp_path: Path
) -> None:
    path = film(tmp_path / "pcm.mov", *H264, "-c:a", "pcm_s16le")
    promise, written = play(engine, path, transcode="vcodec=mp2v,vb=800,acodec=none")
    assert [bool(track.left_out) for track in promise.tracks] == [False, True]
    assert tables(written) == [(100,)]
    promise, written = play(engine, path, transcode="vcodec=mp2v,vb=800")
    assert [track.transcoded for track in promise.tracks] == [True, True]
    assert packet_count(written, "0:a:0") > 90


def test_a_name_that_is_not_utf8_is_played(engine: VlcEngine, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4"))
    film(tmp_path / "plain.mp4", *H264).rename(path)
    sink = Memory()
    engine.play(Play(name="caf", location=os.fsencode(path), is_path=True, engine="vlc"), sink)
    assert len(sink.data) > 10_000


def test_a_failure_has_the_reason_that_is_true(engine: VlcEngine, tmp_path: Path) -> None:
    missing, text = tmp_path / "missing.mp4", tmp_path / "text.mp4"
    text.write_text("I am not a video\n" * 100)
    with pytest.raises(UnplayableError, match="No such file or directory") as raised:
        play(engine, missing)
    with pytest.raises(UnplayableError, match="not a format that FFmpeg knows") as raised:
        play(engine, text)
    assert raised.value.unreadable
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound and not listening: refused
        port = reserved.getsockname()[1]
        with pytest.raises(UnplayableError) as raised:
            play(engine, f"http://user:secret@127.0.0.1:{port}/clip.mp4", name="http://127.0.0.1/clip.mp4")
    assert f"cannot connect to 127.0.0.1:{port}" in str(raised.value)
    assert "secret" not in str(raised.value)
    assert "pcr delay" not in str(raised.value)


def test_an_option_of_a_playlist_writes_no_file(engine: VlcEngine, tmp_path: Path) -> None:
    path, evil = film(tmp_path / "film.mp4", *H264, "-g", 5), tmp_path / "evil.ts"
    unsafe = (f"sout=#std{{access=file,mux=ts,dst={evil}}}", f"logfile={evil}", f"demuxdump-file={evil}", "demux=dump")
    options = (*unsafe, "start-time=1")
    promise, written = play(engine, path, options=options)
    assert promise.engine == "vlc"
    assert not evil.exists()
    assert 20 <= packet_count(written, "0:v:0") <= 30  # the harmless option was honoured
    assert promise.seconds == pytest.approx(1, abs=0.1)


def test_an_endless_address_is_found_to_be_live(engine: VlcEngine, tmp_path: Path) -> None:
    data = film(tmp_path / "film.ts", *H264).read_bytes()

    class Channel(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Log nothing."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()  # no length
            for at in range(0, len(data), 8192):
                self.wfile.write(data[at : at + 8192])

    with web_server(Channel) as address:
        sink = Memory()
        location = f"{address}/channel".encode()
        engine.play(Play(name="channel", location=location, is_path=False, engine="vlc"), sink)
    assert sink.promise is not None
    assert sink.promise.live
    assert sink.promise.seconds is None


def test_nothing_of_a_playback_can_be_used_once_it_was_freed(card: Path) -> None:
    loaded = library.Library()
    instance = loaded.vlc.Instance("--intf=dummy", "--quiet")
    media = instance.media_new_path(str(card))
    playback = VlcPlayback(loaded, media, instance.media_player_new(), Output(live=False))
    while not playback.read():
        pass
    assert [track.kind for track in playback.tracks()] == ["video", "audio"]
    playback.close()
    playback.close()
    for use in (playback.tracks, playback.seconds, playback.seekable):
        with pytest.raises(RuntimeError, match="freed"):
            use()
    instance.release()
