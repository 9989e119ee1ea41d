"""The reader by libvlc with real media: what it plays, what it leaves out, and live inputs."""

import functools
import http.server
import itertools
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from flume.errors import SourceError
from flume.media.datagrams import Datagram
from flume.reader.libvlc import library
from flume.reader.messages import Ended
from flume.server.sources.source import ItemEnded, ItemFailed, ItemStarted, SourceEnded
from support.media.clips import (
    BUNNY_FRAMES,
    bunny_clip,
    decoder_complaints,
    ffmpeg,
    frame_numbers,
    packet_count,
    tone_input,
    video_input,
)
from support.media.playing import check_seamless, playing
from support.ports import free_port
from support.servers.web import web_server

pytestmark = pytest.mark.vlc


VIDEO, AUDIO = 0x100, 0x110


def test_a_clip_loops_without_a_seam(card: Path, tmp_path: Path) -> None:
    with playing(card, loop=True) as recording:
        recording.until(items=4)
    check = check_seamless(recording)
    assert len(check.tables[0]) == len(check.tables[0x1000]) == 1
    path = recording.save(tmp_path / "out.ts")
    assert frame_numbers(path) == list(range(50)) * 4
    assert decoder_complaints(path) == ""
    steps = {after.dts - before.dts for before, after in itertools.pairwise(check.pes[VIDEO])}
    assert min(steps) == 3600
    assert max(steps) < 3600 * 2  # the audio is up to one audio frame longer than the video
    statistics = recording.packetizer.statistics()
    assert (statistics.pcr_jumps, statistics.continuity_gaps, statistics.resyncs, statistics.unclocked_datagrams) == (
        0,
    ) * 4
    assert recording.datagrams[-1].due_s == pytest.approx(8.0, abs=0.2)
    assert sum(datagram.random_access for datagram in recording.datagrams) == 8


def test_a_file_that_is_not_read_waits_and_loses_nothing(card: Path, tmp_path: Path) -> None:
    with playing(card) as recording:
        recording.until(least_bytes=60_000)
        before_s = time.process_time()
        threading.Event().wait(1.5)  # the source is not read
        assert time.process_time() - before_s < 0.15
        recording.until()
    check = check_seamless(recording)
    assert frame_numbers(recording.save(tmp_path / "out.ts")) == list(range(50))
    assert {after.dts - before.dts for before, after in itertools.pairwise(check.pes[VIDEO])} == {3600}
    # 1024 samples at 48 kHz are 1920 ticks; libvlc rounds microseconds
    assert {after.dts - before.dts for before, after in itertools.pairwise(check.pes[AUDIO])} <= {1919, 1920, 1921}


def test_different_items_follow_one_another(card: Path, tmp_path: Path) -> None:
    hevc, tone, old = tmp_path / "b.mkv", tmp_path / "c.m4a", tmp_path / "d.mpg"
    ffmpeg(*video_input(seconds=1), "-c:v", "libx265", "-x265-params", "log-level=none:keyint=25", hevc)
    ffmpeg(*tone_input(seconds=2), "-c:a", "aac", tone)
    ffmpeg(*video_input(seconds=1), *tone_input(seconds=1), "-c:v", "mpeg2video", "-c:a", "mp2", old)
    codecs = []
    with playing(card, hevc, tone, old, loop=True) as recording:
        for count in range(1, 6):
            recording.until(items=count)
            statistics = recording.packetizer.statistics()
            codecs.append((statistics.video_codec, *statistics.audio_codecs))
    check = check_seamless(recording)
    names = [event.name for event in recording.events if isinstance(event, ItemStarted)]
    assert names == ["card.mp4", "b.mkv", "c.m4a", "d.mpg", "card.mp4"]
    assert codecs == [
        ("H.264", "AAC"),
        ("H.265",),
        (None, "AAC"),
        ("MPEG-2", "MPEG-1 audio"),
        ("H.264", "AAC"),
    ]
    versions = sorted({table[5] >> 1 & 31 for table in check.tables[0x1000]})
    assert versions == [0, 1, 2, 3, 4]
    assert recording.failures() == []


def test_a_real_clip_with_b_frames_passes_untouched(tmp_path: Path) -> None:
    with playing(bunny_clip(), loop=True) as recording:
        recording.until(items=2)
    check_seamless(recording)
    path = recording.save(tmp_path / "out.ts")
    assert decoder_complaints(path) == ""
    assert 2 * (BUNNY_FRAMES - 2) <= packet_count(path, "0:v:0") <= 2 * BUNNY_FRAMES
    assert recording.packetizer.statistics().video_codec == "H.264"


def test_audio_alone_is_played(tmp_path: Path) -> None:
    ffmpeg(*tone_input(seconds=4), "-c:a", "aac", tmp_path / "tone.m4a")
    with playing(tmp_path / "tone.m4a") as recording:
        recording.until()
    check_seamless(recording)
    assert recording.datagrams[-1].due_s == pytest.approx(4.0, abs=0.3)
    assert sum(datagram.random_access for datagram in recording.datagrams) == 4


def test_what_ts_cannot_carry_is_transcoded_and_said(tmp_path: Path) -> None:
    path = tmp_path / "clip.webm"
    ffmpeg(*video_input(seconds=1), *tone_input(seconds=1), "-c:v", "libvpx-vp9", "-c:a", "libopus", path)
    with playing(path, loop=True) as recording:
        recording.until(items=2)
    assert recording.packetizer.statistics().video_codec == "H.264"
    assert recording.failures() == []
    promises = [event.promise for event in recording.events if isinstance(event, ItemStarted)]
    assert [[track.transcoded for track in promise.tracks] for promise in promises if promise] == [[True, False]] * 2
    assert packet_count(recording.save(tmp_path / "out.ts"), "0:v:0") > 35


def test_transcoding_when_asked_for(card: Path, tmp_path: Path) -> None:
    with playing(card, transcode="vcodec=mp2v,vb=800,acodec=none") as recording:
        recording.until()
    assert recording.packetizer.statistics().video_codec == "MPEG-2"


def test_what_is_not_a_video_is_skipped_with_a_reason(card: Path, tmp_path: Path) -> None:
    text, noise = tmp_path / "text.mp4", tmp_path / "noise.mp4"
    text.write_text("I am not a video\n" * 100)
    noise.write_bytes(os.urandom(200_000))
    with playing(text, card, noise, loop=True) as recording:
        recording.until(items=2)
    assert [type(event) for event in recording.events] == [
        *(ItemFailed, ItemStarted, ItemEnded, ItemFailed),
        *(ItemFailed, ItemStarted, ItemEnded),
    ]
    failure = recording.failures()[0]
    assert failure.name == "text.mp4"
    assert f"{text} is not a video that libvlc can read (libvlc: " in failure.reason
    assert "\n" not in failure.reason
    check_seamless(recording)


def test_a_truncated_file_fails_by_name(card: Path, tmp_path: Path) -> None:
    plain = tmp_path / "late-index.mp4"
    ffmpeg("-i", card, "-c", "copy", plain)  # without faststart the index is at the end, and is cut off
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(plain.read_bytes()[: plain.stat().st_size // 2])
    with playing(cut) as recording:
        recording.until()
    assert [type(event) for event in recording.events] == [ItemFailed, SourceEnded]
    assert "no item can be played" in str(recording.events[-1])


def test_files_that_vanish_or_become_empty_are_skipped(card: Path, tmp_path: Path) -> None:
    vanishing, emptied = tmp_path / "a.mp4", tmp_path / "b.mp4"
    for path in (vanishing, emptied):
        path.write_bytes(card.read_bytes())
    with playing(vanishing, emptied, card) as recording:
        vanishing.unlink()
        emptied.write_bytes(b"")
        recording.until()
    assert [failure.reason for failure in recording.failures()] == [
        f"{vanishing} does not exist: check the path",
        f"{emptied} is empty (0 bytes): did a copy or a recording fail?",
    ]
    assert recording.events[-2] == ItemEnded("card.mp4", Ended())


def test_when_nothing_is_playable_the_source_ends(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_text("no video\n" * 50)
    with playing(tmp_path, loop=True) as recording:
        recording.until()
        assert len(recording.failures()) == 2
        assert isinstance(recording.source.read(timeout_s=0.1), SourceEnded)
    assert "no item can be played" in str(recording.events[-1])


def test_a_server_that_refuses_is_a_failure_by_name() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound and not listening: refused
        address = f"http://127.0.0.1:{reserved.getsockname()[1]}/clip.mp4"
        with playing(address) as recording:
            recording.until()
    assert recording.failures()[0].reason.startswith(f"{address} gives no video")


def test_a_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str, *_: object, **__: object) -> object:
        raise NotImplementedError("Cannot find libvlc")

    monkeypatch.setattr("builtins.__import__", missing)
    with pytest.raises(SourceError, match="apt-get install libvlc5 vlc-plugin-base"):
        library._load_vlc()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Log nothing."""


def test_a_file_on_a_web_server_is_played(card: Path) -> None:
    handler = functools.partial(_QuietHandler, directory=str(card.parent))
    with web_server(handler) as address, playing(f"{address}/card.mp4") as recording:
        recording.until()
    assert not recording.source.live
    assert len(check_seamless(recording).pes[VIDEO]) == 50


class UdpCamera:
    """Sends a transport stream to a UDP port in real time, whether it is read or not, as a live input does."""

    def __init__(self, datagrams: list[Datagram], port: int) -> None:
        self._datagrams, self._port = datagrams, port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "UdpCamera":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            start_s = time.monotonic()
            for datagram in self._datagrams:
                if self._stop.wait(max(0.0, start_s + datagram.due_s - time.monotonic())):
                    return
                sender.sendto(datagram.payload, ("127.0.0.1", self._port))


def test_a_live_input_is_stopped_and_started_again(card: Path) -> None:
    with playing(card, loop=True) as card_recording:
        card_recording.until(items=8)
    port = free_port()
    with UdpCamera(card_recording.datagrams, port), playing(f"udp://@127.0.0.1:{port}") as recording:
        source = recording.source
        assert source.live
        recording.until(least_bytes=100_000)
        source.stop()
        recording.until(least_bytes=recording.bytes + 100_000)
    assert [type(event) for event in recording.events] == [ItemStarted, ItemStarted]
    check_seamless(recording)


def test_a_live_input_that_never_sends_does_not_block() -> None:
    port = free_port()
    with playing(f"udp://@127.0.0.1:{port}") as recording:
        before_s = time.monotonic()
        assert recording.source.read(timeout_s=0.3) is None
        assert time.monotonic() - before_s < 1.0
