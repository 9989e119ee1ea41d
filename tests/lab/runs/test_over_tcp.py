"""Media over the control connections: both clients are judged by the captures, as over UDP."""

import pytest

from support.labs.trial import topology

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

SCENARIO = """
description = "each is interrupted once"
duration_s = 6
[[part]]
name = "early"
commands = "connect; wait 20%; interrupt; wait 15%; continue; wait 50%; disconnect; wait 15%"
[[part]]
name = "late"
commands = "wait 10%; connect; wait 50%; interrupt; wait 15%; continue; wait 25%"
"""
WATCH = ["watch", "server", "--json", "--commands", "-", "--state-file", "/run/flume/state.json", "--transport", "tcp"]


def test_clients_over_tcp_are_judged_by_what_is_in_their_connections(lab, tmp_path):
    (tmp_path / "short.toml").write_text(SCENARIO)
    layout = topology(tmp_path / "lab.yaml", services__client={"command": [*WATCH, "--player", "headless"]})
    done = lab.run("--clients", 2, "--topology", layout, "--scenario", tmp_path / "short.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    report = lab.report()
    assert report["verdict"] == "PASS"
    assert report["balance"]["unexplained"] == 0
    assert report["balance"]["sent"] == report["balance"]["received"] > 1000
    for client in report["clients"]:
        assert client["datagrams_leaked"] == client["datagrams_lost"] == 0
        assert client["frames_due"] > 50
        assert len(client["active_windows"]) == 2
    # No datagram of the stream used UDP, by the kernel's count at the server.
    sent = sum(client["datagrams_active"] for client in report["clients"])
    assert sent == report["balance"]["sent"]
    assert udp_datagrams_out(lab) < 50, "no media, only look-ups of names"


def udp_datagrams_out(lab) -> int:
    """Return the number of UDP datagrams that the server's container sent, by the counters among the artefacts."""
    text = (lab.artifacts / "latest" / "counters" / "server" / "snmp.txt").read_text()
    names, values = (line.split()[1:] for line in text.splitlines() if line.startswith("Udp:"))
    return int(dict(zip(names, values, strict=True))["OutDatagrams"])
