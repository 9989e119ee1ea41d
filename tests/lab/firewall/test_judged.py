"""A run with a firewall applied in its middle: the report accounts for every datagram that the firewall dropped."""

import json

import pytest

from flume.lab.machine.process import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


def active(lab) -> bool:
    shown = lab.flume("lab", "status", "--json")
    rows = [json.loads(line) for line in shown.stdout.splitlines()] if shown.returncode == 0 else []
    return [row["state"] for row in rows] == ["active", "active"]


def test_what_a_firewall_takes_is_counted_to_the_datagram(lab):
    process = lab.start("--clients", 2, "--scenario", "steady", "--duration", 9, "--frames-min", 0)
    assert wait_until(lambda: active(lab), timeout_s=60)
    up = lab.flume("lab", "firewall", "media-dropped", "--client", 1)
    assert up.returncode == 0, up.stderr
    down = lab.flume("lab", "firewall", "open")
    assert down.returncode == 0, down.stderr
    stdout, stderr = process.communicate(timeout=120)
    first, second = lab.report()["clients"]
    assert first["balance"]["dropped_by_firewall"] > 20, stdout + stderr
    assert first["balance"]["unexplained"] == 0, "its rules are gone, their counts are not"
    assert second["balance"]["dropped_by_firewall"] == second["balance"]["unexplained"] == 0
    assert second["balance"]["sent"] == second["balance"]["received"]
