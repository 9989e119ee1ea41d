"""Programs by the first bytes of a file: their names and tracks, in each kind of packet, and in nonsense."""

import random

import pytest

from flume.reader.engine import UnplayableError
from flume.reader.libvlc.programs import TsProgram, choose, programs_untrusted
from flume.reader.libvlc.track import VlcTrack
from support.media.ts_stream import Builder, section


def pmt(number: int, rows: list[tuple[int, int, bytes]]) -> bytes:
    body = (0xE000 | rows[0][1]).to_bytes(2, "big") + b"\xf0\0"
    for stream_type, pid, descriptors in rows:
        body += bytes([stream_type]) + (0xE000 | pid).to_bytes(2, "big")
        body += (0xF000 | len(descriptors)).to_bytes(2, "big") + descriptors
    return section(2, number, body)


def service(number: int, name: bytes) -> bytes:
    body = b"\x01\x02us" + bytes([len(name)]) + name
    descriptor = bytes([0x48, len(body)]) + body
    return number.to_bytes(2, "big") + b"\xfc" + (0x8000 | len(descriptor)).to_bytes(2, "big") + descriptor


def stream() -> bytes:
    builder = Builder()
    builder.pat((7, 64), (3, 65))
    services = service(7, b"N\xe9ws") + service(3, b"\x15Zw\xc3\xb6lf")
    builder.packet(0x11, b"\0" + section(0x42, 1, b"\0\x01\xff" + services), start=True)
    subtitles, opus = b"\x59\x08deu\x10\0\1\0\1", b"\x05\x04Opus"
    rows = [(0x1B, 256, b""), (0x0F, 257, b"\x0a\x04deu\0"), (0x06, 258, subtitles)]
    builder.packet(64, b"\0" + pmt(7, rows), start=True)
    rows = [(0x24, 512, b""), (0x06, 513, b"\x6a\x01\0"), (0x06, 514, opus)]
    builder.packet(65, b"\0" + pmt(3, rows), start=True)
    for _ in range(4):
        builder.packet(256, b"picture")
    return bytes(builder.data)


PROGRAMS = {
    7: TsProgram(
        "Néws",
        (
            VlcTrack("video", "H.264", 256),
            VlcTrack("audio", "AAC", 257, "deu"),
            VlcTrack("text", "DVB subtitles", 258),
        ),
    ),
    3: TsProgram(
        "Zwölf", (VlcTrack("video", "H.265", 512), VlcTrack("audio", "AC-3", 513), VlcTrack("audio", "Opus", 514))
    ),
}


@pytest.mark.parametrize(
    ("before", "behind"), [(b"", b""), (b"time", b""), (b"", bytes(16))], ids=["188", "192", "204"]
)
@pytest.mark.parametrize("junk", [b"", b"\x47junk"], ids=["whole", "cut"])
def test_programs_are_found_in_each_kind_of_packet(before: bytes, behind: bytes, junk: bytes) -> None:
    data = stream()
    framed = b"".join(before + data[at : at + 188] + behind for at in range(0, len(data), 188))
    assert programs_untrusted(junk + framed) == PROGRAMS
    assert list(programs_untrusted(framed)) == [7, 3], "in the order of the PAT"


def test_a_program_is_chosen_by_number_by_name_or_as_the_first() -> None:
    assert [choose(PROGRAMS, wanted) for wanted in (None, "7", "3", "Zwölf")] == [7, 7, 3, 3]
    assert choose({}, "3") is None
    with pytest.raises(UnplayableError, match=r"no program 4: it has 7 \(Néws\), 3 \(Zwölf\)"):
        choose(PROGRAMS, "4")


def test_nonsense_has_no_programs() -> None:
    chance = random.Random(1)
    for data in (b"", b"G", bytes(4096), b"G" * 4096, chance.randbytes(50_000)):
        assert programs_untrusted(data) == {}
    whole = stream()
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(chance.randrange(1, 30)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        programs_untrusted(bytes(damaged[: chance.randrange(len(damaged))]))  # never raises
