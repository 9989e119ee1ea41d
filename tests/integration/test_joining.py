"""Time to the first picture: a real file through libvlc, joined in the middle and decoded from there."""

import contextlib
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from flume.lab import testcard
from support.clients.numbers import assert_consecutive
from support.clients.wire_client import WireClient, sequences
from support.cpu_time import cpu_s
from support.media.clips import decoder_complaints
from support.media.ts_stream import Check
from support.servers.serving import port_of, serving

pytestmark = pytest.mark.vlc

GOP_S = 2.0
VIDEO_PID, PMT_PID = 0x100, 0x1000
RTP_HEADER_BYTES = 12
PACKET_BYTES = 188


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return testcard.generate(
        tmp_path_factory.mktemp("joining") / "clip.ts",
        duration_s=6,
        width=1280,
        height=720,
        bitrate_kbit=8000,
        gop_s=GOP_S,
    )


class Arrival(NamedTuple):
    time_s: float
    datagram: bytes


def collect(client: WireClient, seconds: float) -> list[Arrival]:
    """Return the datagrams of the next *seconds*, each with the time at which it was read."""
    until_s = time.monotonic() + seconds
    arrivals: list[Arrival] = []
    while time.monotonic() < until_s:
        arrivals += [Arrival(time.monotonic(), datagram) for datagram in client.receive(for_s=0.05, at_least=1)]
    return arrivals


def video_starts(datagram: bytes) -> int:
    """Return how many video PES packets begin in *datagram*."""
    body = datagram[RTP_HEADER_BYTES:]
    packets = (body[at : at + PACKET_BYTES] for at in range(0, len(body), PACKET_BYTES))
    return sum(bool(packet[1] & 0x40) and pid_of(packet) == VIDEO_PID for packet in packets)


def first_picture_s(arrivals: list[Arrival]) -> float:
    """Return when the first picture was complete: when the second one began."""
    seen = 0
    for arrival in arrivals:
        seen += video_starts(arrival.datagram)
        if seen >= 2:
            return arrival.time_s
    raise AssertionError(f"{len(arrivals)} datagrams and no whole picture")


def stream_of(arrivals: list[Arrival]) -> bytes:
    return b"".join(arrival.datagram[RTP_HEADER_BYTES:] for arrival in arrivals)


def without_the_unfinished(stream: bytes) -> bytes:
    """Return *stream* without the last PES packet of each elementary stream, which is cut off."""
    packets = [stream[at : at + PACKET_BYTES] for at in range(0, len(stream), PACKET_BYTES)]
    last_start: dict[int, int] = {}
    for number, packet in enumerate(packets):
        if packet[1] & 0x40 and pid_of(packet) not in {0, PMT_PID}:
            last_start[pid_of(packet)] = number
    return b"".join(p for number, p in enumerate(packets) if number < last_start.get(pid_of(p), len(packets)))


def pid_of(packet: bytes) -> int:
    return int.from_bytes(packet[1:3]) & 0x1FFF


def assert_decodes_from_its_beginning(arrivals: list[Arrival], path: Path) -> None:
    """Fail unless the stream is complete, begins with PAT and PMT, and decodes without a complaint."""
    assert_consecutive(sequences([arrival.datagram for arrival in arrivals]))
    stream = stream_of(arrivals)
    assert [pid_of(stream[at:]) for at in (0, PACKET_BYTES)] == [0, PMT_PID]
    assert Check(stream).continuity_errors == 0
    path.write_bytes(without_the_unfinished(stream))
    assert decoder_complaints(path) == ""


def continue_and_collect(client: WireClient, seconds: float) -> tuple[float, list[Arrival]]:
    """Send ``continue``; return the time to the first picture, and the datagrams of the next *seconds*."""
    began_s = time.monotonic()
    client.send_raw(b'{"command":"continue"}\n')
    arrivals = collect(client, seconds)
    assert client.reply()["reply"] == "continue"
    return first_picture_s(arrivals) - began_s, arrivals


def test_continuing_in_the_middle_of_a_group_of_pictures_shows_one_at_once(clip, tmp_path):
    with (
        serving("--json", "--port", 0, clip) as process,
        contextlib.closing(WireClient(port := port_of(process))) as watching,
        WireClient(port) as client,
    ):
        watching.connect()
        client.connect()
        took_s = []
        for number in range(7):
            collect(client, 0.2)
            client.ask("interrupt")
            watching.send_token()
            collect(client, GOP_S + 0.27)  # each time at another position in the group of pictures
            client.send_token()
            first_s, arrivals = continue_and_collect(client, 1.5 if number == 0 else 0.4)
            took_s.append(first_s)
            if number == 0:
                assert_decodes_from_its_beginning(arrivals, tmp_path / "spliced.ts")
        assert statistics.median(took_s) < 0.1, took_s


def test_without_active_clients_nothing_is_read_and_nothing_sent_and_the_picture_is_soon_back(clip, tmp_path):
    with serving("--json", "--port", 0, clip) as process, WireClient(port_of(process)) as client:
        client.connect()
        collect(client, 0.5)
        client.ask("interrupt")
        collect(client, 0.3)
        assert client.ask("status")["server"]["ingest"] == "paused"
        before_s = cpu_s(process.pid)
        idle_s = 3.0
        assert collect(client, idle_s) == []
        assert cpu_s(process.pid) - before_s < 0.01 * idle_s
        client.send_token()
        first_s, arrivals = continue_and_collect(client, 1.0)
        assert first_s < 0.5
        assert_consecutive(sequences([arrival.datagram for arrival in arrivals]))
        assert Check(stream_of(arrivals)).continuity_errors == 0
