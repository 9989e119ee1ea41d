"""Other people's players beside our own client, at the same server at once: each plays, and is judged as ours is."""

import json
import xml.etree.ElementTree as ET

import pytest

from flume.lab.machine.process import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.vlc, pytest.mark.timeout(240)]

PLAYERS = ("flume", "vlc", "ffplay", "mpv:tcp", "gstreamer")

PAUSES = "connect; wait 50%; interrupt; wait 15%; continue; wait 35%"
PAUSES_TWICE = "connect; wait 40%; interrupt; wait 10%; continue; wait 20%; interrupt; wait 10%; continue; wait 20%"
COMES_BACK = "connect; wait 50%; disconnect; wait 10%; connect; wait 40%"
PARTS = (PAUSES, PAUSES, PAUSES, COMES_BACK, PAUSES_TWICE)
"""Debian's VLC and mpv ask for no PAUSE: mpv stops here, and plays again; VLC is asked for what it cannot do."""

SCENARIO = "\n".join(
    (
        'description = "each player does what it can, and VLC what it cannot"',
        "duration_s = 15",
        *(f'[[part]]\nname = "{name}"\ncommands = "{commands}"' for name, commands in zip(PLAYERS, PARTS, strict=True)),
    )
)


@pytest.fixture(scope="module")
def finished(shared_lab, tmp_path_factory):
    """One run with all of them."""
    scenario = tmp_path_factory.mktemp("scenario") / "players.toml"
    scenario.write_text(SCENARIO)
    return shared_lab.run("--clients", 5, "--players", ",".join(PLAYERS), "--scenario", scenario)


WINDOWS = {"flume": 2, "vlc": 1, "ffplay": 2, "mpv:tcp": 2, "gstreamer": 3}

ASKED = {
    "vlc": ["connect", "continue"],
    "ffplay": ["connect", "continue", "interrupt", "continue"],
    "mpv:tcp": ["connect", "continue", "disconnect", "connect", "continue"],
    "gstreamer": ["connect", "continue", "interrupt", "continue", "interrupt", "continue"],
}


def test_five_players_play_at_once_and_not_one_datagram_leaves_outside_their_windows(shared_lab, finished):
    report = shared_lab.report()
    assert report["balance"]["unexplained"] == 0
    for client, program in zip(report["clients"], PLAYERS, strict=True):
        assert client["program"] == program
        assert client["datagrams_leaked"] == 0, program
        assert client["datagrams_active"] > 3000, program
        assert len(client["active_windows"]) == WINDOWS[program], program
        assert client["join_ms"] is not None, f"{program} displays"
        assert (client["frames_displayed"] or 0) > 25 or program == "ffplay"
        asked = [command["command"] for command in client["commands"] if command["command"] != "status"]
        expected = ASKED.get(program, asked)
        assert asked[: len(expected)] == expected, program


def test_what_a_player_cannot_do_is_unsupported_and_all_else_is_proved(shared_lab, finished):
    report = shared_lab.report()
    others = [check for check in report["checks"] if check["verdict"] != "PASS"]
    assert [(check["subject"], check["name"], check["verdict"]) for check in others] == [
        ("client-2", "commands", "UNSUPPORTED")
    ]
    assert (finished.returncode, report["verdict"]) == (4, "UNSUPPORTED"), finished.stdout + finished.stderr
    said = "vlc halts its display at a pause, and asks the server for nothing (pauses: 1)"
    assert f"UNSUPPORTED: client-2: commands: {said}" in finished.stdout
    assert "verdict: UNSUPPORTED" in finished.stdout
    page = (shared_lab.artifacts / "latest" / "report.html").read_text()
    assert said in page
    suite = ET.parse(shared_lab.artifacts / "latest" / "junit.xml").getroot()  # noqa: S314 - our own file
    skipped = {
        (case.get("classname"), case.get("name"), one.get("message"))
        for case in suite.iter("testcase")
        for one in case.iter("skipped")
    }
    assert skipped == {("flumelab.client-2", "commands", said)}


def test_table_page_and_junit_name_each_program(shared_lab, finished):
    latest = shared_lab.artifacts / "latest"
    page = (latest / "report.html").read_text()
    suite = ET.parse(latest / "junit.xml").getroot().find("testsuite")  # noqa: S314 - our own file
    assert suite is not None
    named = {one.get("name"): one.get("value") for one in suite.iter("property")}
    for number, program in enumerate(PLAYERS, 1):
        assert program in finished.stdout
        assert f'<td data-label="Program">{program}</td>' in page
        assert named[f"client-{number}"] == program


def states(lab) -> dict[int, str]:
    shown = lab.flume("lab", "status", "--json")
    assert shown.returncode == 0, shown.stderr
    return {row["number"]: row["state"] for row in map(json.loads, shown.stdout.splitlines())}


def test_a_running_player_is_steered_in_its_own_words(shared_lab, finished):
    assert wait_until(lambda: set(states(shared_lab).values()) == {"active"}, timeout_s=90), states(shared_lab)
    sent = shared_lab.flume("lab", "send", 3, "interrupt")
    assert (sent.returncode, sent.stdout) == (0, "client 3: pause (see: make status)\n")
    assert wait_until(lambda: states(shared_lab)[3] == "interrupted", timeout_s=90)


def test_a_firewall_takes_the_media_of_a_player_as_of_our_client(shared_lab, finished):
    applied = shared_lab.flume("lab", "firewall", "media-dropped", "--client", 2)
    assert applied.returncode == 0, applied.stderr
    acted = "client 2, media-dropped: has acted"
    assert wait_until(lambda: acted in shared_lab.flume("lab", "firewall", "proof").stdout, timeout_s=90)


def test_the_containers_of_players_are_confined_and_removed_with_the_lab(shared_lab, finished, engine):
    players = [one for one in engine.find(lab=shared_lab.name, role="client") if one.program != "flume"]
    assert [one.program for one in players] == list(PLAYERS[1:])
    seen = players[0].exec(["sh", "-c", "id -u; touch /usr/bin/new || echo read-only; grep CapBnd /proc/self/status"])
    assert seen.stdout.split() == ["10001", "read-only", "CapBnd:", "0" * 16]
    assert shared_lab.make("down").returncode == 0
    assert engine.objects(lab=shared_lab.name) == []
