"""What a player may not send: each gets RTSP's own status, and changes nothing."""

import pytest

from flume.control.rtsp.messages import MAX_BODY_BYTES, MAX_HEAD_BYTES
from flume.control.session import State
from flume.server.fronts.connection import MAX_PROTOCOL_ERRORS
from support.async_tests import run
from support.clients.rtsp_reading import Response, packet
from support.servers.front_harness import URI, PaperPlayer, paper_player

GOOD = b"OPTIONS * RTSP/1.0\r\nCSeq: 77\r\n\r\n"

BAD = {
    # bytes: status, and the CSeq in the answer
    "no CSeq": (b"OPTIONS * RTSP/1.0\r\n\r\n", 400, None),
    "two CSeq": (b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nCSeq: 1\r\n\r\n", 400, None),
    "a CSeq that is no number": (b"OPTIONS * RTSP/1.0\r\nCSeq: -1\r\n\r\n", 400, None),
    "a CSeq of 11 digits": (b"OPTIONS * RTSP/1.0\r\nCSeq: 12345678901\r\n\r\n", 400, None),
    "no URI": (b"OPTIONS RTSP/1.0\r\nCSeq: 1\r\n\r\n", 400, 1),
    "two URIs": (b"OPTIONS * * RTSP/1.0\r\nCSeq: 1\r\n\r\n", 400, 1),
    "a method that is no token": (b"OP(IONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", 400, 1),
    "a control character in the URI": (b"OPTIONS rtsp://a\x01 RTSP/1.0\r\nCSeq: 1\r\n\r\n", 400, 1),
    "a line that is no header": (b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nhello\r\n\r\n", 400, 1),
    "a header without a name": (b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n: a\r\n\r\n", 400, 1),
    "not UTF-8": (b"OPTIONS rtsp://\xff RTSP/1.0\r\nCSeq: 1\r\n\r\n", 400, None),
    "another version": (b"OPTIONS * RTSP/2.0\r\nCSeq: 1\r\n\r\n", 505, 1),
    "no version": (b"OPTIONS * HELLO\r\nCSeq: 1\r\n\r\n", 505, 1),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: 127.0.0.1:5004\r\nAccept: */*\r\n\r\n", 505, None),
    "a tunnel through HTTP": (b"GET /stream HTTP/1.0\r\nx-sessioncookie: a\r\nCSeq: 1\r\n\r\n", 505, 1),
    "an unknown method": (b"FLY rtsp://a/ RTSP/1.0\r\nCSeq: 1\r\n\r\n", 501, 1),
    "a method in small letters": (b"setup rtsp://a/ RTSP/1.0\r\nCSeq: 1\r\n\r\n", 501, 1),
    "a server's method": (b"REDIRECT rtsp://a/ RTSP/1.0\r\nCSeq: 1\r\n\r\n", 501, 1),
    "a recording": (b"ANNOUNCE rtsp://a/ RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 3\r\n\r\nv=0", 501, 1),
    "an extension": (b"PLAY * RTSP/1.0\r\nCSeq: 1\r\nRequire: funky\r\n\r\n", 551, 1),
    "a session of somebody else": (b"PAUSE * RTSP/1.0\r\nCSeq: 1\r\nSession: 0123456789abcdef\r\n\r\n", 454, 1),
    "an empty session": (b"PAUSE * RTSP/1.0\r\nCSeq: 1\r\nSession: \r\n\r\n", 454, 1),
    "another address": (b"DESCRIBE rtsp://a/b RTSP/1.0\r\nCSeq: 1\r\n\r\n", 404, 1),
    "a parameter": (b"GET_PARAMETER * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 7\r\n\r\njitter\n", 451, 1),
    "an absolute range": (b"PLAY * RTSP/1.0\r\nCSeq: 1\r\nRange: clock=20200101T000000Z-\r\n\r\n", 457, 1),
    "SETUP of a session": (
        b"SETUP rtsp://a/ RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP;client_port=9000\r\n\r\n",
        455,
        1,
    ),
}

LAST = {
    # after these the end of the request is not known
    "a long line": b"OPTIONS " + b"x" * MAX_HEAD_BYTES,
    "1 MB without an end": b"OPTIONS * RTSP/1.0\r\n" + b"x: " + b"y" * (1 << 20),
    "many headers": b"OPTIONS * RTSP/1.0\r\n" + b"a: b\r\n" * MAX_HEAD_BYTES,
    "a body of 1 MB": b"GET_PARAMETER * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 1048576\r\n\r\n" + bytes(1 << 20),
    "a body one byte too long": b"GET_PARAMETER * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: %d\r\n\r\n"
    % (MAX_BODY_BYTES + 1),
}

TRANSPORTS = {
    "nothing": "",
    "no client_port": "RTP/AVP;unicast",
    "no client_port, but TCP's channels": "RTP/AVP;unicast;interleaved=0-1",
    "multicast": "RTP/AVP;multicast",
    "another profile": "RTP/SAVP;unicast;client_port=9000-9001",
    "raw": "RAW/RAW/UDP;unicast;client_port=9000-9001",
    "a port of a service": "RTP/AVP;unicast;client_port=1023-1024",
    "port 53": "RTP/AVP;unicast;client_port=53",
    "RTCP to a port of a service": "RTP/AVP;unicast;client_port=9000-53",
    "port 0": "RTP/AVP;unicast;client_port=0-1",
    "port 65536": "RTP/AVP;unicast;client_port=65536-65537",
    "RTCP to port 65536": "RTP/AVP;unicast;client_port=65535-65536",
    "a negative port": "RTP/AVP;unicast;client_port=-9000",
    "a port in words": "RTP/AVP;unicast;client_port=ninethousand",
    "a port in other digits": "RTP/AVP;unicast;client_port=٩٠٠٠",
    "another destination": "RTP/AVP;unicast;client_port=9000-9001;destination=198.51.100.7",
    "a destination in quotation marks": 'RTP/AVP;unicast;destination="198.51.100.7";client_port=9000-9001',
    "a destination by name": "RTP/AVP;unicast;client_port=9000-9001;Destination=localhost",
    "recording": "RTP/AVP;unicast;client_port=9000-9001;mode=record",
    "channel 256": "RTP/AVP/TCP;interleaved=255-256",
    "one channel for both": "RTP/AVP/TCP;interleaved=3-3",
    "three channels": "RTP/AVP/TCP;interleaved=1-2-3",
    "only things it has not": "RTP/AVP;multicast,RTP/SAVP;client_port=9000-9001,,;;=,RTP/AVP;client_port=1-2",
}


async def reach_playing(player: PaperPlayer) -> None:
    await player.setup()
    assert (await player.ask("PLAY")).status == 200
    player.session_id = None  # the bad requests have none of their own


@pytest.mark.parametrize(("data", "status", "cseq"), BAD.values(), ids=BAD)
@run
async def test_a_bad_request_has_its_status_and_the_next_one_is_carried_out(data: bytes, status: int, cseq: int | None):
    async with paper_player() as player:
        await reach_playing(player)
        before = player.harness.recipient
        bad, good = await player.receive(data + GOOD)
        assert isinstance(bad, Response)
        assert (bad.status, bad.cseq) == (status, cseq)
        assert isinstance(good, Response)
        assert (good.status, good.cseq) == (200, 77)
        assert player.harness.recipient is before, "nothing has changed"
        assert player.state is State.ACTIVE
        assert not player.ended


@pytest.mark.parametrize("data", LAST.values(), ids=LAST)
@run
async def test_a_request_whose_end_is_not_known_is_the_last(data: bytes):
    async with paper_player() as player:
        await reach_playing(player)
        (answer,) = await player.receive(data + GOOD)
        assert isinstance(answer, Response)
        assert answer.status == 413
        assert player.ended
        assert player.harness.subscriptions.active_count == 0
        assert player.connection._input.pending_bytes == 0


@run
async def test_a_length_that_is_no_number_is_the_last_too():
    async with paper_player() as player:
        (answer,) = await player.receive(b"OPTIONS * RTSP/1.0\r\nCSeq: 5\r\nContent-Length: 1x\r\n\r\n" + GOOD)
        assert isinstance(answer, Response)
        assert (answer.status, answer.cseq) == (400, 5)
        assert player.ended


@pytest.mark.parametrize("value", TRANSPORTS.values(), ids=TRANSPORTS)
@run
async def test_a_transport_that_the_server_has_not_is_refused_and_nothing_is_set_up(value: str):
    async with paper_player() as player:
        response = await player.ask("SETUP", f"Transport: {value}", uri=URI)
        assert response.status == 461
        assert "session" not in response.headers
        assert (await player.ask("PLAY")).status == 455
        response = await player.ask("SETUP", f"Transport: {value},RTP/AVP/TCP;unicast;interleaved=0-1", uri=URI)
        assert response.status == 200
        assert "interleaved=0-1" in response.headers["transport"]


@run
async def test_a_refused_transport_leaves_the_one_before():
    async with paper_player() as player:
        await player.setup()
        assert (await player.setup("RTP/AVP;multicast")).status == 461
        assert (await player.ask("PLAY")).status == 200
        assert player.harness.recipient.socket.getpeername() == ("127.0.0.1", 40010)


@pytest.mark.parametrize(
    ("peer", "destination"),
    [("127.0.0.1", "127.0.0.1"), ("::ffff:192.0.2.9", "192.0.2.9"), ("::ffff:192.0.2.9", "::FFFF:192.0.2.9")],
)
@run
async def test_the_player_s_own_address_is_no_other_destination(peer: str, destination: str):
    async with paper_player(peer=(peer, 40_000)) as player:
        response = await player.setup(f"RTP/AVP;unicast;destination={destination};client_port=40010-40011")
        assert response.status == 200


@pytest.mark.parametrize("port", ["40013", "40013-40014", "1024-1025", "65535"])
@run
async def test_a_port_may_be_odd_and_alone(port: str):
    async with paper_player() as player:
        response = await player.setup(f"RTP/AVP;unicast;client_port={port}")
        assert response.status == 200
        assert f"client_port={port};" in response.headers["transport"]


@run
async def test_bad_requests_in_a_row_end_the_connection_and_others_between_do_not():
    async with paper_player() as player:
        for _ in range(2):
            for _ in range(MAX_PROTOCOL_ERRORS - 1):
                await player.receive(b"HELLO\r\n\r\n")
            await player.receive(GOOD)
        assert not player.ended
        await player.receive(b"HELLO\r\n\r\n" * MAX_PROTOCOL_ERRORS)
        assert player.ended
        assert player.harness.services.refused == {"too_many_errors": 1}


@run
async def test_packets_of_any_channel_and_size_are_no_requests():
    async with paper_player() as player:
        await reach_playing(player)
        data = b"".join(packet(channel, bytes(size)) for channel, size in ((0, 0), (255, 65_535), (1, 7)))
        (answer,) = [item for item in await player.receive(data + GOOD) if isinstance(item, Response)]
        assert (answer.status, player.state) == (200, State.ACTIVE)


@pytest.mark.parametrize("method", ["DESCRIBE", "GET_PARAMETER", "HELLO"])
@run
async def test_no_header_of_the_answer_is_the_player_s(method: str):
    """What is said back of a request cannot end a line."""
    async with paper_player() as player:
        hostile = "x\rSet: 1\x0bSet: 2\x85Set: 3\u2028Set: 4"
        for data in (
            player.request(method, f"Require: {hostile}"),
            player.request(method, f"Session: {hostile}"),
            player.request(method, hostile.partition(":")[0] + "\u2028"),
            player.request("SETUP", f"Transport: {hostile}"),
            player.request(method, f"CSeq: {hostile}"),
        ):
            (answer,) = await player.receive(data)
            assert isinstance(answer, Response)
            assert "set" not in answer.headers
            assert all(value.isprintable() for value in answer.headers.values())
