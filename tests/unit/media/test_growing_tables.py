"""A table of an item's first or last moments is not taken for the item's: clients are not turned out at each seam."""

import itertools

import pytest

from flume.media import psi
from flume.media.datagrams import Datagram
from flume.media.packetizer import Packetizer
from flume.media.program import SETTLE_TICKS, ProgramMap
from flume.media.psi import ElementaryStream, Program
from support.media.camera import SyntheticCamera
from support.media.packetizer_harness import AUDIO, VIDEO
from support.media.ts_stream import Check


def take_out(camera: SyntheticCamera, name: str) -> None:
    """Let the PMT name a stream less; the PCR comes on what is left."""
    setattr(camera.builder, name, None)
    left = camera.builder.video if camera.builder.video is not None else camera.builder.audio
    camera.builder.pcr_pid = camera.pcr_pid = left or 0x1FFF
    _announce(camera)


def _announce(camera: SyntheticCamera) -> None:
    camera.builder.version = (camera.builder.version + 1) % 32
    camera.tables_due = True


def item(*, grows_after: int = 0, shrinks_before: int = 0, first: str = "audio") -> bytes:
    """Return 50 frames whose PMT names only *first* at first, and only the audio in the last frames."""
    camera = SyntheticCamera()
    data = b""
    if grows_after:
        whole = {"video": 100, "audio": 200}
        take_out(camera, "video" if first == "audio" else "audio")
        data += camera.frames(grows_after)
        for name, pid in whole.items():
            setattr(camera.builder, name, pid)
        camera.builder.pcr_pid = camera.pcr_pid = 100
        camera.number = 0  # a keyframe
        _announce(camera)
    data += camera.frames(50 - grows_after - shrinks_before)
    if shrinks_before:
        take_out(camera, "video")
        data += camera.frames(shrinks_before)
    return data


def play(*items: bytes) -> tuple[list[Datagram], Packetizer]:
    packetizer, datagrams = Packetizer(), []
    for data in items:
        packetizer.begin_item(live=False)
        datagrams += packetizer.feed_untrusted(data) + packetizer.end_item()
    return datagrams, packetizer


@pytest.mark.parametrize("first", ["audio", "video"])
@pytest.mark.parametrize("grows_after", [0, 1, 8])
@pytest.mark.parametrize("shrinks_before", [0, 1, 10])
def test_a_loop_of_an_item_has_one_table(grows_after: int, shrinks_before: int, first: str) -> None:
    data = item(grows_after=grows_after, shrinks_before=shrinks_before, first=first)
    datagrams, packetizer = play(item(), data, data, data)
    check = Check(b"".join(datagram.payload for datagram in datagrams))
    assert len(check.tables[0x1000]) == 1
    assert not any(datagram.new_tables for datagram in datagrams)
    assert packetizer.statistics().table_changes == 0
    missing = {"audio": grows_after, "video": 0}[first] + shrinks_before
    assert len(check.pes[VIDEO]) == 200 - 3 * missing
    assert len(check.pes[AUDIO]) == 200 - 3 * (grows_after if first == "video" else 0)
    assert check.continuity_errors == 0
    due = [datagram.due_s for datagram in datagrams]
    assert max(after - before for before, after in itertools.pairwise(due)) <= 0.25


def test_the_first_item_waits_for_its_video_too() -> None:
    datagrams, _ = play(item(grows_after=8), item())
    assert len(Check(b"".join(datagram.payload for datagram in datagrams)).tables[0x1000]) == 1


def test_while_the_table_has_shrunk_pcrs_come_on_the_pid_that_is_announced() -> None:
    datagrams, _ = play(item(shrinks_before=10))
    check = Check(b"".join(datagram.payload for datagram in datagrams))
    data = b"".join(datagram.payload for datagram in datagrams)
    announced = {pcr for number, pcr in check.pcrs if data[number * 188 + 2] == VIDEO & 0xFF}
    others = {pcr for number, pcr in check.pcrs if data[number * 188 + 2] == AUDIO & 0xFF}
    assert len(others) == 10
    assert others <= announced


def test_an_item_of_audio_alone_has_a_table_of_its_own() -> None:
    camera = SyntheticCamera()
    take_out(camera, "video")
    datagrams, packetizer = play(item(), camera.frames(60), item())
    check = Check(b"".join(datagram.payload for datagram in datagrams))
    assert {table[5] >> 1 & 31 for table in check.tables[0x1000]} == {0, 1, 2}
    assert len(check.pes[AUDIO]) == 160
    assert packetizer.statistics().table_changes == 0


def test_streams_keep_their_pids_when_a_pmt_names_them_in_another_order() -> None:
    program = ProgramMap()
    pids = []
    for listed in ((200, 201), (201, 200), (202, 201, 200), (202, 200)):
        streams = tuple(ElementaryStream(0x0F, pid, b"") for pid in listed)
        sections = (
            (0, psi.build_pat(program_number=1, pmt_pid=66, version=0)),
            (66, psi.build_pmt(Program(200, b"", streams), program_number=1, version=0)),
        )
        for pid, section in sections:
            for packet in psi.packets_of_section(section, pid):
                program.route_untrusted(bytearray(packet))
        pids.append({pid: route.pid for pid, route in program.incoming.items()})
    assert pids == [
        {200: 0x110, 201: 0x111},
        {200: 0x110, 201: 0x111},
        {200: 0x110, 201: 0x111, 202: 0x112},
        {200: 0x110, 201: 0x111, 202: 0x112},
    ]
    program.settle(0)
    program.settle(SETTLE_TICKS)
    assert {pid: route.pid for pid, route in program.incoming.items()} == {200: 0x110, 202: 0x112}
