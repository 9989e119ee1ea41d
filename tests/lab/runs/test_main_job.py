"""The main use, as a person does it: run a lab, look at it, steer it, replace it, remove it."""

import json
import re
import xml.etree.ElementTree as ET

import pytest

from flume.lab.machine.process import wait_until
from support.captures.judging import BALANCE_FIELDS, CLIENT_FIELDS
from support.media.clips import bunny_clip

pytestmark = [pytest.mark.docker, pytest.mark.vlc, pytest.mark.timeout(400)]

WINDOWS = {"client-1": 1, "client-2": 2, "client-3": 1, "client-4": 2, "client-5": 3}


@pytest.fixture(scope="module")
def finished(shared_lab):
    """Five clients, the tour, the test card."""
    return shared_lab.run("--clients", 5, "--duration", 10)


def test_the_tour_of_five_clients_passes(shared_lab, finished):
    assert finished.returncode == 0, finished.stdout + finished.stderr
    report = shared_lab.report()
    assert report["verdict"] == "PASS"
    assert {"verdict", "run", "engine", "clients", "balance"} <= set(report)
    assert report["run"] == (shared_lab.artifacts / "latest").readlink().name
    assert {"name", "version", "kernel", "endpoint"} <= set(report["engine"])
    assert [client["name"] for client in report["clients"]] == list(WINDOWS)
    assert set(report["balance"]) == BALANCE_FIELDS
    assert report["balance"]["unexplained"] == 0
    assert report["balance"]["sent"] == report["balance"]["received"] > 5000
    for client in report["clients"]:
        assert set(client) >= CLIENT_FIELDS
        assert set(client["balance"]) == BALANCE_FIELDS
        assert all(0 <= start < end <= report["duration_s"] for start, end in client["active_windows"])
        assert client["datagrams_leaked"] == 0
        assert client["datagrams_lost"] == 0
        assert client["datagrams_active"] > 500
        assert client["frames_displayed"] > 0
        assert 0 < client["join_ms"] < 10_000
        assert len(client["active_windows"]) == WINDOWS[client["name"]]


def test_the_table_has_a_row_for_each_client_and_says_where_the_time_went(shared_lab, finished):
    for name in WINDOWS:
        assert name in finished.stdout
    assert "verdict: PASS" in finished.stdout
    assert re.search(r"from Enter to the first picture \d+\.\d s", finished.stdout)
    assert f"make down LAB={shared_lab.name}" in finished.stdout


def test_the_artefacts_are_complete(shared_lab, finished):
    latest = shared_lab.artifacts / "latest"
    assert latest.is_symlink()
    assert ET.parse(latest / "junit.xml").getroot().tag == "testsuites"  # noqa: S314 - our own file
    assert "client-5" in (latest / "report.html").read_text()
    captures = {path.name for path in (latest / "captures").glob("*.pcap")}
    assert captures == {"server.pcap", *(f"{name}.pcap" for name in WINDOWS)}
    assert len(list((latest / "logs").glob("*.log"))) == 6
    assert "Udp:" in (latest / "counters" / "client-1" / "snmp.txt").read_text()
    kernel = latest / "counters" / "kernel"
    before, after = ((kernel / f"softnet_{when}.txt").read_text() for when in ("before", "after"))
    assert before != after, "packets were counted"
    assert "backlog" in {check["name"] for check in shared_lab.report()["checks"]}


def statuses(lab) -> dict[int, str]:
    shown = lab.flume("lab", "status", "--json")
    assert shown.returncode == 0, shown.stderr
    rows = [json.loads(line) for line in shown.stdout.splitlines()]
    return {row["number"]: row["state"] for row in rows}


def test_the_lab_runs_on_and_obeys(shared_lab, finished):
    # The tour leaves client 3 interrupted and client 5 disconnected; the others watch on.
    expected = {1: "active", 2: "active", 3: "interrupted", 4: "active", 5: "closed"}
    assert wait_until(lambda: statuses(shared_lab) == expected, timeout_s=10), statuses(shared_lab)
    assert shared_lab.flume("lab", "send", 3, "continue").returncode == 0
    assert wait_until(lambda: statuses(shared_lab)[3] == "active", timeout_s=10)
    assert shared_lab.flume("lab", "send", 1, "interrupt").returncode == 0
    assert wait_until(lambda: statuses(shared_lab)[1] == "interrupted", timeout_s=10)


def test_a_client_that_does_not_exist_is_refused_by_name(shared_lab, finished):
    refused = shared_lab.flume("lab", "send", 9, "interrupt")
    assert refused.returncode == 2
    assert refused.stderr.strip() == "flume: client=9 is not possible: one of 1, 2, 3, 4, 5"


def test_the_containers_are_healthy_and_confined(shared_lab, finished, engine):
    for container in engine.find(lab=shared_lab.name):
        if container.role in {"server", "client"}:
            assert container.exec(["id", "-u"]).stdout.strip() == "10001"
            assert container.exec(["python3", "-c", "import scapy"]).code != 0
            assert container.exec(["python3", "-c", "import docker"]).code != 0
            assert container.exec(["touch", "/usr/bin/new"]).code != 0
    server = engine.find(lab=shared_lab.name, role="server")[0]
    assert server.exec(["flume", "health", "server", "127.0.0.1"]).code == 0
    client = engine.find(lab=shared_lab.name, role="client")[0]
    assert client.exec(["flume", "health", "client", "/run/flume/state.json"]).code == 0


def test_a_second_run_with_a_film_replaces_the_first_cleanly_and_builds_nothing(shared_lab, finished, engine, tmp_path):
    video = tmp_path / "it's a “film”" / 'é ü 日本 "x" $HOME #1.mp4'
    video.parent.mkdir()
    video.write_bytes(bunny_clip().read_bytes())
    again = shared_lab.run("--clients", 2, "--duration", 5, "--video", video)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "Building" not in again.stderr
    assert len(engine.find(lab=shared_lab.name, role="client")) == 2
    assert len(engine.find(lab=shared_lab.name)) == 4
    report = shared_lab.report()
    assert len(report["clients"]) == 2
    assert report["scenario"]["video"] == video.name
    for client in report["clients"]:
        assert client["frames_displayed"] > 25, "VLC shows the film's pictures, not only receives them"
        assert client["player"] == "headless"


def test_down_leaves_nothing_and_is_calm_the_second_time(shared_lab, finished, engine):
    down = shared_lab.make("down")
    assert down.returncode == 0, down.stderr
    shared_lab.assert_nothing_left()
    assert "nothing to remove" in shared_lab.make("down").stdout
    status = shared_lab.make("status")
    assert status.returncode != 0
    assert f"no lab '{shared_lab.name}' is running" in status.stderr
