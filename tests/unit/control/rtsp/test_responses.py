"""What a server answers, as a client reads it: good, odd, broken and hostile."""

import pytest

from flume.control.rtsp.messages import MAX_HEAD_BYTES, Fault, Packet, Response
from flume.control.rtsp.responses import (
    MAX_MEDIA,
    MAX_RESPONSE_BODY_BYTES,
    Media,
    ResponseBuffer,
    ServerTransport,
    parse_response_untrusted,
    read_description_untrusted,
    server_transport_untrusted,
)

BASE = "rtsp://192.0.2.7:5004/"


def read(data: bytes, *, size: int = 1 << 20) -> list[Response | Packet | Fault]:
    buffer, items = ResponseBuffer(), []
    for at in range(0, len(data), size):
        buffer.append_untrusted(data[at : at + size])
        while (item := buffer.take_untrusted()) is not None:
            items.append(item)
    return items


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_responses_and_packets_come_in_their_order_in_any_pieces(size: int):
    stream = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 3\r\n\r\nv=0$\0\0\2ab"
    stream += b"RTSP/1.0 454 Session Not Found\nCSeq: 2\n\n"
    first, packet, second = read(stream, size=size)
    assert isinstance(first, Response)
    assert (first.status, first.cseq, first.body) == (200, 1, b"v=0")
    assert packet == Packet(0, b"ab")
    assert isinstance(second, Response)
    assert (second.status, second.reason, second.cseq) == (454, "Session Not Found", 2)


@pytest.mark.parametrize(
    "head",
    [
        b"RTSP/1.0 200",
        b"RTSP/1.1 200 OK",
        b"RTSP/1.0  200  OK",
        b"RTSP/1.0 200 Tr\xe8s bien",
        b"RTSP/1.0 200 OK\r\nCSeq: x",
    ],
)
def test_a_response_that_is_not_quite_right_is_understood(head: bytes):
    response = parse_response_untrusted(head)
    assert isinstance(response, Response)
    assert (response.status, response.cseq) == (200, None)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"HTTP/1.1 200 OK",
        b"RTSP/2.0 200 OK",
        b"RTSP/1.0 20 OK",
        b"RTSP/1.0 2000 OK",
        b"RTSP/1.0 \xb2\xb2\xb2 OK",
        b"OPTIONS * RTSP/1.0\r\nCSeq: 1",
        b"RTSP/1.0 200 OK\r\nno header",
    ],
)
def test_what_is_no_response(head: bytes):
    assert isinstance(parse_response_untrusted(head), Fault)


def test_what_has_no_end_is_not_kept():
    (fault,) = read(b"RTSP/1.0 200 OK\r\nX: " + b"y" * (2 * MAX_HEAD_BYTES))
    assert isinstance(fault, Fault)
    assert fault.is_last
    (fault,) = read(b"RTSP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_RESPONSE_BODY_BYTES + 1))
    assert isinstance(fault, Fault)
    assert fault.is_last


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", ServerTransport(over_tcp=False)),
        ("RTP/AVP/TCP;unicast;interleaved=4-5", ServerTransport(over_tcp=True, channel=4)),
        ("RTP/AVP/TCP;interleaved=400-5", ServerTransport(over_tcp=True)),
        ("rtp/avp;server_port=6000", ServerTransport(over_tcp=False, port=6000)),
        ("RTP/AVP;server_port=0-1", ServerTransport(over_tcp=False)),
        ("RTP/AVP;server_port=70000-70001", ServerTransport(over_tcp=False)),
        ("RTP/AVP;source=192.0.2.9;server_port=x", ServerTransport(over_tcp=False, source="192.0.2.9")),
    ],
)
def test_a_transport(header: str, expected: ServerTransport):
    assert server_transport_untrusted(header) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("m=video 0 RTP/AVP 33", [("MP2T/90000", BASE)]),
        ("m=video 0 RTP/AVP 96|a=rtpmap:96 H264/90000|a=control:a=1", [("H264/90000", f"{BASE}a=1")]),
        ("m=video 0 RTP/AVP 96|a=control:rtsp://b/c", [("payload type 96", "rtsp://b/c")]),
        ("a=control:x|m=video 0 RTP/AVP 33|a=control:*", [("MP2T/90000", BASE)]),
        ("m=video 0 RTP/AVP 33|a=control:a b", [("MP2T/90000", BASE)]),
        ("m=video 0 RTP/AVP 33|a=control:a\0b", [("MP2T/90000", BASE)]),
        ("m=video 0 RTP/AVP 33|a=control:" + "a" * 2000, [("MP2T/90000", BASE)]),
        ("m=video 0 RTP/AVP 33|m=text 0 UDP 5|a=control:of the text", [("MP2T/90000", BASE)]),
        ("m=video 0 RTP/AVP", []),
        ("m=", []),
    ],
)
def test_a_description(lines: str, expected: list[tuple[str, str]]):
    sdp = "\r\n".join(["v=0", "s=-", *lines.split("|"), ""]).encode()
    assert read_description_untrusted(sdp, BASE) == [Media("video", form, uri) for form, uri in expected]


def test_a_description_without_an_end_is_bounded_and_one_of_something_else_is_none():
    assert len(read_description_untrusted(b"v=0\n" + b"m=video 0 RTP/AVP 33\n" * 1000, BASE)) == MAX_MEDIA
    assert read_description_untrusted(b"m=video 0 RTP/AVP 33\n", BASE) == []
    assert read_description_untrusted(b"\xff\xfe\x00", BASE) == []
