"""Packets in the bytes of files: of three sizes, with junk, cut, in blocks of any size."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.measures.ts import Framer, Gap, Packets, examine_untrusted
from flume.measures.ts.framing import LOOKAHEAD_BYTES
from support.media.constant_rate import Multiplex

CLEAN = Multiplex().packets(400)


def surrounded(packets: list[bytes], size: int) -> list[bytes]:
    """Return *packets* as a file of packets of *size* bytes has them."""
    if size == 192:
        return [(number * 27_000 % (1 << 30)).to_bytes(4, "big") + packet for number, packet in enumerate(packets)]
    return [packet + bytes(size - 188) for packet in packets]


def pieces(data: bytes, block: int = 1 << 20) -> list[Packets | Gap]:
    """Return what a framer makes of *data*, with neighbouring packets put together."""
    framer = Framer()
    found = [piece for at in range(0, len(data), block) for piece in framer.feed_untrusted(data[at : at + block])]
    assert len(framer._buffer) < LOOKAHEAD_BYTES
    found += framer.finish()
    joined: list[Packets | Gap] = []
    for is_packets, group in itertools.groupby(found, lambda piece: isinstance(piece, Packets)):
        if is_packets:
            joined.append(Packets(b"".join(piece.data for piece in group if isinstance(piece, Packets))))
        else:
            joined += group
    return joined


@pytest.mark.parametrize("size", [188, 192, 204])
@pytest.mark.parametrize("block", [1, 7, 188, 1000, 1 << 20])
def test_packets_of_each_size_are_found(size: int, block: int) -> None:
    packets = CLEAN[:60]
    assert pieces(b"".join(surrounded(packets, size)), block) == [Packets(b"".join(packets))]


@pytest.mark.parametrize("size", [188, 192, 204])
@pytest.mark.parametrize("junk", [1, 3, 187, 189, 500, 2000])
def test_junk_between_packets_is_a_gap(size: int, junk: int) -> None:
    packets = surrounded(CLEAN, size)
    data = b"".join(packets[:100]) + b"j" * junk + b"".join(packets[100:])
    before, gap, after = pieces(data)
    assert gap == Gap(100 * size, junk, at_end=False)
    assert before == Packets(b"".join(CLEAN[:100]))
    assert after == Packets(b"".join(CLEAN[100:]))


def test_junk_that_looks_like_packets_for_a_while_is_a_gap() -> None:
    junk = (b"\x47" + bytes(187)) * 3 + b"end"
    assert pieces(junk + b"".join(CLEAN)) == [Gap(0, len(junk), at_end=False), Packets(b"".join(CLEAN))]


def test_a_single_wrong_sync_byte_stays_in_its_packet() -> None:
    packets = [*CLEAN[:100], b"\0" + CLEAN[100][1:], *CLEAN[101:]]
    for block in (1, 188, 1 << 20):
        assert pieces(b"".join(packets), block) == [Packets(b"".join(packets))]


def test_a_wrong_last_sync_byte_stays_in_its_packet() -> None:
    packets = [*CLEAN[:-1], b"\0" + CLEAN[-1][1:]]
    assert pieces(b"".join(packets)) == [Packets(b"".join(packets))]


def test_a_cut_packet_at_the_end_is_a_gap_there() -> None:
    data = b"".join(CLEAN)[:-88]
    assert pieces(data) == [Packets(b"".join(CLEAN[:-1])), Gap(399 * 188, 100, at_end=True)]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_file_of_few_packets(count: int) -> None:
    assert pieces(b"".join(CLEAN[:count])) == [Packets(b"".join(CLEAN[:count]))]


def test_a_file_without_packets() -> None:
    assert pieces(b"") == []
    assert pieces(b"no packets") == [Gap(0, 10, at_end=True)]
    figures = examine_untrusted([])
    assert figures.counts == {}
    assert set(figures.not_examined.values()) == {"there is no packet"}


@given(st.binary(max_size=3000), st.integers(1, 700))
def test_every_byte_is_in_a_packet_or_a_gap(data: bytes, block: int) -> None:
    sizes = {188: 188}
    framer, total = Framer(), 0
    found = [piece for at in range(0, len(data), block) for piece in framer.feed_untrusted(data[at : at + block])]
    for piece in found + framer.finish():
        if isinstance(piece, Gap):
            total += piece.size
        else:
            assert len(piece.data) % 188 == 0
            total += len(piece.data) // 188 * sizes.get(framer.packet_bytes or 188, framer.packet_bytes or 188)
    assert total == len(data) or framer.packet_bytes != 188


@given(
    st.lists(st.sampled_from([b"".join(CLEAN[:9]), b"\x47", b"junk", CLEAN[5][:77]]), max_size=12), st.integers(1, 999)
)
def test_blocks_do_not_change_what_is_found(parts: list[bytes], block: int) -> None:
    data = b"".join(parts)
    assert pieces(data, block) == pieces(data)
