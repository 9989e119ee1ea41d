"""Whole runs over three hosts: the verdict is that of one host, and nothing is left on any, whatever happens to one."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flume.lab import testcard
from flume.lab.containers.engine import Engine
from flume.lab.machine.process import wait_until
from support.labs.lab_over_hosts import LabOverHosts, new_lab_over
from support.labs.labs import one_line
from support.labs.nested import Host, join_swarm
from support.labs.trial import PAUSES, broken_server_program, topology

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]

COUNTING = ("--players", 0)
"""Clients without a player: three hosts share the CPUs of one machine."""


@pytest.fixture
def lab(engine: Engine, hosts: list[Host], tmp_path: Path) -> Iterator[LabOverHosts]:
    with new_lab_over(engine, hosts, tmp_path) as lab:
        yield lab


def rows_of(lab: LabOverHosts) -> list[dict[str, Any]]:
    """Return what ``flume lab status`` says of each client; the hosts are not named to it."""
    done = lab.lab.flume("lab", "status", "--json")
    assert done.returncode == 0, done.stderr
    return [msgspec.json.decode(line) for line in done.stdout.splitlines()]


def leaked(report: dict[str, Any]) -> int:
    """Return how many datagrams left for clients that had not asked for them."""
    return sum(client["datagrams_leaked"] for client in report["clients"])


def test_a_tour_over_three_hosts_passes_and_down_leaves_nothing_on_any(lab: LabOverHosts) -> None:
    run = lab.run("--clients", 6, "--players", 1, "--duration", 6)
    assert run.returncode == 0, run.stdout + run.stderr
    report = lab.lab.report()
    assert (report["verdict"], report["balance"]["unexplained"], leaked(report)) == ("PASS", 0, 0)
    assert report["balance"]["sent"] == report["balance"]["received"] > 0
    assert [(row["number"], row["host"]) for row in rows_of(lab)] == [
        *((1, "h1"), (2, "h2"), (3, "h3")),
        *((4, "h1"), (5, "h2"), (6, "h3")),
    ]

    alone = lab.lab.make("lab", "CLIENTS=1")
    assert alone.returncode != 0, "without HOSTS another lab of this name would be started on this machine"
    assert f"lab {lab.lab.name!r} was started on h1, h2, h3 and is still there: make down LAB=" in alone.stderr

    down = lab.lab.make("down")
    assert down.returncode == 0, down.stderr
    assert all(f"on {host.name}" in down.stdout for host in lab.hosts)
    lab.assert_nothing_left()
    assert "there is no lab" in lab.lab.make("down").stdout, "it is looked for on this machine alone"


def test_links_are_shaped_on_each_host_and_the_running_lab_is_steered_from_here(lab: LabOverHosts) -> None:
    run = lab.run("--clients", 3, *COUNTING, "--scenario", "steady", "--duration", 5, "--profile", "lossy-5")
    assert run.returncode == 0, run.stdout + run.stderr
    report = lab.lab.report()
    assert (report["verdict"], report["balance"]["unexplained"], leaked(report)) == ("PASS", 0, 0)
    assert all(client["balance"]["lost_on_link"] > 0 for client in report["clients"]), report["clients"]
    assert {row["link"] for row in rows_of(lab)} == {"lossy-5"}

    netem = lab.lab.flume("lab", "netem", "lan", "--client", 2)
    assert netem.returncode == 0, netem.stdout + netem.stderr
    assert [row["link"] for row in rows_of(lab)] == ["lossy-5", "lan", "lossy-5"]

    assert lab.lab.flume("lab", "send", 3, "interrupt").returncode == 0
    assert wait_until(lambda: [row["state"] for row in rows_of(lab)][2] == "interrupted", timeout_s=30), rows_of(lab)

    applied = lab.lab.flume("lab", "firewall", "media-dropped", "--client", 2)
    assert applied.returncode == 0, applied.stderr

    def proof() -> str:
        return lab.lab.flume("lab", "firewall", "proof").stdout

    assert wait_until(lambda: "client 2 on h2, media-dropped: has acted" in proof(), timeout_s=30), proof()
    assert lab.lab.flume("lab", "firewall", "open").returncode == 0
    assert proof() == "no firewall scenario is applied\n"

    assert lab.lab.flume("lab", "down").returncode == 0
    lab.assert_nothing_left()


def test_a_server_that_streams_on_to_another_host_is_caught(lab: LabOverHosts, tmp_path: Path) -> None:
    film = testcard.generate(tmp_path / "film.mp4", duration_s=10, width=320, height=180, bitrate_kbit=800)
    program = broken_server_program(tmp_path / "broken.pyz", film)
    (tmp_path / "short.toml").write_text(PAUSES.format(duration_s=4))
    server = {"entrypoint": ["python3"], "command": [f"/media/{program.name}", "keeps_streaming"]}
    services = topology(tmp_path / "lab.yaml", services__server=server)
    run = lab.run(
        *("--clients", 3, *COUNTING, "--video", program, "--topology", services),
        *("--scenario", tmp_path / "short.toml"),
    )
    report = lab.lab.report()
    assert (run.returncode, report["verdict"]) == (1, "FAIL"), run.stdout + run.stderr
    for client in report["clients"][1:]:
        assert client["leak_reasons"].get("while_interrupted", 0) > 20, client["name"]
    wrong = {check["name"] for check in report["checks"] if check["verdict"] != "PASS"}
    assert not wrong & {"capture", "evidence", "clock", "silence", "reception", "strangers"}, wrong
    assert lab.lab.flume("lab", "down").returncode == 0
    lab.assert_nothing_left()


def heard(run: "subprocess.Popen[str]", what: str) -> str:
    """Return the line of standard error that has *what*."""
    assert run.stderr is not None
    said = []
    for line in run.stderr:
        said.append(line)
        if what in line:
            return line
    pytest.fail(f"it ended without a word of {what!r}: {said}")


def test_hosts_that_are_lost_are_an_error_of_their_clients_and_of_no_others(lab: LabOverHosts) -> None:
    """The third is switched off, so its connections end. The second has no cable, so they only fall silent."""
    run = lab.hold("--clients", 6)
    _, second, third = lab.hosts
    second.cut()
    third.kill()
    try:
        said = {heard(run, "is lost").partition(":")[0] for _ in (second, third)}
        assert said == {"Host h2 is lost", "Host h3 is lost"}
        stdout, stderr = run.communicate(timeout=180)
        assert run.returncode == 3, stdout + stderr
        assert "verdict: ERROR" in stdout, stderr
        checks = lab.lab.report()["checks"]
        lost = {check["subject"]: check for check in checks if check["name"] == "host"}
        assert set(lost) == {f"client-{number}" for number in (2, 3, 5, 6)}
        assert lost["client-5"]["detail"].startswith("its host h2 was lost during the run: ")
        assert lost["client-6"]["detail"].startswith("its host h3 was lost during the run: ")
        wrong = [check for check in checks if check["verdict"] != "PASS"]
        assert {check["subject"] for check in wrong} == set(lost), wrong
        down = lab.lab.flume("lab", "down", timeout_s=120)
        assert down.returncode == 3, down.stdout + down.stderr
        assert f"what lab {lab.lab.name!r} has on h2 and h3 is left there" in down.stderr
        lab.assert_only_the_network_left(without=[second, third])
    finally:
        second.mend()
        third.start()
    join_swarm(lab.hosts)
    again = lab.lab.flume("lab", "down", timeout_s=120)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "client-2 on h2" in again.stdout
    assert "client-3 on h3" in again.stdout
    lab.assert_nothing_left()


def test_without_the_servers_host_the_run_is_one_error_and_the_others_are_cleared(lab: LabOverHosts) -> None:
    run = lab.hold("--clients", 3)
    first = lab.hosts[0]
    first.kill()
    run.wait(180)
    stdout, stderr = run.communicate()
    assert run.returncode == 3, stdout + stderr
    assert "verdict" not in stdout
    error = one_line("\n".join(line for line in stderr.splitlines() if line.startswith("flume: ")))
    assert error.startswith("flume: host h1, which ran the server, was lost during the run: ")
    assert "Traceback" not in stderr
    lab.assert_only_the_network_left(without=[first])
    first.start()
    join_swarm(lab.hosts)
    down = lab.lab.flume("lab", "down", timeout_s=120)
    assert down.returncode == 0, down.stdout + down.stderr
    lab.assert_nothing_left()


def test_an_interrupt_leaves_nothing_on_any_host(lab: LabOverHosts) -> None:
    run = lab.hold("--clients", 3, "--profile", "lan")
    run.send_signal(signal.SIGINT)
    run.wait(180)
    stdout, stderr = run.communicate()
    assert run.returncode == 130, stdout + stderr
    assert stderr.splitlines()[-2:] == [f"Lab {lab.lab.name!r} is removed.", "flume: interrupted"]
    lab.assert_nothing_left()
    assert lab.lab.flume("lab", "status").stderr.startswith("flume: no lab "), "its hosts are forgotten"
