"""Steering what was found by name: it may not run, and there may be gaps in the numbers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flume.errors import FlumeError, LabError, SettingsError
from flume.lab.cli import lab
from flume.lab.commands import running
from flume.lab.containers.engine import Engine
from flume.lab.containers.topology import labels
from flume.lab.hosts.site import Site
from flume.lab.link.links import Lapsed
from flume.lab.link.profile import Direction, Profile
from support.labs.fake_docker import FakeDocker, serving


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDocker]:
    docker = FakeDocker()
    with serving(docker, tmp_path / "docker.sock") as endpoint:
        monkeypatch.setenv("DOCKER_HOST", endpoint.url)
        yield docker


def add(docker: FakeDocker, *clients: str, probe: str = "running") -> None:
    """Add a lab whose clients, from the second number on, have these states."""
    docker.add("flumelab-x-probe", labels=labels("x", "run", "probe"), status=probe)
    docker.add("flumelab-x-server", labels=labels("x", "run", "server"))
    for number, status in enumerate(clients, 2):
        docker.add(f"flumelab-x-client-{number}", labels=labels("x", "run", "client", number), status=status)


def refusal(*arguments: str) -> FlumeError:
    """Return the error of a command for lab x; it must be one line, and be said before anything was done."""
    result: Result = CliRunner().invoke(lab, [*arguments, "--lab", "x"])
    assert isinstance(result.exception, FlumeError), result.output
    assert result.stdout == ""
    assert "\n" not in str(result.exception)
    return result.exception


COMMANDS = (("send", "{}", "interrupt"), ("netem", "clean", "--client", "{}"), ("firewall", "nat", "--client", "{}"))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize("status", ["exited", "created", "dead"])
def test_a_client_that_does_not_run_is_named_with_the_remedy(docker, command, status):
    add(docker, "running", status)
    error = refusal(*(word.format(3) for word in command))
    assert isinstance(error, LabError)
    assert f"flumelab-x-client-3 does not run ({status}" in str(error)
    assert "docker start flumelab-x-client-3" in str(error)


def test_a_paused_client_takes_no_commands(docker):
    add(docker, "paused")
    assert "is paused and takes no commands: docker unpause flumelab-x-client-2" in str(
        refusal("send", "2", "continue")
    )


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize("number", ["1", "4", "0"])
def test_the_numbers_are_those_of_the_clients_there_are(docker, command, number):
    """Client 1 was removed: then it is not one of 1 to 2."""
    add(docker, "running", "running")
    error = refusal(*(word.format(number) for word in command))
    assert isinstance(error, SettingsError)
    assert str(error) == f"client={number} is not possible: one of 2, 3"


@pytest.mark.parametrize("command", [*COMMANDS, ("status", "--once"), ("firewall", "proof")], ids=" ".join)
def test_without_a_lab_that_is_said(docker, command):
    assert "no lab 'x' is running: start one with make lab" in str(refusal(*(word.format(2) for word in command)))


@pytest.mark.parametrize("command", [("netem", "clean"), ("firewall", "nat", "--all")], ids=" ".join)
def test_a_probe_that_does_not_run_is_named(docker, command):
    add(docker, "running", probe="exited")
    assert "flumelab-x-probe does not run (exited, status 0)" in str(refusal(*command))


def test_where_no_client_runs_no_link_is_set(docker):
    add(docker, "exited", "exited")
    assert "no client of lab 'x' runs" in str(refusal("netem", "clean"))


LAN = Profile(name="lan", description="", down=Direction(delay_ms=20), up=Direction())


class FakeLinks:
    """Links of which some have lapsed."""

    def __init__(self, lapsed: Lapsed) -> None:
        self._lapsed = lapsed
        self.set: list[object] = []

    def lapsed(self) -> Lapsed:
        return self._lapsed

    def places_missing(self) -> int:
        return 0

    def set_each(self, profiles: object) -> None:
        self.set.append(profiles)


def test_a_client_that_was_started_again_gets_the_link_that_it_had(docker, monkeypatch):
    add(docker, "running")
    links = FakeLinks(Lapsed({2: LAN}, []))
    monkeypatch.setattr(running, "running_links", lambda *_: links)
    monkeypatch.setattr(running, "with_room", lambda *_: links)
    with Site.of(Engine.connect()) as site:
        assert running.restore_links(site, "x") == [2]
    assert links.set == [{2: LAN}]


def test_a_lab_whose_probe_forgot_the_links_is_not_steered(docker, monkeypatch):
    """The probe was started again, such as with the engine: no client streams past the link that it had."""
    add(docker, "running")
    monkeypatch.setattr(running, "running_links", lambda *_: FakeLinks(Lapsed({}, [2])))
    with Site.of(Engine.connect()) as site:
        assert running.restore_links(site, "x") == [], "it has run on: no link was ever set"
    probe = docker.named("flumelab-x-probe")
    assert probe is not None
    probe["State"]["FinishedAt"] = "2026-01-01T00:00:00Z"
    assert "no longer knows the links of clients 2: start the lab again" in str(refusal("send", "2", "connect"))
