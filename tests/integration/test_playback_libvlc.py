"""Display for real: libvlc at both ends, the test card's barcode as the witness."""

import threading
from collections.abc import Iterator, Sequence

import pytest

from flume.client.app import Client
from flume.client.playback.pictures import Picture
from flume.client.playback.vlc_player import VlcPlayer
from flume.control import messages
from flume.control.session import State
from flume.lab import testcard
from flume.media import mpegts
from flume.server.sources.expand import expand
from flume.server.sources.item_source import ItemSource, SourceOptions
from flume.settings import ClientSettings
from support.clients.players import wait_until
from support.servers.running_server import RunningServer

pytestmark = pytest.mark.vlc

DURATION_S = 12.0
VIDEO_PID = 0x100


class CountingPlayer(VlcPlayer):
    """Counts the frames that begin in what it is given."""

    def __init__(self) -> None:
        super().__init__(windowed=False, network_caching_ms=300)
        self.begun = 0

    def write(self, payloads: Sequence[bytes | memoryview]) -> None:
        data = b"".join(payloads)
        for start in range(0, len(data), mpegts.PACKET_BYTES):
            packet = data[start : start + mpegts.PACKET_BYTES]
            unit = packet[mpegts.payload_offset(packet) :]
            if mpegts.pid_of(packet) == VIDEO_PID and mpegts.starts_unit(packet):
                self.begun += not unit.endswith(b"\0\0\0\1\x09\xf0")  # not the client's own delimiters
        super().write(payloads)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    path = tmp_path_factory.mktemp("card") / "card.ts"
    testcard.generate(path, duration_s=DURATION_S, width=640, height=360, bitrate_kbit=1500)
    with RunningServer(ItemSource(expand([str(path)]), SourceOptions(loop=True, ingest="vlc"))) as server:
        yield server.port


def watch_for(seconds: float) -> None:
    threading.Event().wait(seconds)


def test_a_tour_shows_at_least_99_of_100_frames(port: int) -> None:
    player = CountingPlayer()
    with Client(ClientSettings(host="127.0.0.1", port=port), player) as client:
        assert isinstance(client.connect(), messages.Connected)
        watch_for(5)
        joined = client.statistics()
        assert joined.join_ms is not None
        assert joined.join_ms < 3000
        assert joined.player.last_frame_number is not None, "in the stream every picture is whole, unlike its last one"
        client.interrupt()
        watch_for(2.5)
        client.continue_()
        watch_for(4)
        client.interrupt()
        watch_for(0.3)
        client.continue_()
        watch_for(3)
        client.disconnect()
        assert client.wait_until_drained(timeout_s=5)
        client.connect()
        assert client.wait_until_state(State.ACTIVE, timeout_s=5)
        watch_for(4)
        client.disconnect()
        assert client.wait_until_drained(timeout_s=5)
        seen = client.statistics()
        due = player.begun - 2  # the end of each of the two sessions cut a frame
        assert due > 350
        assert 0.99 * due <= seen.player.frames_displayed <= player.begun, f"{seen.player} of {due}"
        assert seen.player.width == 640
        assert seen.player.height in {360, 368}, "as shown, or as coded in macroblocks"
        assert (seen.lost, seen.player.datagrams_refused, seen.player.restarts) == (0, 0, 0)
        assert seen.resume_ms is not None


def test_raw_ts_loses_no_frame_to_the_burst_with_which_a_window_begins(port: int) -> None:
    player = CountingPlayer()
    with Client(ClientSettings(host="127.0.0.1", port=port, payload="ts"), player) as client:
        client.connect()
        watch_for(2.5)
        client.interrupt()
        watch_for(1)
        client.continue_()
        watch_for(2.5)
        client.disconnect()
        assert client.wait_until_drained(timeout_s=5)
        seen = client.statistics()
        due = player.begun - 1  # the end cut a frame
        assert due > 80
        assert due - 1 <= seen.player.frames_displayed <= player.begun, f"{seen.player} of {due}"
        assert seen.lost == 0


def test_a_still_picture_is_one_frame_however_often_it_is_shown(port: int) -> None:
    player = CountingPlayer()
    with Client(ClientSettings(host="127.0.0.1", port=port), player) as client:
        client.connect()
        wait_until("frames", lambda: client.statistics().player.frames_displayed > 10)
        client.interrupt()
        assert client.wait_until_drained(timeout_s=5)
        before = client.statistics().player.frames_displayed
        watch_for(1.0)  # libvlc repeats the last picture sixteen times a second
        assert client.statistics().player.frames_displayed == before


def test_a_change_anywhere_in_the_picture_changes_the_checksum() -> None:
    picture = Picture(320, 180)
    seen = {picture.checksum()}
    for line in range(4, 180, 8):
        picture.luma[line * picture.pitch + line] = 200
        seen.add(picture.checksum())
    assert len(seen) == 1 + len(range(4, 180, 8))
