"""Containers of a standing lab that are started again, by hand or with their engine."""

import json

import pytest

from flume.lab.containers.container import Container
from flume.lab.machine.process import wait_until
from support.labs.labs import one_line

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


def events(client: Container, *, after: int) -> list[dict[str, object]]:
    """Return the events in its log, without the first *after* lines."""
    return [json.loads(line) for line in client.logs().splitlines()[after:] if line.startswith("{")]


def test_a_client_that_is_started_again_works_and_streams_only_over_its_link(lab, engine):
    """Docker gives it a new interface, past netem. So it is idle until the lab has led it through its link again."""
    run = lab.run("--clients", 1, "--players", 0, "--duration", 1, "--scenario", "steady", "--profile", "lan")
    assert run.returncode == 0, run.stdout + run.stderr
    (client,) = engine.find(lab=lab.name, role="client")
    assert lab.flume("lab", "firewall", "media-dropped", "--client", 1).returncode == 0
    client.stop()
    before = len(client.logs().splitlines())
    stopped = lab.flume("lab", "send", 1, "connect")
    assert (stopped.returncode, stopped.stdout) == (3, "")
    assert "does not run" in one_line(stopped.stderr)

    client.start()
    assert wait_until(
        lambda: any(one["event"] == "statistics" for one in events(client, after=before)), timeout_s=60
    ), "it may write its state file"
    assert all(one.get("state") in {None, "closed"} for one in events(client, after=before))
    assert json.loads(lab.flume("lab", "status", "--json").stdout)["link"] == "lost"

    sent = lab.flume("lab", "send", 1, "connect")
    assert sent.returncode == 0, sent.stderr
    assert "given back the links that they had: clients 1" in sent.stderr
    assert "given back their firewalls: client 1" in sent.stderr
    assert "client 1, media-dropped" in lab.flume("lab", "firewall", "proof").stdout
    assert lab.flume("lab", "firewall", "open").returncode == 0
    assert json.loads(lab.flume("lab", "status", "--json").stdout)["link"] == "lan"
    assert wait_until(lambda: json.loads(lab.flume("lab", "status", "--json").stdout)["datagrams"], timeout_s=60), (
        client.logs(tail=5)
    )
    assert lab.make("down").returncode == 0
    lab.assert_nothing_left()
