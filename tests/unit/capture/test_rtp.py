"""The header of RTP with all that may be in it, batches of segmentation offload, and any bytes."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.capture.rtp import RtpPacket, rtp_untrusted, unbatched_untrusted

PAYLOAD = b"G" + bytes(187)


def header(first: int = 0x80, second: int = 33) -> bytes:
    return struct.pack("!BBHII", first, second, 65_535, 3600, 0xDEADBEEF)


@pytest.mark.parametrize(
    ("first", "between", "behind"),
    [
        (0x80, b"", b""),
        (0x83, bytes(12), b""),
        (0x90, b"\0\0\0\2" + bytes(8), b""),
        (0xA0, b"", b"\0\0\0\4"),
        (0xB1, bytes(4) + b"\0\0\0\0", b"\1"),
    ],
    ids=["nothing", "contributors", "extension", "padding", "all of it"],
)
def test_the_payload_is_what_is_left_between_header_and_padding(first: int, between: bytes, behind: bytes):
    packet = rtp_untrusted(header(first, 0xA1) + between + PAYLOAD + behind)
    assert packet == RtpPacket(33, True, 65_535, 3600, 0xDEADBEEF, PAYLOAD)


@pytest.mark.parametrize(
    "data",
    [
        header()[:11],
        header(0x40) + PAYLOAD,
        header(0x80, 200) + PAYLOAD,
        header(0x8F) + bytes(40),
        header(0x90) + b"\0\0",
        header(0x90) + b"\0\0\0\xff" + bytes(8),
        header(0xA0) + b"\x09",
    ],
    ids=["short", "version 1", "RTCP", "too few contributors", "no extension", "short extension", "too much padding"],
)
def test_what_cannot_be_rtp_is_none(data: bytes):
    assert rtp_untrusted(data) is None


@given(st.binary(max_size=100))
def test_any_bytes_are_a_packet_or_none(data: bytes):
    for each in (data, header() + data, header(0xBF) + data):
        packet = rtp_untrusted(each)
        assert packet is None or each.find(packet.payload) >= 0
        assert b"".join(unbatched_untrusted(each)) == each


def test_a_batch_has_datagrams_of_one_length_and_a_shorter_last_one():
    one = header() + PAYLOAD * 7
    assert [*unbatched_untrusted(one)] == [one]
    assert [*unbatched_untrusted(one * 3)] == [one] * 3
    assert [*unbatched_untrusted(one * 2 + header() + PAYLOAD)] == [one, one, header() + PAYLOAD]


def test_what_looks_like_a_header_in_the_media_of_another_sender_is_media():
    other = struct.pack("!BBHII", 0x80, 33, 1, 2, 7)
    data = header() + PAYLOAD + other + PAYLOAD
    assert [*unbatched_untrusted(data)] == [data]
