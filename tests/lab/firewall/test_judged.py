"""A run with a firewall applied in its middle: the report accounts for every datagram that the firewall dropped.

Each run lasts until what the test waits for has happened.
"""

import subprocess
from collections.abc import Callable

import pytest

from flume.lab.commands import status
from flume.lab.commands.running import running_firewalls
from flume.lab.firewall.firewalls import Firewalls
from flume.lab.firewall.scenario import find
from flume.lab.hosts.site import Site
from flume.lab.machine.process import wait_until
from support.labs.trial import udp_only
from support.paths import FIREWALLS

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

WAIT_S = 60.0


def wait_for(process: "subprocess.Popen[str]", condition: Callable[[], bool]) -> None:
    """Return when *condition* holds while the run goes on."""
    assert wait_until(lambda: process.poll() is not None or condition(), timeout_s=WAIT_S), "not within a minute"
    assert process.poll() is None, process.communicate()


def rows(lab, engine) -> list[status.Row]:
    return sorted(status.rows(Site.of(engine), lab.name), key=lambda row: row.number)


def streams(lab, engine, number: int, transport: str = "udp") -> Callable[[], bool]:
    """Return whether client *number* is active over *transport* and has received more since this call."""
    before = [row.datagrams or 0 for row in rows(lab, engine) if row.number == number]

    def does() -> bool:
        found = [row for row in rows(lab, engine) if row.number == number]
        return [(row.state, row.transport) for row in found] == [("active", transport)] and (
            (found[0].datagrams or 0) > sum(before) + 50
        )

    return does


def start(lab, engine, *arguments: object) -> "subprocess.Popen[str]":
    """Start a run and return when both of its clients receive."""
    process = lab.start_held(*arguments)
    for number in (1, 2):
        wait_for(process, streams(lab, engine, number))
    return process


def dropped(firewalls: Firewalls) -> int:
    """Return how many packets of the media the firewall of client 1 has dropped."""
    return sum(
        count.packets
        for proof in firewalls.proofs()
        for count in proof.counts
        if count.kind in {"blocked", "also"} and count.name.startswith("media")
    )


def counted(lab, name: str, table: str, key: str) -> int:
    """Return a counter of the kernel in the container *name*, as it is among the artefacts."""
    text = (lab.artifacts / "latest" / "counters" / name / "snmp.txt").read_text()
    names, values = (line.split()[1:] for line in text.splitlines() if line.startswith(f"{table}:"))
    return int(dict(zip(names, values, strict=True))[key])


def test_a_client_that_changes_to_tcp_behind_the_firewall_did_as_it_should(lab, engine):
    process = start(lab, engine)
    up = lab.flume("lab", "firewall", "fragments-dropped", "--client", 1)
    assert up.returncode == 0, up.stderr
    wait_for(process, streams(lab, engine, 1, "tcp"))
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
def test_what_a_firewall_takes_is_counted_to_the_datagram(lab, engine, tmp_path, scenario):
    process = start(lab, engine, "--profile", "lan", "--topology", udp_only(tmp_path))
    firewalls = running_firewalls(engine, lab.name)
    firewalls.apply(find(FIREWALLS, scenario), [1])
    wait_for(process, lambda: dropped(firewalls) > 50)
    firewalls.remove()
    wait_for(process, streams(lab, engine, 1))
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
