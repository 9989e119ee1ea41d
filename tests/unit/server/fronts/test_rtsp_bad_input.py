"""What a player may not send: each gets RTSP's own status, and changes nothing."""

import pytest

from flume.control.session import State
from flume.server.fronts.connection import MAX_PROTOCOL_ERRORS
from support.async_tests import run
from support.clients.bad_rtsp import BAD, GOOD, LAST, NOT_RTSP, TRANSPORTS
from support.clients.rtsp_reading import Response, packet
from support.servers.front_harness import URI, PaperPlayer, paper_player, reach


async def reach_playing(player: PaperPlayer) -> None:
    await reach(player, "playing")
    player.session_id = None  # the bad requests have none of their own


@pytest.mark.parametrize("state", ["init", "ready", "playing", "paused"])
@pytest.mark.parametrize(("data", "status", "cseq"), BAD.values(), ids=BAD)
@run
async def test_a_bad_request_has_its_status_and_the_next_one_is_carried_out(
    data: bytes, status: int, cseq: int | None, state: str
):
    async with paper_player() as player:
        await reach(player, state)
        before, recipients = player.state, player.harness.current.roster.recipients
        bad, good = await player.receive(data + GOOD)
        assert isinstance(bad, Response)
        assert (bad.status, bad.cseq) == (455 if status == 457 and state == "init" else status, cseq)
        assert isinstance(good, Response)
        assert (good.status, good.cseq) == (200, 77)
        assert player.harness.current.roster.recipients == recipients, "nothing has changed"
        assert player.state is before
        assert not player.ended
        player.session_id = None
        expected = {"init": (455, 455), "ready": (200, 200), "playing": (200, 200), "paused": (455, 200)}[state]
        assert (await player.ask("PLAY" if state == "ready" else "PAUSE")).status == expected[0]
        assert (await player.ask("PLAY")).status == expected[1]


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


@pytest.mark.parametrize(("data", "status", "cseq"), NOT_RTSP.values(), ids=NOT_RTSP)
@run
async def test_what_is_not_rtsp_ends_the_connection_and_nothing_in_it_is_carried_out(
    data: bytes, status: int, cseq: int | None
):
    async with paper_player() as player:
        (answer,) = await player.receive(data + GOOD)
        assert isinstance(answer, Response)
        assert (answer.status, answer.cseq) == (status, cseq)
        assert player.ended
        assert player.state is State.CLOSED
        assert player.harness.subscriptions.active_count == 0


@pytest.mark.parametrize("lengths", [("1x",), ("-1",), ("3", "4"), ("3", "3"), ("",), ("0x3",)])
@run
async def test_a_length_that_is_no_number_is_the_last_too(lengths: tuple[str, ...]):
    """Where a body ends is not known, so that what follows could be read in two ways."""
    async with paper_player() as player:
        headers = "".join(f"Content-Length: {length}\r\n" for length in lengths)
        (answer,) = await player.receive(f"OPTIONS * RTSP/1.0\r\nCSeq: 5\r\n{headers}\r\n".encode() + GOOD)
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


@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE", "SETUP", "PLAY", "PAUSE", "TEARDOWN"])
@run
async def test_a_body_that_no_one_asked_for_is_no_request(method: str):
    async with paper_player() as player:
        await reach(player, "playing")
        body = b"TEARDOWN * RTSP/1.0\r\nCSeq: 9\r\n\r\n$\0\0\2"
        data = player.request(method, body=body) + player.request("OPTIONS", body=body)
        first, second = [item for item in await player.receive(data) if isinstance(item, Response)]
        assert (first.status, first.cseq) == (455 if method == "SETUP" else 200, player.cseq - 1)
        ended = method == "TEARDOWN"  # and with it the session that OPTIONS names
        assert (second.status, second.cseq) == (454 if ended else 200, player.cseq)


@pytest.mark.parametrize(("uri", "status"), [(f"{URI}nothing", 404), (URI, 461)])
@run
async def test_a_second_setup_that_is_refused_leaves_the_first(uri: str, status: int):
    async with paper_player() as player:
        await player.setup()
        response = await player.ask("SETUP", "Transport: RTP/AVP;unicast;client_port=80-81", uri=uri)
        assert response.status == status
        assert (await player.ask("PLAY")).status == 200
        assert player.harness.recipient.socket.getpeername() == ("127.0.0.1", 40010)


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
