"""Requests are cut out of any bytes, however they are divided, and each wrong one gets its own status."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.control.rtsp.messages import (
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    Fault,
    Item,
    MessageBuffer,
    Packet,
    Request,
    Status,
    encode_response,
    packet_header,
)

OPTIONS = b"OPTIONS rtsp://198.18.0.2:5004/ RTSP/1.0\r\nCSeq: 2\r\nUser-Agent: LibVLC/3.0.23\r\n\r\n"
URI = "rtsp://198.18.0.2:5004/"


def items_of(*parts: bytes) -> list[Item]:
    messages, items = MessageBuffer(), []
    for part in parts:
        messages.append_untrusted(part)
        while (item := messages.take_untrusted()) is not None:
            items.append(item)
    return items


def test_a_request_has_its_method_address_number_and_headers():
    (request,) = items_of(OPTIONS)
    assert request == Request("OPTIONS", URI, 2, {"cseq": "2", "user-agent": "LibVLC/3.0.23"})


@pytest.mark.parametrize(
    "written",
    [
        OPTIONS.replace(b"\r\n", b"\n"),
        b"\r\n\r\n" + OPTIONS,
        OPTIONS.replace(b"CSeq: 2", b"cseq:2"),
        OPTIONS.replace(b"LibVLC/3.0.23", b"LibVLC/\r\n 3.0.23").replace(b"LibVLC/\r\n ", b"\r\n LibVLC/"),
        OPTIONS.replace(b"CSeq: 2\r\n", b"CSeq: 2\r\nContent-Length: 0\r\n"),
    ],
)
def test_a_player_that_is_not_quite_right_is_understood(written: bytes):
    (request,) = items_of(written)
    assert isinstance(request, Request)
    assert (request.method, request.uri, request.cseq) == ("OPTIONS", URI, 2)
    assert request.headers["user-agent"] == "LibVLC/3.0.23"


@pytest.mark.parametrize(
    ("written", "status", "cseq"),
    [
        (b"OPTIONS * RTSP/1.0\r\n\r\n", Status.BAD_REQUEST, None),
        (b"OPTIONS * RTSP/1.0\r\nCSeq: x\r\n\r\n", Status.BAD_REQUEST, None),
        (b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nCSeq: 2\r\n\r\n", Status.BAD_REQUEST, None),
        (b"OPTIONS * RTSP/1.0\r\nCSeq: 99999999999\r\n\r\n", Status.BAD_REQUEST, None),
        (b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nno header\r\n\r\n", Status.BAD_REQUEST, 1),
        (b"OPTIONS * RTSP/2.0\r\nCSeq: 1\r\n\r\n", Status.VERSION_NOT_SUPPORTED, 1),
        (b"OPTIONS\r\nCSeq: 1\r\n\r\n", Status.BAD_REQUEST, 1),
        (b"OPTIONS  * x RTSP/1.0\r\nCSeq: 1\r\n\r\n", Status.BAD_REQUEST, 1),
        (b"OPT\xc3\x84 * RTSP/1.0\r\nCSeq: 1\r\n\r\n", Status.BAD_REQUEST, 1),
        (b"\xff\xff * RTSP/1.0\r\nCSeq: 1\r\n\r\n", Status.BAD_REQUEST, None),
        (b"OPTIONS a\0b RTSP/1.0\r\nCSeq: 1\r\n\r\n", Status.BAD_REQUEST, 1),
    ],
)
def test_a_wrong_request_has_its_status_and_the_next_one_is_carried_out(
    written: bytes, status: Status, cseq: int | None
):
    fault, following = items_of(written + OPTIONS)
    assert isinstance(fault, Fault)
    assert (fault.status, fault.cseq, fault.is_last) == (status, cseq, False)
    assert isinstance(following, Request)


@pytest.mark.parametrize(
    ("written", "status"),
    [
        (b"A" * MAX_HEAD_BYTES, Status.TOO_LARGE),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Status.VERSION_NOT_SUPPORTED),
        (b"OPTIONS * RTSP/2.0\r\nCSeq: 1\r\nContent-Length: 9\r\n\r\n", Status.VERSION_NOT_SUPPORTED),
        (b"OPTIONS * RTSP/1.0\r\nX: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n", Status.TOO_LARGE),
        (b"A: B\r\n" * 200_000, Status.TOO_LARGE),
        (OPTIONS.replace(b"\r\n\r\n", b"\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1)), Status.TOO_LARGE),
        (OPTIONS.replace(b"\r\n\r\n", b"\r\nContent-Length: -1\r\n\r\n"), Status.BAD_REQUEST),
        (OPTIONS.replace(b"\r\n\r\n", b"\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), Status.BAD_REQUEST),
    ],
)
def test_after_a_request_whose_end_is_not_known_nothing_is_read(written: bytes, status: Status):
    fault, *others = items_of(written + OPTIONS)
    assert isinstance(fault, Fault)
    assert (fault.status, fault.is_last, others) == (status, True, [])


def test_a_body_belongs_to_its_request_and_packets_stand_between():
    with_body = OPTIONS.replace(b"\r\n\r\n", b"\r\nContent-Length: 4\r\n\r\n") + b"abcd"
    items = items_of(packet_header(1, 3) + b"xyz" + with_body + packet_header(0, 0) + OPTIONS)
    assert [type(item) for item in items] == [Packet, Request, Packet, Request]
    assert items[0] == Packet(1, b"xyz")
    assert isinstance(items[1], Request)
    assert items[1].body == b"abcd"
    assert items_of(*(with_body[at : at + 1] for at in range(len(with_body)))) == items[1:2], "in pieces too"


PARTS = st.lists(
    st.sampled_from(
        [
            OPTIONS,
            b"\r\n",
            packet_header(1, 5) + b"$\r\n\r\n",
            b"GET / HTTP/1.0\r\n\r\n",
            OPTIONS.replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\n") + b"ab\r\n\r\ncde",
        ]
    ),
    max_size=8,
)


@given(PARTS, st.lists(st.integers(0, 2000), max_size=12))
def test_any_cutting_gives_the_same(parts: list[bytes], places: list[int]):
    data = b"".join(parts)
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    assert items_of(*(data[a:b] for a, b in itertools.pairwise(edges))) == items_of(data)


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_any_bytes_raise_nothing_and_are_forgotten_after_the_last_fault(parts: list[bytes]):
    items = items_of(*parts)
    assert not any(isinstance(item, Fault) and item.is_last for item in items[:-1])


def test_a_response_says_how_long_its_body_is():
    written = encode_response(Status.NOT_IN_THIS_STATE, None, {"Allow": "PLAY"}, b"body")
    assert written == (b"RTSP/1.0 455 Method Not Valid in This State\r\nAllow: PLAY\r\nContent-Length: 4\r\n\r\nbody")
