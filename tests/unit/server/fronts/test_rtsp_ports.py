"""The port that a player names: closed, forged to be so, or that of another session."""

import time

import pytest

from flume.control.messages import ReceiverClaim
from flume.control.session import State
from flume.server.sessions import port_check
from support.async_tests import run
from support.servers.front_harness import UDP, PaperPlayer, paper_player, reach
from support.servers.session_harness import let_run


def recipients(player: PaperPlayer) -> int:
    return player.harness.subscriptions.active_count


@run
async def test_a_port_that_is_closed_ends_the_session_and_the_connection(monkeypatch: pytest.MonkeyPatch):
    async with paper_player() as player:
        await reach(player, "playing")
        monkeypatch.setattr(port_check, "REFUSAL_INTERVAL_S", 0.0)
        for _ in range(port_check.REFUSALS):
            assert recipients(player) == 1, "one refusal may be forged, and is no proof"
            player.connection._session.on_refused(player.harness.recipient.socket)
            await let_run()
        assert recipients(player) == 0
        assert player.ended


@run
async def test_refusals_end_no_session_whose_player_reports_that_it_receives(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(port_check, "REFUSAL_INTERVAL_S", 0.0)
    async with paper_player() as player:
        await reach(player, "playing")
        session = player.connection._session
        session.reception.report(ReceiverClaim(lost=0, fraction_lost=0.0, jitter_ms=0.0), time.monotonic())
        for _ in range(2 * port_check.REFUSALS):
            session.on_refused(player.harness.recipient.socket)
            await let_run()
        assert recipients(player) == 1


@run
async def test_refusals_of_a_port_do_not_count_against_the_next_session(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(port_check, "REFUSAL_INTERVAL_S", 0.0)
    async with paper_player() as player:
        for _ in range(3):
            await reach(player, "playing")
            for _ in range(port_check.REFUSALS - 1):
                player.connection._session.on_refused(player.harness.recipient.socket)
                await let_run()
            assert recipients(player) == 1
            assert (await player.ask("TEARDOWN")).status == 200
            player.session_id = None


@run
async def test_only_one_session_of_an_address_receives_at_a_port():
    async with paper_player() as player:
        await reach(player, "playing")
        other = PaperPlayer(player.harness, peer=("127.0.0.1", 40_500))
        try:
            await other.setup(UDP)
            refused = await other.ask("PLAY")
            assert (refused.status, other.state) == (462, State.CLOSED)
            assert "name another one" in refused.headers["x-reason"]
            assert recipients(player) == 1
            await player.ask("PAUSE")
            other.session_id = None
            await other.setup(UDP)
            assert (await other.ask("PLAY")).status == 462, "one that pauses keeps its port"
            await player.ask("TEARDOWN")
            other.session_id = None
            await other.setup(UDP)
            assert (await other.ask("PLAY")).status == 200
        finally:
            await other.end()
