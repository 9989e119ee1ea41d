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


EVENTFUL = (
    GOOD
    + """
[[event]]
at = "50%"
profile = "lte"
clients = [2]
[[event]]
at = "3"
server = "restart"
[expect]
loss_pct = { most = 1 }
"""
)


def test_the_commands_of_a_client_lead_to_a_state():
    played = timetable(load_scenario(GOOD.replace("continue; wait 2", "disconnect"), name="good"), clients=2)
    assert [played.state_of(client) for client in (1, 2, 3)] == ["active", "closed", "closed"]


def test_what_the_lab_itself_does_is_in_the_order_of_time():
    played = timetable(load_scenario(EVENTFUL, name="eventful"), clients=2)
    assert [str(one) for one in played.events] == ["3 s: the server is restarted", "5 s: lte for clients 2"]
    assert [one.event.profile for one in played.events] == [None, "lte"]


def test_what_is_expected_of_a_client_is_the_scenarios_and_its_parts():
    text = EVENTFUL.replace(
        'name = "pauses"', 'name = "pauses"\nexpect = { loss_pct = { most = 5 }, resume_ms = { most = 900 } }'
    )
    played = timetable(load_scenario(text, name="eventful"), clients=3)
    assert {key: str(bound) for key, bound in played.expected_of(1).items()} == {"loss_pct": "at most 1"}
    assert {key: str(bound) for key, bound in played.expected_of(2).items()} == {
        "loss_pct": "at most 5",
        "resume_ms": "at most 900",
    }
    assert played.expected_of(3) == played.expected_of(1)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('at = "50%"', 'at = "100%"', r"line 12: event\[0\]\.at='100%' .*below 10 seconds"),
        ('at = "3"', 'at = "11"', r"line 16: event\[1\]\.at='11' .*below 10 seconds"),
        ('at = "50%"', 'at = "soon"', r"event\.at='soon'"),
        ('server = "restart"', 'server = "pause"', r"line 17: Invalid enum value 'pause'"),
        ('server = "restart"', 'server = "restart"\nprofile = "lte"', "profile or server, and not both"),
        ('server = "restart"', 'server = "restart"\nclients = [1]', "absent beside server"),
        ("clients = [2]", "clients = [0]", "numbers from 1 on"),
        ("loss_pct =", "loss =", r"expect='loss' .*one of loss_pct"),
        ("loss_pct =", "vmaf =", r"expect='vmaf' .*pictures are compared after the verdict"),
        ("loss_pct =", "undecodable_pct =", r"expect='undecodable_pct' .*after the verdict"),
        ("{ most = 1 }", "{}", "least, most, or both"),
        ("{ most = 1 }", "{ above = 1 }", r"unknown field `above`"),
    ],
)
def test_an_event_or_an_expectation_that_is_none_is_refused(old, new, says):
    with pytest.raises(SettingsError, match=says):
        load_scenario(EVENTFUL.replace(old, new), name="eventful")


def test_the_networks_of_our_scenarios_are_there():
    for path in (ROOT / "compose" / "scenarios").glob("*.toml"):
        scenario = load_scenario(path.read_text(), name=path.stem)
        names = {scenario.profile, *(event.profile for event in scenario.event if event.profile is not None)}
        assert {(ROOT / "netem" / "profiles" / f"{name}.toml").is_file() for name in names} == {True}, path.stem
