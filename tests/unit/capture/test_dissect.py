"""Frames of every link type, and any bytes in their place."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from flume.capture.dissect import LINK_HEADER, Dissector, refused_untrusted
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
