"""What a person asked for, and what follows from the engine."""

import pytest

from flume.errors import SettingsError
from flume.lab.fleet import without_player
from flume.lab.order import CARD, FRAMES_MIN_PCT, PICTURE_MIN_PCT, SMALL_CARD, Order, parse_clients, plan
from flume.lab.scenario import Part, Scenario

SCENARIO = Scenario(description="", duration_s=5, part=(Part(name="watcher", commands="connect"),))


def order(**fields: object) -> Order:
    return Order(**{"clients": 5, "scenario": SCENARIO, **fields})


def test_several_processors_let_everybody_watch():
    made = plan(order(), cpus=2)
    assert (made.players, made.card, made.expectations.frames_min_pct, made.note) == (5, CARD, FRAMES_MIN_PCT, "")


def test_one_processor_lets_one_client_watch_and_says_so():
    made = plan(order(), cpus=1)
    assert (made.players, made.card, made.expectations.frames_min_pct) == (1, SMALL_CARD, PICTURE_MIN_PCT)
    assert "client 1 shows the video" in made.note
    assert plan(order(clients=1), cpus=1).note == ""


def test_what_a_person_asks_for_is_done_whatever_the_engine():
    made = plan(order(players=3, frames_min_pct=70.0), cpus=1)
    assert (made.players, made.expectations.frames_min_pct, made.note) == (3, 70.0, "")


def test_a_video_of_ones_own_may_have_frames_alike(tmp_path):
    film = tmp_path / "film.mp4"
    film.write_bytes(b"x")
    assert plan(order(video=film), cpus=4).expectations.frames_min_pct is None


@pytest.mark.parametrize(
    ("fields", "key"),
    [({"clients": 0}, "clients"), ({"players": 6}, "players"), ({"players": -1}, "players"), ({"lab": "A"}, "lab")],
)
def test_what_is_impossible_is_refused_by_name(fields, key):
    with pytest.raises(SettingsError, match=f"^{key}="):
        order(**fields)


def test_numbers_are_numbers():
    assert parse_clients("12") == 12
    with pytest.raises(SettingsError, match="clients='many'"):
        parse_clients("many")


def test_a_client_without_a_player_keeps_the_rest_of_its_command():
    assert without_player(("watch", "server", "--player", "headless", "--json")) == (
        "watch", "server", "--player", "none", "--json",
    )  # fmt: skip
    assert without_player(("watch", "server")) == ("watch", "server", "--player", "none")
