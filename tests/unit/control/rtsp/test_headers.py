"""What players write in headers, and what none of them should be able to ask for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.control.rtsp.headers import (
    TcpTransport,
    Transport,
    TransportRefusal,
    UdpTransport,
    choose_transport_untrusted,
    credentials_untrusted,
    is_playable_range,
    rtp_info,
    session_id,
    transport_header,
)

OWN = ("198.18.0.3",)


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("RTP/AVP;unicast;client_port=9000-9001", UdpTransport(9000, 9001)),  # VLC's SAT>IP
        ("RTP/AVP/UDP;unicast;client_port=22780-22781", UdpTransport(22780, 22781)),  # FFmpeg
        ("RTP/AVP/TCP;unicast;interleaved=0-1", TcpTransport(0, 1)),
        ("RTP/AVP/UDP;multicast,RTP/AVP/TCP;unicast;interleaved=2-3", TcpTransport(2, 3)),  # GStreamer's list
        ("rtp/avp; unicast; CLIENT_PORT=5000", UdpTransport(5000, None)),
        ("RTP/AVP;unicast;client_port=5000-5000", UdpTransport(5000, None)),  # RTP and RTCP on one port (RFC 5761)
        ('RTP/AVP;unicast;client_port=5000-5001;mode="PLAY"', UdpTransport(5000, 5001)),
        ("RTP/AVP;unicast;destination=198.18.0.3;client_port=5000-5001", UdpTransport(5000, 5001)),
        ("RTP/AVP/TCP", TcpTransport(0, 1)),
        ("RTP/AVP/TCP;interleaved=255", TcpTransport(255, 254)),
    ],
)
def test_the_first_transport_that_there_is(header: str, chosen: Transport):
    assert choose_transport_untrusted(header, udp=True, own_addresses=OWN) == chosen


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("", "RTP/AVP"),
        ("RTP/AVP;multicast;client_port=9000-9001", "multicast"),
        ("RTP/SAVP;unicast;client_port=9000-9001", "RTP/AVP"),
        ("RTP/AVP;unicast", "client_port"),
        ("RTP/AVP;unicast;client_port=80-81", "1024"),
        ("RTP/AVP;unicast;client_port=9000-53", "1024"),
        ("RTP/AVP;unicast;client_port=70000-70001", "65535"),
        ("RTP/AVP;unicast;client_port=-5", "client_port"),
        ("RTP/AVP;unicast;client_port=٩٠٠٠", "client_port"),
        ("RTP/AVP;unicast;destination=198.18.0.4;client_port=9000-9001", "destination"),
        ("RTP/AVP;unicast;client_port=9000-9001;mode=record", "records"),
        ("RTP/AVP/TCP;interleaved=3-3", "two channels"),
        ("RTP/AVP/TCP;interleaved=256-257", "0 to 255"),
        (",".join(["RTP/SAVP"] * 16 + ["RTP/AVP/TCP"]), "RTP/AVP"),
    ],
)
def test_a_transport_that_there_is_not_is_refused_with_the_reason(header: str, words: str):
    refusal = choose_transport_untrusted(header, udp=True, own_addresses=OWN)
    assert isinstance(refusal, TransportRefusal)
    assert words in refusal.message


def test_without_udp_the_next_in_the_list_is_taken_or_what_to_ask_for_is_said():
    both = "RTP/AVP;unicast;client_port=9000-9001,RTP/AVP/TCP;interleaved=0-1"
    assert choose_transport_untrusted(both, udp=False, own_addresses=OWN) == TcpTransport(0, 1)
    refusal = choose_transport_untrusted(both.split(",", maxsplit=1)[0], udp=False, own_addresses=OWN)
    assert isinstance(refusal, TransportRefusal)
    assert "RTP/AVP/TCP" in refusal.message


@given(st.text(max_size=200))
def test_any_text_raises_nothing_and_no_port_is_below_the_lowest(text: str):
    chosen = choose_transport_untrusted(text, udp=True, own_addresses=OWN)
    if isinstance(chosen, UdpTransport):
        assert all(1024 <= port <= 65_535 for port in (chosen.port, chosen.rtcp_port or chosen.port))
    is_playable_range(text)
    session_id(text)
    credentials_untrusted(text)


def test_the_answer_names_both_sides_ports():
    header = transport_header(UdpTransport(9000, 9001), port=5004, rtcp_port=5005, ssrc=0xABCDEF01)
    assert header == 'RTP/AVP;unicast;client_port=9000-9001;server_port=5004-5005;ssrc=ABCDEF01;mode="PLAY"'


@pytest.mark.parametrize(
    ("header", "is_playable"),
    [
        (None, True),
        ("npt=0.000-", True),  # live555, GStreamer
        ("npt=now-", True),
        ("npt=12.5-", True),
        ("npt=0:10:20.25-", True),
        ("npt=-30", True),
        ("npt=5-1e9", True),
        ("clock=19961108T143720.25Z-", False),
        ("smpte=10:12:33:20-", False),
        ("npt=x-", False),
        ("rubbish", False),
    ],
)
def test_a_range_that_can_be_played(header: str | None, is_playable: bool):
    assert is_playable_range(header) is is_playable


def test_rtp_info_has_what_is_known():
    assert rtp_info("rtsp://a/stream=0", sequence=7, timestamp=9) == "url=rtsp://a/stream=0;seq=7;rtptime=9"
    assert rtp_info("rtsp://a/stream=0", sequence=None, timestamp=None) == "url=rtsp://a/stream=0"


@pytest.mark.parametrize("header", [None, "", "Digest username=a", "Basic !!", "Basic YW5uYQ==", "Basic /w=="])
def test_what_is_no_basic_authorization_names_nobody(header: str | None):
    assert credentials_untrusted(header) is None
