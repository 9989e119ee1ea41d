"""Frames of every link type, and any bytes in their place."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.capture.dissect import LINK_HEADER, UDP, Dissector, Segment, refused_untrusted, transport_untrusted
from flume.errors import CaptureError


@given(st.sampled_from(sorted(LINK_HEADER)), st.binary(max_size=120))
def test_any_bytes_are_a_packet_or_end_too_soon(link_type: int, frame: bytes):
    with contextlib.suppress(CaptureError):
        Dissector(link_type).packet_untrusted(frame)


@given(st.binary(max_size=80))
def test_any_bytes_are_an_icmp_message_or_none(data: bytes):
    for message in (data, b"\x03\x03" + data):
        ports = refused_untrusted(message)
        assert ports is None or len(ports) == 2


PORTS = bytes.fromhex("138cc350")
IPV4 = bytes.fromhex("4500001e0001000040110000c6120002c612000b") + PORTS + b"\0\x0a\0\0hi"


@pytest.mark.parametrize("tags", ["", "81000002", "88a8000181000002", "910000018100000281000003"])
@pytest.mark.parametrize("link_type", [1, 113, 276])
def test_vlan_tags_in_any_number_lie_before_the_packet(link_type: int, tags: str):
    kinds = bytes.fromhex(tags + "0800")
    before = {1: bytes(12) + kinds, 113: bytes(14) + kinds, 276: kinds[:2] + bytes(18) + kinds[2:]}[link_type]
    packet = Dissector(link_type).packet_untrusted(before + IPV4)
    assert isinstance(packet, Segment)
    assert (packet.protocol, packet.source, packet.data) == (UDP, ("198.18.0.2", 5004), b"hi")


def test_neither_ipv4_nor_ipv6_is_no_packet():
    assert Dissector(101).packet_untrusted(b"\x50" + IPV4[1:] + bytes(40)) is None


@pytest.mark.parametrize(("length", "data"), [(10, b"hi"), (8, b""), (0, b"hi and padding"), (99, b"hi and padding")])
def test_what_lies_behind_a_datagram_is_no_part_of_it(length: int, data: bytes):
    found = transport_untrusted(UDP, "a", "b", PORTS + length.to_bytes(2, "big") + b"\0\0hi and padding")
    assert found is not None
    assert found.data == data
