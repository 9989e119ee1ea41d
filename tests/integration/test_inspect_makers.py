"""Streams as other programs send them have no finding, and in a damaged capture tshark finds the same."""

import lzma
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imageio_ffmpeg
import pytest

from flume.inspect.from_capture import inspect_capture
from flume.inspect.live import inspect_live, live_address
from flume.inspect.values import Inspection
from flume.measures.ts.values import Thresholds
from support.captures.rtp_streams import clean, without, write_pcap
from support.media.clips import ffmpeg, tone_input, video_input
from support.ports import free_port

CAPTURES = Path(__file__).parent / "captures"
LIMITS = Thresholds()
SECONDS, ENOUGH = 12, 120
"""Each program sends this clip, and is stopped after so many datagrams: some two seconds."""
WITHOUT_CLOCK = ("1.1", "1.2", "1.4", "2.1", "2.2", "2.3b")
"""Indicators that do not depend on when a busy host sends and reads."""
VLC = """
import sys, time, vlc
instance = vlc.Instance("--quiet", "--intf=dummy", "--no-plugins-cache")
player = instance.media_player_new()
player.set_media(instance.media_new(sys.argv[1], ":sout=#" + sys.argv[2], ":sout-all"))
player.play()
time.sleep(90)
"""


def commands(clip: Path, port: int) -> dict[str, list[str]]:
    """Return who sends how: each program on a port of its own, from *port* on."""
    sender = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-re", "-i", str(clip), "-c", "copy"]
    vlc = [sys.executable, "-c", VLC, str(clip)]
    return {
        "ffmpeg, RTP": [*sender, "-f", "rtp_mpegts", f"rtp://127.0.0.1:{port}"],
        "ffmpeg, raw TS": [*sender, "-f", "mpegts", f"udp://127.0.0.1:{port + 1}?pkt_size=1316"],
        "VLC, RTP": [*vlc, f"rtp{{dst=127.0.0.1,port={port + 2},mux=ts}}"],
        "VLC, raw TS": [*vlc, f"std{{access=udp,mux=ts,dst=127.0.0.1:{port + 3}}}"],
    }


def heard(command: list[str], port: int) -> Inspection:
    """Return what *command* sends to *port*, until that is enough."""
    listens, has_enough = threading.Event(), threading.Event()

    def progress(datagrams: int, _seconds: float) -> None:
        listens.set()
        if datagrams >= ENOUGH:
            has_enough.set()

    with ThreadPoolExecutor(1) as pool:
        inspection = pool.submit(
            inspect_live,
            live_address(f"udp://127.0.0.1:{port}"),
            LIMITS,
            progress,
            interface=None,
            duration_s=90,
            is_stopped=has_enough.is_set,
        )
        assert listens.wait(60), "it does not listen"
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as sender:
            try:
                return inspection.result(timeout=120)
            finally:
                sender.kill()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Inspection]:
    """What each program sends, all at the same time."""
    clip = tmp_path_factory.mktemp("makers") / "clip.mp4"
    pictures = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-b:v", "600k", "-threads", "1")
    ffmpeg(*video_input(seconds=SECONDS), *tone_input(seconds=SECONDS), *pictures, "-c:a", "aac", clip)
    port = free_port(above=10)  # VLC sends RTCP to the port above that of RTP
    with ThreadPoolExecutor(4) as pool:
        begun = {
            name: pool.submit(heard, command, own_port)
            for own_port, (name, command) in enumerate(commands(clip, port).items(), port)
        }
        return {name: one.result() for name, one in begun.items()}


@pytest.mark.parametrize("name", commands(Path(), 0))
def test_what_a_program_sends_is_one_stream_without_a_finding(live: Mapping[str, Inspection], name: str) -> None:
    (stream,) = live[name].streams
    assert live[name].problems == []
    assert stream.transport == ("rtp" if "RTP" in name else "udp")
    assert stream.arrival is not None
    assert stream.arrival.datagrams >= ENOUGH
    if stream.rtp is not None:
        assert stream.rtp.findings == []
        assert (stream.rtp.lost, stream.rtp.strays) == (0, 0)
    assert stream.ts is not None
    assert [stream.ts.counts.get(indicator) for indicator in WITHOUT_CLOCK] == [0] * len(WITHOUT_CLOCK)
    assert {pid.kind for pid in stream.ts.pids} >= {"PAT", "PMT", "H.264 video"}


def unpacked(name: str, folder: Path) -> Path:
    path = folder / f"{name}.pcap"
    path.write_bytes(lzma.decompress((CAPTURES / f"{name}.pcap.xz").read_bytes()))
    return path


def captured(path: Path) -> Inspection:
    return inspect_capture(path, LIMITS, lambda _done, _total: None)


@pytest.mark.parametrize("name", ["gstreamer-rtp-mpegts", "gstreamer-udp-mpegts", "gstreamer-rtp-h264"])
def test_a_capture_of_gstreamer_is_one_stream_without_a_finding(tmp_path: Path, name: str) -> None:
    result = captured(unpacked(name, tmp_path))
    (stream,) = result.streams
    assert (result.problems, result.others) == ([], {})
    assert stream.rtp is None or stream.rtp.findings == []
    assert (stream.ts is None) == (name == "gstreamer-rtp-h264")
    assert stream.ts is None or (stream.ts.findings, sum(stream.ts.counts.values())) == ([], 0)


def tshark(path: Path) -> list[str]:
    """Return the fields of tshark's one row about the streams of RTP in *path*."""
    command = ("tshark", "-r", path, "-d", "udp.port==50000,rtp", "-q", "-z", "rtp,streams")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    (row,) = [line for line in done.stdout.splitlines() if "0x" in line]
    return row.partition("MPEG-II streams")[2].split()


def test_tshark_finds_the_same_loss_jitter_and_longest_gap(tmp_path: Path) -> None:
    steady = clean(first=65_400)
    sent = [each._replace(time_s=each.time_s + 0.003 * (place % 5 == 0)) for place, each in enumerate(steady)]
    path = write_pcap(tmp_path / "faults.pcap", without(sent, 100, 101, 205)).path
    packets, lost, _, _, _, most_delta, _, _, most_jitter, *_ = tshark(path)
    (stream,) = captured(path).streams
    assert stream.rtp is not None
    assert stream.arrival is not None
    assert (stream.arrival.datagrams, stream.rtp.lost) == (int(packets), int(lost)) == (297, 3)
    assert stream.rtp.jitter_most_ms == pytest.approx(float(most_jitter), abs=0.001)
    assert stream.arrival.longest_silence_ms == pytest.approx(float(most_delta), abs=0.001)
