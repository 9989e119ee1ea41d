"""The front for RTSP: answers before and after media, logins, and other connections."""

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from flume.control.session import Signal, State
from flume.media.ring import DATAGRAM_BYTES
from flume.server.access.hashing import make_hash
from flume.server.access.logins import Logins
from support.async_tests import run
from support.clients.rtsp_reading import Interleaved, Response, packet
from support.servers.front_harness import TCP, UDP, URI, PaperPlayer, paper_player, reach
from support.servers.session_harness import FIRST_SEQUENCE, let_run


def recipients(player: PaperPlayer) -> int:
    return player.harness.subscriptions.active_count


@pytest.mark.parametrize("transport", [UDP, TCP], ids=["udp", "tcp"])
@run
async def test_play_is_answered_before_the_first_datagram_and_pause_and_teardown_after_the_last(transport: str):
    frames = int(transport is TCP)
    """For each datagram delivered, so many come on the connection."""
    async with paper_player() as player:
        harness = player.harness
        harness.deliver(3)
        await player.setup(transport)
        played, *media = await player.receive(player.request("PLAY", "Range: npt=0.000-"))
        assert isinstance(played, Response)
        assert played.headers["rtp-info"] == f"url={URI}stream=0;seq={FIRST_SEQUENCE};rtptime=0"
        assert played.headers["range"] == "npt=now-"
        harness.deliver(4)
        media += player.received()
        assert [type(item) for item in media] == [Interleaved] * 7 * frames
        for method, after in (("PAUSE", 7), ("TEARDOWN", 14)):
            if transport is UDP:
                harness.sender_lives = False
                assert await player.receive(player.request(method)) == [], "the sender thread may send until then"
                harness.adopt()
                await let_run()
                (answer,) = player.received()
                harness.sender_lives = True
            else:
                (answer,) = await player.receive(player.request(method))
            assert isinstance(answer, Response)
            assert answer.status == 200
            harness.deliver(5)
            assert player.received() == []
            if method == "PAUSE":
                played, *media = await player.receive(player.request("PLAY"))
                assert isinstance(played, Response)
                assert f";seq={FIRST_SEQUENCE + after};" in played.headers["rtp-info"]
                harness.deliver(2)
                assert len(media + player.received()) == 7 * frames


@run
async def test_frames_have_the_channel_that_setup_asked_for_last():
    async with paper_player() as player:
        await player.setup("RTP/AVP/TCP;interleaved=0-1")
        response = await player.setup(TCP)
        assert "interleaved=4-5" in response.headers["transport"]
        await player.ask("PLAY")
        player.harness.deliver(2)
        frames = player.received()
        assert [(frame.channel, len(frame.data)) for frame in frames if isinstance(frame, Interleaved)] == [
            (4, DATAGRAM_BYTES)
        ] * 2


@run
async def test_a_second_setup_may_change_the_port_until_the_first_play():
    async with paper_player() as player:
        await player.setup()
        response = await player.setup("RTP/AVP;unicast;client_port=40020-40021")
        assert "client_port=40020-40021" in response.headers["transport"]
        assert f"server_port={player.harness.media_port.port}" in response.headers["transport"]
        await player.ask("PLAY")
        assert player.harness.recipient.socket.getpeername() == ("127.0.0.1", 40020)
        assert (await player.setup("RTP/AVP;unicast;client_port=40030-40031")).status == 455
        assert player.harness.recipient.socket.getpeername() == ("127.0.0.1", 40020)


@run
async def test_after_teardown_a_new_setup_begins_a_new_session_on_the_same_connection():
    async with paper_player() as player:
        await reach(player, "playing")
        await player.ask("TEARDOWN")
        assert (await player.setup()).status == 454, "the session that has ended"
        player.session_id = None
        await reach(player, "playing", TCP)
        player.harness.deliver(1)
        assert len(player.received()) == 1


@run
async def test_setup_needs_no_describe_and_play_no_session_header():
    async with paper_player() as player:
        await player.setup()
        player.session_id = None
        assert (await player.ask("PLAY")).status == 200


# -- what else a request may say --------------------------------------------------------------------------------


@run
async def test_describe_tells_the_stream_and_its_address():
    async with paper_player(seconds=86_400.0) as player:
        response = await player.ask("DESCRIBE", uri="rtsp://127.0.0.1:5004")
        assert response.headers["content-base"] == URI
        assert response.headers["content-type"] == "application/sdp"
        assert b"a=control:stream=0" in response.body
        assert b"a=range:npt=0-86400.000" in response.body
    async with paper_player() as player:
        assert b"a=range:npt=now-" in (await player.ask("DESCRIBE", uri="*")).body


@pytest.mark.parametrize(
    "uri",
    [
        "rtsp://127.0.0.1:5004/stream=0",
        "rtsp://127.0.0.1:5004/stream=0/",
        "RTSP://127.0.0.1:5004/Stream=0",
        "rtsp://127.0.0.1:5004/?src=1&freq=11538",
        "rtsp://127.0.0.1:5004",
        "rtsp://[::1]:5004/",
        "*",
    ],
)
@run
async def test_these_addresses_are_the_stream(uri: str):
    async with paper_player() as player:
        assert (await player.ask("SETUP", f"Transport: {UDP}", uri=uri)).status == 200


@pytest.mark.parametrize("uri", ["rtsp://127.0.0.1/other", "http://127.0.0.1/", "rtsp:///", "/", "stream=0", "rtsp://"])
@pytest.mark.parametrize("method", ["DESCRIBE", "SETUP"])
@run
async def test_any_other_address_is_not_found(uri: str, method: str):
    async with paper_player() as player:
        assert (await player.ask(method, f"Transport: {UDP}", uri=uri)).status == 404
        assert (await player.ask("PLAY")).status == 455


@pytest.mark.parametrize(
    ("value", "status"),
    [("npt=0.000-", 200), ("npt=now-", 200), ("npt=12.5-20", 200), ("clock=19961108T143720Z-", 457), ("smpte=0-", 457)],
)
@run
async def test_a_range_that_the_stream_has_not_is_refused(value: str, status: int):
    async with paper_player() as player:
        await player.setup()
        assert (await player.ask("PLAY", f"Range: {value}")).status == status
        assert player.state is (State.ACTIVE if status == 200 else State.CLOSED)


# -- logins -----------------------------------------------------------------------------------------------------


@pytest.fixture
def logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Logins]:
    monkeypatch.setattr("flume.server.access.hashing.LOG_N", 10)
    monkeypatch.setattr("flume.server.access.hashing.P", 1)
    path = tmp_path / "users"
    path.touch(mode=0o600)
    path.write_text(f"ann:{make_hash('right')}\n")
    made = Logins(str(path))
    yield made
    made.close()


def basic(user: str, secret: str) -> str:
    return "Authorization: Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()


async def answer_of(player: PaperPlayer, method: str, *headers: str) -> Response:
    """Send a request whose answer takes a thread that hashes."""
    items = await player.receive(player.request(method, *headers))
    for _ in range(1000):
        if items:
            break
        await asyncio.sleep(0.01)
        items = player.received()
    (response,) = items
    assert isinstance(response, Response)
    return response


@pytest.mark.parametrize(
    "headers",
    [(), (basic("ann", "wrong"),), (basic("bob", "right"),), ("Authorization: Digest a",), ("Authorization: Basic ?",)],
)
@pytest.mark.parametrize("method", ["DESCRIBE", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER", "SET_PARAMETER"])
@run
async def test_without_the_right_secret_nothing_is_carried_out(logins: Logins, method: str, headers: tuple[str, ...]):
    async with paper_player(logins=logins) as player:
        assert (await player.ask("OPTIONS")).status == 200
        response = await answer_of(player, method, f"Transport: {UDP}", *headers)
        assert response.status == 401
        assert response.headers["www-authenticate"].startswith("Basic ")
        assert not player.ended
        assert not player.login_is_open


@run
async def test_a_player_logs_in_once_for_its_connection(logins: Logins):
    async with paper_player(logins=logins) as player:
        assert (await answer_of(player, "DESCRIBE")).status == 401
        assert (await answer_of(player, "DESCRIBE", basic("ann", "right"))).status == 200
        await reach(player, "playing")
        assert player.harness.services.refused == {}


# -- other connections, and the end -----------------------------------------------------------------------------


@run
async def test_the_session_of_another_connection_is_not_found_and_is_not_touched():
    async with paper_player() as player:
        await reach(player, "playing")
        other = PaperPlayer(player.harness, peer=("127.0.0.1", 40_500))
        try:
            for prepared in (False, True):
                if prepared:
                    other.session_id = None
                    await other.setup("RTP/AVP;unicast;client_port=40510-40511")
                other.session_id = player.session_id
                for method in ("OPTIONS", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER"):
                    assert (await other.ask(method, f"Transport: {UDP}")).status == 454
                    other.session_id = player.session_id
        finally:
            await other.end()
        assert player.state is State.ACTIVE
        assert recipients(player) == 1


@pytest.mark.parametrize("transport", [UDP, TCP], ids=["udp", "tcp"])
@pytest.mark.parametrize("state", ["playing", "paused"])
@run
async def test_the_session_ends_with_its_connection(state: str, transport: str):
    async with paper_player() as player:
        await reach(player, state, transport)
        player.connection.connection_lost(None)
        await let_run()
        assert player.state is State.CLOSED
        assert recipients(player) == 0


@pytest.mark.parametrize("signal", [Signal.SOURCE_ENDED, Signal.SHUTDOWN])
@pytest.mark.parametrize("state", ["ready", "playing", "paused"])
@run
async def test_the_end_of_the_video_or_of_the_server_closes_the_connection(state: str, signal: Signal):
    async with paper_player() as player:
        await reach(player, state)
        await player.harness.table.signal_all(signal, "over")
        assert recipients(player) == 0
        assert player.ended
        assert player.received() == [], "no request waits for an answer"


@run
async def test_a_server_that_ends_begins_no_session():
    async with paper_player() as player:
        await player.setup()
        player.harness.table.begin_closing()
        response = await player.ask("PLAY")
        assert (response.status, player.state) == (503, State.CLOSED)


@pytest.mark.parametrize("transport", [UDP, TCP], ids=["udp", "tcp"])
@run
async def test_a_player_that_has_closed_its_side_is_answered_and_gets_no_media(transport: str):
    async with paper_player() as player:
        player.harness.deliver(1)
        data = player.request("SETUP", f"Transport: {transport}") + player.request("PLAY") + player.request("OPTIONS")
        player.connection.get_buffer(-1)[: len(data)] = data
        player.connection.buffer_updated(len(data))
        player.connection.eof_received()
        await let_run()
        items = player.received()
        assert [item.status for item in items if isinstance(item, Response)] == [200, 462, 200]
        assert len(items) == 3, "and no packet"
        assert recipients(player) == 0
        assert player.ended


@run
async def test_a_paused_player_that_closes_its_side_after_play_gets_no_media():
    async with paper_player() as player:
        await reach(player, "paused")
        data = player.request("PLAY")
        player.connection.get_buffer(-1)[: len(data)] = data
        player.connection.buffer_updated(len(data))
        player.connection.eof_received()
        await let_run()
        assert [item.status for item in player.received() if isinstance(item, Response)] == [455]
        assert recipients(player) == 0
        assert player.ended


# -- bytes ------------------------------------------------------------------------------------------------------


@run
async def test_requests_come_in_halves_with_packets_between_and_many_at_once():
    async with paper_player() as player:
        whole = b"".join(
            (
                player.request("OPTIONS"),
                packet(1, b"\x80\xc9\0\1" + bytes(4)),
                player.request("SETUP", f"Transport: {TCP}"),
                b"\r\n",
                packet(9, b""),
                player.request("PLAY"),
                player.request("GET_PARAMETER", body=b"\r\n"),
                packet(0, bytes(3000)),
                player.request("PAUSE"),
            )
        )
        size = 37  # a piece counts as a request: more of them would wait for their turn
        found = [item for at in range(0, len(whole), size) for item in await player.receive(whole[at : at + size])]
        assert [(item.status, item.cseq) for item in found if isinstance(item, Response)] == [
            (200, number) for number in range(1, 6)
        ]
        assert player.state is State.INTERRUPTED


@run
async def test_pipelined_requests_are_answered_in_their_order():
    async with paper_player() as player:
        methods = ("SETUP", "PLAY", "PAUSE", "PLAY", "PAUSE", "PAUSE", "TEARDOWN", "PLAY")
        data = b"".join(player.request(method, f"Transport: {UDP}") for method in methods)
        items = await player.receive(data)
        for _ in range(10):
            await let_run()
            items += player.received()
        assert [(item.cseq, item.status) for item in items if isinstance(item, Response)] == [
            (1, 200),
            (2, 200),
            (3, 200),
            (4, 200),
            (5, 200),
            (6, 455),
            (7, 200),
            (8, 455),
        ]
        assert recipients(player) == 0
