"""RTP headers, and arithmetic of sequence numbers and timestamps."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.errors import RemoteProtocolError
from flume.media import rtp


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 40), st.integers(0, 0xFFFFFFFF), st.binary(max_size=40))
def test_what_is_packed_is_parsed(sequence, timestamp, ssrc, payload):
    buffer = bytearray(rtp.HEADER_BYTES) + payload
    rtp.pack_header_into(buffer, 0, sequence=sequence, timestamp=timestamp, ssrc=ssrc)
    packet = rtp.parse_untrusted(buffer)
    assert packet == (sequence % 65536, timestamp % (1 << 32), ssrc, payload)


def test_csrc_list_extension_and_padding_of_other_senders_are_skipped():
    head = struct.pack("!BBHII", 0x80 | 0x20 | 0x10 | 2, 33, 7, 0, 0)
    datagram = head + bytes(8) + struct.pack("!HH", 0xBEDE, 1) + bytes(4) + b"TS" + b"\0\0\x03"
    assert bytes(rtp.parse_untrusted(datagram).payload) == b"TS"


@pytest.mark.parametrize(
    ("datagram", "code"),
    [
        (b"", "rtp_short"),
        (bytes(11), "rtp_short"),
        (b"\x47" + bytes(1315), "rtp_unsupported"),
        (b"\x80\x60" + bytes(10), "rtp_unsupported"),
        (b"\xa0\x21" + bytes(10), "rtp_padding"),
        (b"\xa0\x21" + bytes(9) + b"\xff", "rtp_short"),
        (b"\x90\x21" + bytes(10), "rtp_short"),
        (b"\x8f\x21" + bytes(10), "rtp_short"),
    ],
)
def test_what_is_no_such_rtp_packet_is_named(datagram, code):
    with pytest.raises(RemoteProtocolError) as caught:
        rtp.parse_untrusted(datagram)
    assert caught.value.code == code


@given(st.binary(max_size=64))
def test_arbitrary_datagrams_raise_one_error_type_only(datagram):
    with contextlib.suppress(RemoteProtocolError):
        rtp.parse_untrusted(datagram)


@given(st.integers(0, 1 << 40), st.integers(-32768, 32767))
def test_a_sequence_number_is_extended_to_the_nearest(reference, distance):
    target = reference + distance
    if target >= 0:
        assert rtp.extend_sequence(target & 0xFFFF, reference) == target


@given(st.integers(-(1 << 40), 1 << 40), st.integers(-(1 << 31), (1 << 31) - 1))
def test_timestamp_distance_is_the_signed_32_bit_difference(older: int, distance: int) -> None:
    assert rtp.timestamp_distance(older + distance, older) == distance
    assert rtp.timestamp_distance((older + distance) % (1 << 32), older % (1 << 32)) == distance


def test_timestamp_distance_across_the_wrap() -> None:
    assert rtp.timestamp_distance(900, 0xFFFF_FFFF) == 901
    assert rtp.timestamp_distance(0xFFFF_FFFF, 900) == -901
    assert rtp.timestamp_distance(1 << 31, 0) == -(1 << 31)
