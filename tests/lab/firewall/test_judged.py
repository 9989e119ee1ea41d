"""A run with a firewall applied in its middle: the report accounts for every datagram that the firewall dropped."""

import json

import pytest

from flume.lab.machine.process import wait_until
from support.labs.trial import udp_only

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


def active(lab) -> bool:
    shown = lab.flume("lab", "status", "--json")
    rows = [json.loads(line) for line in shown.stdout.splitlines()] if shown.returncode == 0 else []
    return [row["state"] for row in rows] == ["active", "active"]


def counted(lab, name: str, table: str, key: str) -> int:
    """Return a counter of the kernel in the container *name*, as it is among the artefacts."""
    text = (lab.artifacts / "latest" / "counters" / name / "snmp.txt").read_text()
    names, values = (line.split()[1:] for line in text.splitlines() if line.startswith(f"{table}:"))
    return int(dict(zip(names, values, strict=True))[key])


def test_a_client_that_changes_to_tcp_behind_the_firewall_did_as_it_should(lab):
    process = lab.start("--clients", 2, "--scenario", "steady", "--duration", 12, "--players", 0)
    assert wait_until(lambda: active(lab), timeout_s=60)
    up = lab.flume("lab", "firewall", "fragments-dropped", "--client", 1)
    assert up.returncode == 0, up.stderr
    stdout, stderr = process.communicate(timeout=120)
    report = lab.report()
    assert (process.returncode, report["verdict"]) == (0, "PASS"), stdout + stderr
    first, second = report["clients"]
    assert [command["command"] for command in first["commands"] if command["command"] != "status"] == [
        *("connect", "disconnect", "connect", "interrupt"),
    ]
    assert first["datagrams_lost"] == first["balance"]["dropped_by_firewall"] > 500
    assert second["datagrams_lost"] == 0


@pytest.mark.parametrize("scenario", ["media-dropped", "fragments-dropped"])
def test_what_a_firewall_takes_is_counted_to_the_datagram(lab, tmp_path, scenario):
    layout = udp_only(tmp_path)
    options = ("--clients", 2, "--players", 0, "--profile", "lan", "--scenario", "steady", "--duration", 9)
    process = lab.start(*options, "--topology", layout)
    assert wait_until(lambda: active(lab), timeout_s=60)
    up = lab.flume("lab", "firewall", scenario, "--client", 1)
    assert up.returncode == 0, up.stderr
    down = lab.flume("lab", "firewall", "open")
    assert down.returncode == 0, down.stderr
    stdout, stderr = process.communicate(timeout=120)
    report = lab.report()
    assert (process.returncode, report["verdict"]) == (0, "PASS"), stdout + stderr
    assert (counted(lab, "server", "Ip", "FragCreates") > 40) == (scenario == "fragments-dropped")
    first, second = report["clients"]
    assert first["balance"]["dropped_by_firewall"] > 20, stdout + stderr
    assert first["balance"]["unexplained"] == 0, "its rules are gone, their counts are not"
    assert first["datagrams_lost"] == first["balance"]["dropped_by_firewall"]
    assert second["balance"]["dropped_by_firewall"] == second["balance"]["unexplained"] == 0
    assert second["balance"]["sent"] == second["balance"]["received"]
