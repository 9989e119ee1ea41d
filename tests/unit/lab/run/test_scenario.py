"""Scenarios: which are accepted and refused, and the timetable of commands."""

import pytest

from flume.control.session import Command
from flume.errors import SettingsError
from flume.lab.run.scenario import load_scenario, timetable
from support.paths import ROOT

GOOD = """
description = "two parts"
duration_s = 10
[[part]]
name = "steady"
commands = "connect; wait 100%"
[[part]]
name = "pauses"
commands = "connect; wait 50%; interrupt; wait 1; continue; wait 2"
"""


def test_parts_are_given_out_in_turn_and_cues_are_in_the_order_of_time():
    played = timetable(load_scenario(GOOD, name="good"), clients=3)
    assert played.cues == (
        (0.0, 1, Command.CONNECT),
        (0.0, 2, Command.CONNECT),
        (0.0, 3, Command.CONNECT),
        (5.0, 2, Command.INTERRUPT),
        (6.0, 2, Command.CONTINUE),
    )
    assert played.end_s == 10.0
    assert played.commands_of(2) == (Command.CONNECT, Command.INTERRUPT, Command.CONTINUE)


def test_another_duration_stretches_shares_and_leaves_seconds():
    played = timetable(load_scenario(GOOD, name="good", duration_s=20), clients=2)
    assert [cue.time_s for cue in played.cues if cue.client == 2] == [0.0, 10.0, 11.0]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", "description"),
        ("duration_s = ", "good"),
        (GOOD.replace("duration_s = 10", "duration_s = 0"), "duration_s"),
        (GOOD.replace("duration_s = 10", 'duration_s = "long"'), "duration_s"),
        (GOOD.replace("interrupt", "pause"), "pause"),
        (GOOD.replace("name = ", "title = ", 1), "title"),
        ('description = "d"\nduration_s = 5\npart = []', "part"),
    ],
)
def test_a_bad_file_is_refused_by_name(text, names):
    with pytest.raises(SettingsError, match=names):
        load_scenario(text, name="good")


@pytest.mark.parametrize("path", sorted((ROOT / "compose" / "scenarios").glob("*.toml")), ids=lambda path: path.stem)
def test_every_scenario_of_ours_begins_legally_for_every_client(path):
    scenario = load_scenario(path.read_text(), name=path.stem)
    played = timetable(scenario, clients=2 * len(scenario.part))
    for client in range(1, 2 * len(scenario.part) + 1):
        assert played.commands_of(client)[0] is Command.CONNECT
    assert played.end_s >= scenario.duration_s * 0.99


def test_the_tour_shows_every_command_in_every_order_that_matters():
    path = ROOT / "compose" / "scenarios" / "tour.toml"
    scenario = load_scenario(path.read_text(), name="tour")
    sequences = {" ".join(timetable(scenario, clients=5).commands_of(client)) for client in range(1, 6)}
    assert sequences == {
        "connect",
        "connect interrupt continue",
        "connect interrupt",
        "connect disconnect connect",
        "connect interrupt continue interrupt continue disconnect",
    }


def test_a_part_may_name_its_player_and_no_other_name():
    named = GOOD.replace('name = "pauses"', 'name = "pauses"\nplayer = "mpv:tcp"')
    assert [part.player for part in load_scenario(named, name="named").part] == [None, "mpv:tcp"]
    with pytest.raises(SettingsError, match=r"part\.player.*winamp.*gstreamer"):
        load_scenario(named.replace("mpv:tcp", "winamp"), name="named")
