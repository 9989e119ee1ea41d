"""The frames that measure a link are recognised, whatever the link did to them, and nothing else is."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from probe import frames

MARK = 0x1235
SIZES = (60, 61, 590, 1514)


def sent() -> list[bytes]:
    """Frames of rising size towards a client."""
    return [frames.make_frame(MARK, number, size, to_client=True) for number, size in enumerate(SIZES)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("to_client", [True, False])
def test_a_frame_is_what_another_decoder_takes_for_udp(size: int, to_client: bool) -> None:
    """Lengths and the header's checksum are right, both addresses are in the range for benchmarks."""
    data = frames.make_frame(MARK, 7, size, to_client=to_client)
    packet = Ether(data)
    assert len(data) == size
    assert bytes.fromhex(packet.dst.replace(":", "")) == (frames.TO_CLIENT if to_client else frames.TO_HOST)
    assert (packet[IP].len, packet[UDP].len, packet[UDP].dport) == (size - 14, size - 34, 9)
    header = bytes(packet[IP])[:20]
    assert frames.checksum(header) == 0
    assert IP(header[:10] + b"\0\0" + header[12:]).flags == "DF"
    for address in (packet[IP].src, packet[IP].dst):
        assert ipaddress.ip_address(address) in ipaddress.ip_network("198.18.0.0/15")


def test_both_directions_have_each_others_addresses() -> None:
    """A reply would come back, and each direction's frames are told apart by their target."""
    down, up = (Ether(frames.make_frame(MARK, 0, 60, to_client=to_client))[IP] for to_client in (True, False))
    assert (down.src, down.dst) == (up.dst, up.src)


def test_each_frame_is_recognised_as_it_was_sent() -> None:
    """By its number."""
    assert [frames.recognise(frame, sent(), MARK) for frame in sent()] == [(n, True) for n in range(len(SIZES))]


@given(number=st.integers(0, len(SIZES) - 1), bit=st.integers(0, 8 * 1514 - 1))
def test_one_wrong_bit_anywhere_is_damage_to_the_same_frame(number: int, bit: int) -> None:
    """In the headers too: the payload repeats the frame's number."""
    frame = bytearray(sent()[number])
    bit %= 8 * len(frame)
    frame[bit // 8] ^= 1 << bit % 8
    assert frames.recognise(bytes(frame), sent(), MARK) == (number, False)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        bytes(60),
        bytes(1514),
        frames.make_frame(MARK + 2, 1, 1514, to_client=True),
        frames.make_frame(MARK, len(SIZES), 1514, to_client=True),
        sent()[2][: frames.HEADERS_BYTES + frames.MARK.size - 1],
    ],
    ids=["empty", "short", "zeros", "another measurement", "a number that was not sent", "cut off"],
)
def test_other_traffic_is_none_of_ours(frame: bytes) -> None:
    """However long it is."""
    assert frames.recognise(frame, sent(), MARK) is None


def test_one_mark_alone_is_not_believed() -> None:
    """Other traffic may hold six such bytes by chance."""
    once = bytes(frames.HEADERS_BYTES) + frames.MARK.pack(MARK, 1)
    assert frames.find_number(once, MARK, len(SIZES)) is None
    assert frames.find_number(once + frames.MARK.pack(MARK, 1), MARK, len(SIZES)) == 1
