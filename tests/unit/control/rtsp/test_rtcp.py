"""Reports that foreign programs read, and theirs; scapy's own reading of RTCP is not needed to know the layout."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from flume.control.rtsp.rtcp import ReceiverReport, receiver_reports_untrusted, sender_report

BLOCK = struct.pack("!IIIIII", 0xABC, (64 << 24) | 3, (1 << 16) | 9, 90, 0, 0)


def test_a_compound_packet_is_of_whole_words_and_ends_with_bye():
    for name in ("", "a", "ab", "abc", "abcd"):
        data = sender_report(7, wall_s=1.25, rtp_time=90, datagrams=2, octets=1 << 33, cname=name, is_bye=True)
        kinds, at = [], 0
        while at < len(data):
            kinds.append(data[at + 1])
            at += 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")
        assert (at, kinds) == (len(data), [200, 202, 203])
        assert b"\0" in data[-12:-8]  # the end of the list of items, in the description's last word
        assert data[20:28] == struct.pack("!II", 2, 0)


def test_reports_of_receivers_are_read_also_behind_others():
    empty = struct.pack("!BBHI", 0x80, 201, 1, 5)
    report = struct.pack("!BBHI", 0x81, 201, 7, 5) + BLOCK
    theirs = ReceiverReport(0xABC, 0.25, 3, (1 << 16) | 9, 90)
    assert receiver_reports_untrusted(empty + report) == [theirs]
    negative = report.replace(b"\x00\x00\x03", b"\xff\xff\xff", 1)
    assert [each.lost for each in receiver_reports_untrusted(negative)] == [-1]  # GStreamer's first report


@given(st.binary(max_size=200))
def test_any_bytes_raise_nothing(data: bytes):
    receiver_reports_untrusted(data)
    receiver_reports_untrusted(bytes([0x9F, 201, 0, len(data) // 4]) + data)
