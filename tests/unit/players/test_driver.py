"""The driver with a player on paper: every command becomes events, whatever the player does."""

import json

import pytest

from players import driver
from players.contract import Account, Seen, UnsupportedStep
from support.paths import SERVICES


class PaperPlayer:
    """Keeps what it was told. *refuses*: the steps that it cannot do, or that fail."""

    def __init__(self, **refuses: Exception) -> None:
        self.told: list[str] = []
        self.seen = Seen()
        self._refuses = refuses

    def _take(self, command: str) -> None:
        if command in self._refuses:
            raise self._refuses[command]
        self.told.append(command)

    def play(self) -> None:
        self._take("play")

    def pause(self) -> None:
        self._take("pause")

    def resume(self) -> None:
        self._take("resume")

    def stop(self) -> None:
        self._take("stop")

    def poll(self) -> Seen:
        return self.seen

    def close(self) -> None:
        self._take("close")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """The events but statistics, as they come."""
    events: list[dict] = []

    def keep(line: str) -> None:
        events.append(json.loads(line))

    monkeypatch.setattr(driver, "say", keep)
    return events


def kinds(said: list[dict]) -> list[str]:
    return [event["event"] for event in said if event["event"] != "statistics"]


def steered(player: PaperPlayer) -> driver.Driver:
    return driver.Driver(player, Account("vlc", "udp"))


def test_commands_reach_the_player_in_their_order_and_statistics_follow_each(said):
    player = PaperPlayer()
    steering = steered(player)
    for command in ("play", "pause", "resume", "stop"):
        steering.command(command)
    assert player.told == ["play", "pause", "resume", "stop"]
    assert kinds(said) == ["command"] * 4
    assert [event["state"] for event in said if event["event"] == "statistics"] == [
        "active",
        "interrupted",
        "active",
        "closed",
    ]


def test_a_command_that_is_not_possible_now_does_not_reach_the_player(said):
    player = PaperPlayer()
    steered(player).command("pause")
    assert (player.told, kinds(said)) == ([], ["error"])


def test_what_a_player_cannot_do_is_unsupported_and_not_done(said):
    player = PaperPlayer(play=UnsupportedStep("UDP alone"))
    steered(player).command("play")
    assert kinds(said) == ["unsupported"]
    assert (said[-1]["state"], said[-1]["unsupported"]) == ("closed", ["play: UDP alone"])


def test_a_player_that_fails_is_an_error_and_the_driver_goes_on(said):
    player = PaperPlayer(pause=BrokenPipeError("it has ended"))
    steering = steered(player)
    steering.command("play")
    steering.command("pause")
    assert said[-2] == {"event": "error", "message": "pause: it has ended"}
    steering.command("stop")
    assert player.told == ["play", "stop"]


def test_the_end_of_a_stream_by_itself_closes_the_state_once(said):
    player = PaperPlayer()
    steering = steered(player)
    steering.command("play")
    player.seen = Seen(ended="404")
    steering.command("pause")  # looks at the player first, and finds it ended
    assert kinds(said) == ["command", "end", "error"]
    assert player.told == ["play"]
    assert said[-1]["message"] == "pause is not possible while closed: play"


def test_the_players_of_the_command_line_have_modules():
    with pytest.raises(SystemExit):
        driver.main(["winamp", "rtsp://server:5004/"])
    for name, kind in driver.PLAYERS.items():
        assert f"class {kind}:" in (SERVICES / "players" / f"{name}.py").read_text()
