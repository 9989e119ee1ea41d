"""The thread that polls the player, with players that only count."""

import logging

import pytest

from flume.client.session.first_frame import FirstFrame, FirstFrames
from flume.client.session.player_monitor import PlayerMonitor
from flume.control.session import Command
from support.clients.players import FakePlayer, wait_until


class CountingPlayer(FakePlayer):
    def __init__(self) -> None:
        super().__init__()
        self.polls = 0
        self.asked = 0
        self.start()

    def poll(self) -> None:
        self.polls += 1

    def statistics(self):
        self.asked += 1
        return super().statistics()


def test_it_polls_the_player_and_reports_a_frame_once() -> None:
    player = CountingPlayer()
    seen: list[FirstFrame] = []
    first_frames = FirstFrames(player)
    monitor = PlayerMonitor(player, first_frames, seen.append)
    monitor.start()
    wait_until("it polls", lambda: player.polls > 2)
    assert player.asked == 0, "while no frame is awaited nothing is asked"
    first_frames.expect(Command.CONNECT, 0.0)
    player.write([b"a frame"])
    wait_until("it reports", lambda: seen)
    polls = player.polls
    wait_until("it goes on", lambda: player.polls > polls + 2)
    monitor.stop()
    [frame] = seen
    assert isinstance(frame, FirstFrame)
    assert frame.command is Command.CONNECT
    assert first_frames.latest_ms(Command.CONNECT) == frame.milliseconds


def test_a_frame_that_is_displayed_at_the_end_is_reported_still() -> None:
    player = CountingPlayer()
    seen: list[FirstFrame] = []
    first_frames = FirstFrames(player)
    monitor = PlayerMonitor(player, first_frames, seen.append)
    monitor.start()
    first_frames.expect(Command.CONTINUE, 0.0)
    player.write([b"the last frame"])
    monitor.stop()
    assert [frame.command for frame in seen] == [Command.CONTINUE]
    polls = player.polls
    monitor.stop()
    assert player.polls == polls


def test_a_monitor_that_was_not_started_ends() -> None:
    player = CountingPlayer()
    PlayerMonitor(player, FirstFrames(player), lambda _frame: None).stop()
    assert player.polls == 0


def test_a_failing_function_for_events_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    player = CountingPlayer()
    seen: list[FirstFrame] = []

    def fail_once(frame: FirstFrame) -> None:
        seen.append(frame)
        if len(seen) == 1:
            raise ValueError("a fault of the program that embeds the client")

    first_frames = FirstFrames(player)
    monitor = PlayerMonitor(player, first_frames, fail_once)
    monitor.start()
    first_frames.expect(Command.CONNECT, 0.0)
    player.write([b"a frame"])
    wait_until("it reports", lambda: len(seen) == 1)
    first_frames.expect(Command.CONTINUE, 0.0)
    player.write([b"a later frame"])
    wait_until("it reports again", lambda: len(seen) == 2)
    monitor.stop()
    assert [frame.command for frame in seen] == [Command.CONNECT, Command.CONTINUE]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_player_that_fails_is_polled_again_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    class FailingPlayer(CountingPlayer):
        def poll(self) -> None:
            super().poll()
            if self.polls <= 3:
                raise OSError("no descriptor left")

    player = FailingPlayer()
    monitor = PlayerMonitor(player, FirstFrames(player), lambda _frame: None)
    monitor.start()
    wait_until("it polls on", lambda: player.polls > 4)
    monitor.stop()
    assert [record.getMessage() for record in caplog.records] == ["looking after the player failed"]
