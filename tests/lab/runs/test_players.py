"""Other people's players beside our own client, at the same server at once: each plays, and is judged as ours is."""

import json
import xml.etree.ElementTree as ET

import pytest

from flume.lab.machine.process import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.vlc, pytest.mark.timeout(240)]

PLAYERS = ("flume", "vlc", "ffplay", "mpv:tcp", "gstreamer")

PAUSES = "connect; wait 50%; interrupt; wait 15%; continue; wait 35%"
COMES_BACK = "connect; wait 50%; disconnect; wait 10%; connect; wait 40%"

SCENARIO = "\n".join(
    (
        'description = "each player does what it can"',
        "duration_s = 15",
        *(
            f'[[part]]\nname = "{name}"\ncommands = "{commands}"'
            for name, commands in zip(PLAYERS, (PAUSES, COMES_BACK, PAUSES, COMES_BACK, PAUSES), strict=True)
        ),
    )
)
"""Debian's VLC and mpv ask for no PAUSE: they stop, and play again."""


@pytest.fixture(scope="module")
def finished(shared_lab, tmp_path_factory):
    """One run with all of them."""
    scenario = tmp_path_factory.mktemp("scenario") / "players.toml"
    scenario.write_text(SCENARIO)
    return shared_lab.run("--clients", 5, "--players", ",".join(PLAYERS), "--scenario", scenario)


def test_five_players_play_at_once_and_not_one_datagram_leaves_outside_their_windows(shared_lab, finished):
    assert finished.returncode == 0, finished.stdout + finished.stderr
    report = shared_lab.report()
    assert report["verdict"] == "PASS"
    assert [client["program"] for client in report["clients"]] == list(PLAYERS)
    assert report["balance"]["unexplained"] == 0
    for client in report["clients"]:
        assert client["datagrams_leaked"] == 0
        assert client["datagrams_active"] > 3000, client["program"]
        assert len(client["active_windows"]) == 2, client["program"]
        assert client["join_ms"] is not None, f"{client['program']} displays"
        assert (client["frames_displayed"] or 0) > 25 or client["program"] == "ffplay"
    asked = {
        client["program"]: [command["command"] for command in client["commands"] if command["command"] != "status"]
        for client in report["clients"]
    }
    assert asked["ffplay"] == asked["gstreamer"][:4] == ["connect", "continue", "interrupt", "continue"]
    assert asked["vlc"][:5] == ["connect", "continue", "disconnect", "connect", "continue"]


def test_table_page_and_junit_name_each_program(shared_lab, finished):
    latest = shared_lab.artifacts / "latest"
    page = (latest / "report.html").read_text()
    suite = ET.parse(latest / "junit.xml").getroot().find("testsuite")  # noqa: S314 - our own file
    assert suite is not None
    named = {one.get("name"): one.get("value") for one in suite.iter("property")}
    for number, program in enumerate(PLAYERS, 1):
        assert program in finished.stdout
        assert f"<td>{program}</td>" in page
        assert named[f"client-{number}"] == program


def states(lab) -> dict[int, str]:
    shown = lab.flume("lab", "status", "--json")
    assert shown.returncode == 0, shown.stderr
    return {row["number"]: row["state"] for row in map(json.loads, shown.stdout.splitlines())}


def test_a_running_player_is_steered_in_its_own_words(shared_lab, finished):
    assert wait_until(lambda: set(states(shared_lab).values()) == {"active"}, timeout_s=30), states(shared_lab)
    sent = shared_lab.flume("lab", "send", 3, "interrupt")
    assert (sent.returncode, sent.stdout) == (0, "client 3: pause (see: make status)\n")
    assert wait_until(lambda: states(shared_lab)[3] == "interrupted", timeout_s=30)


def test_a_firewall_takes_the_media_of_a_player_as_of_our_client(shared_lab, finished):
    applied = shared_lab.flume("lab", "firewall", "media-dropped", "--client", 2)
    assert applied.returncode == 0, applied.stderr
    acted = "client 2, media-dropped: has acted"
    assert wait_until(lambda: acted in shared_lab.flume("lab", "firewall", "proof").stdout, timeout_s=30)


def test_the_containers_of_players_are_confined_and_removed_with_the_lab(shared_lab, finished, engine):
    players = [one for one in engine.find(lab=shared_lab.name, role="client") if one.program != "flume"]
    assert [one.program for one in players] == list(PLAYERS[1:])
    seen = players[0].exec(["sh", "-c", "id -u; touch /usr/bin/new || echo read-only; grep CapBnd /proc/self/status"])
    assert seen.stdout.split() == ["10001", "read-only", "CapBnd:", "0" * 16]
    assert shared_lab.make("down").returncode == 0
    assert engine.objects(lab=shared_lab.name) == []
