"""Timestamps in packets, moved to the endless timeline."""

import pytest

from flume.media import mpegts
from flume.media.item_start import ItemStart
from flume.media.mpegts import PCR_HZ
from flume.media.program import ProgramMap, Route, StreamKind
from flume.media.restamper import Restamper
from flume.media.timeline import ORIGIN_TICKS
from support.media.ts_stream import Builder

VIDEO = Route(0x100, StreamKind.VIDEO, 0x1B, carries_pcr=True)
AUDIO = Route(0x110, StreamKind.AUDIO, 0x0F, carries_pcr=False)
SUBTITLES = Route(0x120, StreamKind.OTHER, 0x06, carries_pcr=False)
START = 50 * PCR_HZ
ORIGIN_PTS = ORIGIN_TICKS // 300


def pes(pts: int, *, dts: int | None = None, pcr: int | None = None) -> bytearray:
    builder = Builder()
    builder.pes(100, b"payload", pts=pts, dts=dts, pcr=pcr)
    return builder.data[:188]


def parsed(packet: bytearray) -> mpegts.PesStart:
    found = mpegts.parse_pes_start_untrusted(packet)
    assert found is not None
    return found


def estimated(restamper: Restamper, dts: int, route: Route, *, is_main: bool) -> int | None:
    """Restamp a PES with *dts*, and return the PCR that is estimated for it."""
    packet = pes(dts)
    return restamper.estimate_pcr(restamper.restamp_pes(packet, route, parsed(packet)), route, is_main=is_main)


@pytest.fixture
def restamper() -> Restamper:
    """A restamper whose item began at :data:`START`, which is :data:`ORIGIN_TICKS` on the timeline."""
    restamper = Restamper()
    restamper.begin_item()
    start = ItemStart(ProgramMap(), follows_an_item=False)
    start.hold(pes(START // 300, pcr=START), VIDEO)
    restamper.place(start, main=VIDEO)
    return restamper


def test_a_pcr_is_moved_in_the_packet_and_returned(restamper: Restamper) -> None:
    packet = pes(0, pcr=START + 900)
    assert restamper.restamp_pcr(packet, VIDEO, not_before=None) == ORIGIN_TICKS + 900
    assert mpegts.read_pcr(packet) == ORIGIN_TICKS + 900
    assert restamper.restamp_pcr(pes(0), VIDEO, not_before=None) is None


def test_a_pcr_on_another_pid_is_moved_and_moves_nothing(restamper: Restamper) -> None:
    packet = pes(0, pcr=START + 900)
    assert restamper.restamp_pcr(packet, AUDIO, not_before=None) is None
    assert mpegts.read_pcr(packet) == ORIGIN_TICKS + 900
    assert restamper.timeline.now == ORIGIN_TICKS


def test_the_timeline_continues_from_the_extrapolated_pcr(restamper: Restamper) -> None:
    restamper.restamp_pcr(pes(0, pcr=START), VIDEO, not_before=None)
    ahead = ORIGIN_TICKS + PCR_HZ // 2
    assert restamper.restamp_pcr(pes(0, pcr=START + 900), VIDEO, not_before=ahead) == ahead


def test_pts_and_dts_are_moved_together(restamper: Restamper) -> None:
    packet = pes(START // 300 + 7200, dts=START // 300 + 3600)
    restamper.restamp_pes(packet, VIDEO, parsed(packet))
    found = parsed(packet)
    assert (found.pts, found.dts) == (ORIGIN_PTS + 7200, ORIGIN_PTS + 3600)
    assert restamper.timeline.stray_timestamps == 0


def test_subtitles_are_moved_and_never_stray(restamper: Restamper) -> None:
    for offset in (0, 90_000 * 30, 0):
        packet = pes(START // 300 + offset)
        restamper.restamp_pes(packet, SUBTITLES, parsed(packet))
        assert parsed(packet).pts == ORIGIN_PTS + offset
    assert restamper.timeline.stray_timestamps == 0


def test_a_pes_without_timestamps_is_left_as_it_is(restamper: Restamper) -> None:
    packet = pes(5)
    packet[mpegts.payload_offset(packet) + 7] = 0  # PTS_DTS_flags
    before = bytes(packet)
    restamper.restamp_pes(packet, VIDEO, parsed(packet))
    assert packet == before


def test_without_a_pcr_the_main_stream_gives_one_from_its_first_pes() -> None:
    restamper = Restamper()
    restamper.begin_item()
    start = ItemStart(ProgramMap(), follows_an_item=False)
    start.hold(pes(900_000), VIDEO)
    restamper.place(start, main=VIDEO)
    assert restamper.timeline.now == ORIGIN_TICKS
    values = [estimated(restamper, 900_000 + frame * 3600, VIDEO, is_main=True) for frame in range(3)]
    assert values == [ORIGIN_TICKS + frame * 3600 * 300 for frame in range(3)]
    assert estimated(restamper, 900_000, SUBTITLES, is_main=False) is None
    assert restamper.pcr_watch.gaps == 1


def test_while_pcrs_come_none_is_estimated(restamper: Restamper) -> None:
    for frame in range(50):
        ticks = START + frame * PCR_HZ // 25
        assert estimated(restamper, ticks // 300, VIDEO, is_main=True) is None
        restamper.restamp_pcr(pes(0, pcr=ticks), VIDEO, not_before=None)
    assert restamper.pcr_watch.gaps == 0
