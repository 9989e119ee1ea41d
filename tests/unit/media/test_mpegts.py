"""Transport packets, program tables and keyframes: what is read, what is written, what is tolerated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.media import keyframes, mpegts, psi
from support.media.ts_stream import H264_KEYFRAME, H264_OTHER, Builder, item, section


def packets(data: bytes) -> list[bytearray]:
    return [bytearray(data[start : start + 188]) for start in range(0, len(data), 188)]


@pytest.mark.parametrize("pcr", [0, 299, 300, 27_000_000, mpegts.PCR_MODULUS - 1])
def test_pcr_survives_writing_and_reading(pcr: int) -> None:
    builder = Builder()
    builder.packet(100, b"x" * 50, pcr=12345)
    packet = bytearray(builder.data)
    before = bytes(packet)
    mpegts.write_pcr(packet, pcr)
    assert mpegts.read_pcr(packet) == pcr
    assert packet[:6] == before[:6]
    assert packet[12:] == before[12:]


def test_pcr_is_taken_modulo_its_field() -> None:
    builder = Builder()
    builder.packet(100, b"", pcr=0)
    packet = bytearray(builder.data)
    mpegts.write_pcr(packet, mpegts.PCR_MODULUS + 7)
    assert mpegts.read_pcr(packet) == 7


def test_pcr_is_read_in_place_from_the_middle_of_a_datagram() -> None:
    builder = Builder()
    builder.packet(100, b"x" * 184)
    builder.packet(100, b"x" * 50, pcr=12345)
    for data in (bytes(builder.data), builder.data, memoryview(bytes(builder.data))):
        assert [mpegts.read_pcr(data, start) for start in (0, 188)] == [None, 12345]


@pytest.mark.parametrize(("field", "flags", "has_pcr"), [(6, 0x10, False), (7, 0x10, True), (183, 0x10, True)])
def test_a_pcr_needs_an_adaptation_field_that_can_hold_it(field: int, flags: int, has_pcr: bool) -> None:
    packet = bytes([0x47, 0, 100, 0x20, field, flags]) + bytes(182)
    assert (mpegts.read_pcr(packet) is not None) is has_pcr
    assert mpegts.read_pcr(packet[:3] + b"\x10" + packet[4:]) is None, "no adaptation field"
    assert mpegts.read_pcr(packet[:5] + b"\x40" + packet[6:]) is None, "no PCR_flag"
    assert mpegts.read_pcr(packet[:4] + b"\xb8" + packet[5:]) is None, "longer than the packet"


@given(pts=st.integers(0, mpegts.PTS_MODULUS - 1), dts=st.integers(0, mpegts.PTS_MODULUS - 1))
def test_timestamps_are_read_and_rewritten_in_place(pts: int, dts: int) -> None:
    builder = Builder()
    builder.pes(100, b"payload", pts=pts, dts=dts)
    packet = bytearray(builder.data[:188])
    pes = mpegts.parse_pes_start_untrusted(packet)
    assert pes is not None
    assert (pes.pts, pes.dts) == (pts, dts)
    assert packet[pes.payload_offset :] == b"payload"
    assert pes.pts_offset is not None
    assert pes.dts_offset is not None
    mpegts.write_timestamp(packet, pes.pts_offset, dts)
    mpegts.write_timestamp(packet, pes.dts_offset, pts)
    swapped = mpegts.parse_pes_start_untrusted(packet)
    assert swapped is not None
    assert (swapped.pts, swapped.dts) == (dts, pts)


def test_a_pes_without_dts_has_that_of_its_pts() -> None:
    builder = Builder()
    builder.pes(200, b"payload", pts=5)
    pes = mpegts.parse_pes_start_untrusted(builder.data[:188])
    assert pes is not None
    assert (pes.pts, pes.dts, pes.dts_offset) == (5, 5, None)


def test_what_begins_no_readable_pes_yields_none() -> None:
    builder = Builder()
    builder.pes(100, b"payload", pts=5)
    packet = bytearray(builder.data[:188])
    scrambled, continued = packet.copy(), packet.copy()
    scrambled[3] |= 0x80
    continued[1] &= ~0x40
    assert mpegts.parse_pes_start_untrusted(scrambled) is None
    assert mpegts.parse_pes_start_untrusted(continued) is None


@given(st.binary(min_size=188, max_size=188))
def test_arbitrary_packets_never_raise(data: bytes) -> None:
    packet = bytearray(data)
    mpegts.read_pcr(packet)
    mpegts.parse_pes_start_untrusted(packet)
    mpegts.mark_random_access(packet)
    psi.SectionAssembler().feed_untrusted(packet)


@given(st.binary(max_size=400))
def test_arbitrary_sections_never_raise(data: bytes) -> None:
    psi.parse_pat_untrusted(data)
    psi.parse_pmt_untrusted(data)
    for table in (0, 2):  # with a correct CRC the parser goes further
        psi.parse_pat_untrusted(section(table, 1, data))
        psi.parse_pmt_untrusted(section(table, 1, data))


# --- tables --------------------------------------------------------------------------------------------------------


def test_tables_are_read_as_they_were_written() -> None:
    streams = (psi.ElementaryStream(0x1B, 256, b"\x05\x01x"), psi.ElementaryStream(0x0F, 272, b""))
    program = psi.Program(256, b"\x09\x00", streams)
    pat = psi.build_pat(program_number=1, pmt_pid=0x1000, version=3)
    assert psi.parse_pat_untrusted(pat) == {1: 0x1000}
    assert psi.parse_pmt_untrusted(psi.build_pmt(program, program_number=1, version=31)) == program
    assert pat == section(0, 1, b"\0\1\xf0\0", version=3)


def test_a_damaged_section_is_not_believed() -> None:
    pat = bytearray(psi.build_pat(program_number=1, pmt_pid=0x1000, version=0))
    pat[10] ^= 1
    assert psi.parse_pat_untrusted(bytes(pat)) is None


def test_a_section_may_span_packets() -> None:
    streams = tuple(psi.ElementaryStream(0x06, 300 + number, bytes(20)) for number in range(30))
    whole = psi.build_pmt(psi.Program(300, b"", streams), program_number=1, version=0)
    parts = psi.packets_of_section(whole, 66)
    assert len(parts) > 3
    assert all(len(part) == 188 for part in parts)
    assembler = psi.SectionAssembler()
    assert [assembler.feed_untrusted(part) for part in parts] == [None] * (len(parts) - 1) + [whole]


def test_a_section_is_put_together_where_every_packet_comes_twice() -> None:
    streams = tuple(psi.ElementaryStream(0x06, 300 + number, bytes(20)) for number in range(30))
    whole = psi.build_pmt(psi.Program(300, b"", streams), program_number=1, version=0)
    assembler = psi.SectionAssembler()
    fed = [assembler.feed_untrusted(part) for part in psi.packets_of_section(whole, 66) for _ in range(2)]
    assert whole in fed


def test_a_pmt_that_is_too_long_is_refused() -> None:
    streams = tuple(psi.ElementaryStream(0x06, 300, bytes(200)) for _ in range(6))
    with pytest.raises(ValueError, match="does not fit"):
        psi.build_pmt(psi.Program(300, b"", streams), program_number=1, version=0)


# --- keyframes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream_type", "data", "expected"),
    [
        (0x1B, H264_KEYFRAME, True),
        (0x1B, H264_OTHER, False),
        (0x1B, b"\0\0\1\x65", True),
        (0x24, b"\0\0\0\1\x40\x01", True),  # VPS
        (0x24, b"\0\0\1\x46\x01\0\0\1\x26\x01", True),  # AUD, IDR_W_RADL
        (0x24, b"\0\0\1\x46\x01\0\0\1\x02\x01", False),  # AUD, TRAIL_R
        (0x02, b"\0\0\1\xb3\x50", True),
        (0x02, b"\0\0\1\x00\x50", False),
        (0x10, b"\0\0\1\xb0\x01", True),
        (0x0F, b"\0\0\1\x65", False),
        (0x1B, b"\0\0\1", False),
        (0x1B, b"", False),
    ],
)
def test_keyframes_by_codec(stream_type: int, data: bytes, expected: bool) -> None:
    assert keyframes.begins_keyframe(stream_type, data) is expected


# --- framing -------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 700), min_size=1, max_size=60))
def test_pieces_of_any_length_give_the_same_packets(lengths: list[int]) -> None:
    data = item(frames=3)
    framer = mpegts.Framer()
    found, position = [], 0
    for length in lengths:
        found += framer.feed_untrusted(data[position : position + length])
        position += length
    found += framer.feed_untrusted(data[position:])
    assert found == packets(data)
    assert (framer.resyncs, framer.skipped_bytes) == (0, 0)


@pytest.mark.parametrize("piece", [1, 100, 188, 1000, 100_000])
def test_lost_sync_is_found_again_and_counted_once(piece: int) -> None:
    data = item(frames=10)
    damaged = data[: 188 * 5] + b"\x00garbage\x47" * 100 + data[188 * 5 :]
    framer = mpegts.Framer()
    found = []
    for start in range(0, len(damaged), piece):
        found += framer.feed_untrusted(damaged[start : start + piece])
    assert found == packets(data)
    assert (framer.resyncs, framer.skipped_bytes) == (1, 900)


def test_bytes_without_any_packet_are_not_kept() -> None:
    framer = mpegts.Framer()
    for _ in range(100):
        assert framer.feed_untrusted(b"\0" * 10_000) == []
    assert framer.skipped_bytes > 999_000
    assert len(framer._buffer) <= 2 * 188
