"""A scenario in which the lab itself acts: the server restarts, and the network of one client changes."""

from pathlib import Path

import pytest

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

SCENARIO = """
description = "the server restarts, then the second client has another network"
duration_s = 8

[[event]]
at = "20%"
server = "restart"

[[event]]
at = "50%"
profile = "lossy-10"
clients = [2]

[expect]
loss_pct = { most = 50 }

[[part]]
name = "watches on"
commands = "connect; wait 100%"
expect = { loss_pct = { most = 0 } }

[[part]]
name = "gets the worse network"
commands = "connect; wait 100%"

[[part]]
name = "has left before"
commands = "connect; wait 5%; disconnect; wait 95%"
"""


def test_the_server_restarts_and_a_network_changes_and_all_is_accounted_for(lab, tmp_path: Path):
    (tmp_path / "eventful.toml").write_text(SCENARIO)
    done = lab.run("--clients", 3, "--players", 0, "--scenario", tmp_path / "eventful.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    report = lab.report()
    steady, worse, gone = report["clients"]
    assert report["scenario"]["events"] == "1.6 s: the server is restarted; 4 s: lossy-10 for clients 2"
    assert [one["command"] for one in steady["commands"]] == ["connect", "connect", "interrupt"], "it came back"
    assert [one["command"] for one in gone["commands"]] == ["connect", "disconnect"], "it had left"
    assert len(steady["active_windows"]) == 2
    assert steady["datagrams_lost"] == gone["datagrams_lost"] == 0
    assert worse["balance"]["lost_on_link"] > 0
    assert report["balance"]["unexplained"] == 0
    expected = {check["subject"]: check["detail"] for check in report["checks"] if check["name"] == "expected"}
    assert expected["client-1"] == "loss 0.00 % (expected: at most 0)"
    assert expected["client-2"].endswith("(expected: at most 50)")
