"""How long an item's first packets are held, and what is known of its start when they are released."""

from collections.abc import Callable

import pytest

from flume.media import item_start
from flume.media.item_start import MAX_HELD_PACKETS, ItemStart
from flume.media.pcr_watch import DTS_LEAD_TICKS
from flume.media.program import ProgramMap
from flume.media.timeline import FirstTimestamps
from support.media.ts_stream import Builder

VIDEO, AUDIO = 0x100, 0x110
FRAME = 3600
START = 900_000


class Held:
    """An :class:`ItemStart` that is fed from a builder, and what it returned for the last packet."""

    def __init__(self, *, follows_an_item: bool) -> None:
        self.builder, self.program = Builder(), ProgramMap()
        self.start = ItemStart(self.program, follows_an_item=follows_an_item)
        self.is_placed = False
        self.put(self.builder.tables)

    def put(self, write: Callable[..., object], *args: object, **kwargs: object) -> None:
        """Hold the packets that *write* appends, until the item can be placed."""
        self.builder.data.clear()
        write(*args, **kwargs)
        data = self.builder.data
        for at in range(0, len(data), 188):
            packet = bytearray(data[at : at + 188])
            route = self.program.route_untrusted(packet)
            if route is not None and not self.is_placed:
                self.is_placed = self.start.hold(packet, route)

    def video(self, frame: int, *, pcr: bool = False) -> None:
        dts = START + frame * FRAME
        clock = (dts - 18_000) * 300 if pcr else None
        self.put(self.builder.pes, 100, b"video", pts=dts + 2 * FRAME, dts=dts, pcr=clock)

    def audio(self, frame: int) -> None:
        self.put(self.builder.pes, 200, b"audio", pts=START + frame * FRAME)


def test_the_first_item_is_placed_by_its_first_pcr() -> None:
    held = Held(follows_an_item=False)
    held.audio(0)
    assert not held.is_placed
    held.video(1, pcr=True)
    assert held.is_placed
    assert held.start.pcr == (START + FRAME - 18_000) * 300
    assert len(held.start.packets) == 2


def test_a_later_item_waits_for_the_first_timestamps_of_all_its_streams() -> None:
    held = Held(follows_an_item=True)
    for frame in range(5):
        held.video(frame, pcr=True)
        assert not held.is_placed
    held.audio(1)
    assert held.is_placed
    assert held.start.firsts == {
        VIDEO: FirstTimestamps(START, START + 2 * FRAME),
        AUDIO: FirstTimestamps(START + FRAME, START + FRAME),
    }
    assert held.start.pcr == (START - 18_000) * 300


def test_a_later_item_waits_one_second_for_a_stream_that_does_not_come() -> None:
    held = Held(follows_an_item=True)
    for frame in range(25):
        held.video(frame, pcr=True)
        assert not held.is_placed
    held.video(25, pcr=True)
    assert held.is_placed
    assert set(held.start.firsts) == {VIDEO}


def test_a_pcr_that_goes_back_ends_the_wait() -> None:
    held = Held(follows_an_item=True)
    held.video(5, pcr=True)
    held.video(4, pcr=True)
    assert held.is_placed


@pytest.mark.parametrize(("stream", "frames"), [("video", 25), ("audio", 75)])
def test_without_a_pcr_video_waits_one_second_and_audio_three(stream: str, frames: int) -> None:
    held = Held(follows_an_item=False)
    for frame in range(frames):
        getattr(held, stream)(frame)
        assert not held.is_placed
    getattr(held, stream)(frames)
    assert held.is_placed
    assert held.start.pcr is None
    assert held.start.estimated_pcr() == START * 300 - DTS_LEAD_TICKS


def test_the_estimate_goes_by_the_earliest_stream() -> None:
    held = Held(follows_an_item=False)
    assert held.start.estimated_pcr() == -DTS_LEAD_TICKS
    held.video(4)
    held.audio(2)
    assert held.start.estimated_pcr() == (START + 2 * FRAME) * 300 - DTS_LEAD_TICKS


def test_no_more_packets_are_held_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_HELD_PACKETS * 188 < 2_000_000
    monkeypatch.setattr(item_start, "MAX_HELD_PACKETS", 20)
    held = Held(follows_an_item=False)
    for count in range(1, 21):
        held.put(held.builder.packet, 100, bytes(184))
        assert held.is_placed is (count == 20)
    assert len(held.start.packets) == 20
