"""Where the media of a player behind a NAT go: to the port that its punches show, if nothing speaks against it."""

import asyncio
from pathlib import Path

import pytest

from flume.control.session import State
from flume.server.sessions import punches
from support.async_tests import run
from support.servers.front_harness import TCP, UDP, PaperPlayer, paper_player
from support.servers.session_harness import let_run

PUNCH = b"\x80" + bytes(11)
NAMED, OUTSIDE, ANOTHER = ("127.0.0.1", 40_010), ("127.0.0.1", 40_500), ("127.0.0.1", 40_600)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("AWAIT_S", 0.01), ("SETTLE_S", 0.02), ("LATE_S", 5.0)):
        monkeypatch.setattr(punches, name, value)


def punch(player: PaperPlayer, *sources: tuple[str, int]) -> None:
    for source in sources:
        player.harness.arrivals.on_datagram_untrusted(PUNCH, source)


def target(player: PaperPlayer) -> tuple[str, int]:
    return player.harness.recipient.socket.getpeername()


async def goes_to(player: PaperPlayer, address: tuple[str, int]) -> None:
    """Wait until the stream goes to *address*: while it moves there is no recipient."""
    async with asyncio.timeout(10):
        while not player.harness.current.roster.recipients or target(player) != address:
            await asyncio.sleep(0.01)


async def play(player: PaperPlayer) -> None:
    """Ask to play, whose answer waits a little for punches."""
    items = await player.receive(player.request("PLAY"))
    for _ in range(1000):
        if items:
            break
        await asyncio.sleep(0.01)
        items = player.received()
    assert [item.status for item in items] == [200]  # type: ignore[union-attr]


async def set_up(player: PaperPlayer, *, first: str = "OPTIONS", transport: str = UDP) -> None:
    if first:
        await player.ask(first)
    await player.setup(transport)


@pytest.mark.parametrize(
    ("sources", "chosen"),
    [((), NAMED), ((OUTSIDE,), OUTSIDE), ((OUTSIDE, NAMED), NAMED), ((OUTSIDE, ANOTHER), NAMED), ((NAMED,), NAMED)],
)
@run
async def test_the_stream_goes_to_the_port_that_the_punches_show(sources, chosen):
    async with paper_player() as player:
        await set_up(player)
        punch(player, *sources)
        await play(player)
        assert target(player) == chosen


@run
async def test_another_address_s_punch_is_none():
    async with paper_player() as player:
        await set_up(player)
        punch(player, ("127.0.0.2", 40_500))
        await play(player)
        assert target(player) == NAMED
        assert player.harness.tokens.counts["unknown_token"] == 1


@run
async def test_what_begins_with_setup_sends_no_punch_and_is_not_moved():
    async with paper_player() as player:
        await set_up(player, first="")
        punch(player, OUTSIDE)
        await play(player)
        assert target(player) == NAMED


@run
async def test_what_a_login_has_opened_is_not_moved(tmp_path: Path):
    async with paper_player() as player:
        player.connection._path._may_move = False  # as with logins, which take a thread
        await set_up(player)
        punch(player, OUTSIDE)
        await play(player)
        assert target(player) == NAMED


@run
async def test_over_tcp_nothing_looks_for_a_punch():
    async with paper_player() as player:
        await set_up(player, transport=TCP)
        punch(player, OUTSIDE)
        await play(player)
        assert player.harness.tokens.counts["unknown_token"] == 1


@run
async def test_a_late_punch_moves_the_stream_within_its_window():
    async with paper_player() as player:
        await set_up(player)
        await play(player)
        player.harness.deliver(3)
        punch(player, OUTSIDE)
        await goes_to(player, OUTSIDE)
        assert player.received() == [], "no message"
        punch(player, ANOTHER)
        await asyncio.sleep(0.1)
        assert target(player) == OUTSIDE
        assert (await player.ask("PAUSE")).status == 200


@run
async def test_after_a_pause_the_stream_goes_on_at_another_port():
    async with paper_player() as player:
        await set_up(player)
        punch(player, OUTSIDE)
        await play(player)
        await player.ask("PAUSE")
        assert player.state is State.INTERRUPTED
        punch(player, ANOTHER)
        await play(player)
        assert target(player) == ANOTHER


@pytest.mark.parametrize("end", ["TEARDOWN", "lost", "SETUP"])
@run
async def test_no_address_is_let_in_for_a_session_that_is_over(end: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(punches, "CLOSE_S", 0.0)
    async with paper_player() as player:
        registry = player.harness.arrivals.punches
        await set_up(player)
        assert registry._accepted == ("127.0.0.1",)
        if end == "SETUP":
            await player.setup(TCP)
        elif end == "TEARDOWN":
            await play(player)
            await player.ask("TEARDOWN")
        else:
            player.connection.connection_lost(None)
        await asyncio.sleep(0.01)
        await let_run()
        assert not registry._accepted
        assert not registry._hosts
