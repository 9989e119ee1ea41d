"""Firewalls of containers that were started again: their rules have ended with the namespace that had them."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from flume.lab.containers.container import ExecResult
from flume.lab.containers.probe import Probe
from flume.lab.firewall.firewalls import Firewalls, Target
from flume.lab.firewall.scenario import find
from probe import firewall
from support.paths import FIREWALLS


class FakeProbe:
    """Remembers rule sets as the program ``firewall`` does."""

    def __init__(self, *applied: tuple[int, int, str]) -> None:
        self.applied = {(pid, number): name for pid, number, name in applied}
        self.removed: set[tuple[int, int]] = set()

    @property
    def container(self) -> "FakeProbe":
        return self

    def run_checked(self, command: Sequence[str]) -> str:
        _, action, *rest = command
        if action == "remove":
            for pid, number in zip(rest[::2], rest[1::2], strict=True):
                self.applied.pop((int(pid), int(number)), None)
                self.removed.add((int(pid), int(number)))
            return ""
        assert action == "list", command
        return "".join(f"=== flumelab {pid} {number} {name}\n" for (pid, number), name in self.applied.items())

    def exec(self, command: Sequence[str]) -> ExecResult:
        _, action, *rest = command
        assert action == "apply", command
        for at in range(0, len(rest), 7):
            self.applied[int(rest[at]), int(rest[at + 1])] = rest[at + 2]
        return ExecResult(0, "", "")


def firewalls(probe: FakeProbe) -> Firewalls:
    hosts = [Target(0, 100, "198.18.0.2"), Target(1, 101, "198.18.0.11"), Target(2, 202, "198.18.0.12")]
    return Firewalls({"": cast("Probe", probe)}, hosts)


def test_of_a_client_that_was_started_again_the_scenario_is_applied_again():
    probe = FakeProbe((101, 1, "media-dropped"), (102, 2, "media-dropped"))
    lab = firewalls(probe)
    assert lab.lapsed() == {2: "media-dropped"}
    lab.restore({2: find(FIREWALLS, "media-dropped")})
    assert set(probe.applied) >= {(101, 1), (202, 2)}
    assert (102, 2) not in probe.applied
    assert lab.lapsed() == {}


def test_a_server_that_was_started_again_has_lost_its_part_of_each():
    """Both its own scenario and its end of a client's."""
    probe = FakeProbe((99, 0, "control-reset"), (99, 2, "nat"), (202, 2, "nat"), (99, 7, "nat"))
    assert firewalls(probe).lapsed() == {0: "control-reset", 2: "nat"}, "client 7 does not run"


def test_removing_all_forgets_what_has_ended():
    probe = FakeProbe((102, 2, "nat"))
    firewalls(probe).remove()
    assert probe.applied == {}


def test_the_program_lists_also_what_has_ended(tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(firewall, "STATE", str(tmp_path))
    (tmp_path / "4194304999-2.scenario").write_text("nat")
    for name in ("4194304999-2.route", "7.gone", "7.variant"):
        (tmp_path / name).write_text("x")
    firewall.main(["list"])
    assert capsys.readouterr().out == "=== flumelab 4194304999 2 nat\n"


def test_rules_for_the_servers_side_of_a_client_are_at_the_relay_that_it_watches():
    here, there = FakeProbe(), FakeProbe()
    hosts = [
        Target(0, 100, "198.18.0.2", "h1"),
        Target(1, 101, "198.18.0.11", "h1"),
        Target(2, 101, "198.18.0.12", "h2", ("h2", 99)),
    ]
    lab = Firewalls({"h1": cast("Probe", here), "h2": cast("Probe", there)}, hosts)
    lab.apply(find(FIREWALLS, "media-dropped"), [2])
    assert {pid for pid, _ in there.applied} <= {101, 99}
    assert there.applied
    assert not here.applied, "the process 101 of another machine is another one"


def over_two_machines() -> tuple[FakeProbe, FakeProbe, Firewalls]:
    """Return the probes of two machines, and a lab whose clients have the same process number on each."""
    here, there = FakeProbe(), FakeProbe()
    hosts = [
        Target(0, 100, "198.18.0.2", "h1"),
        Target(1, 101, "198.18.0.11", "h1"),
        Target(2, 101, "198.18.0.12", "h2"),
    ]
    return here, there, Firewalls({"h1": cast("Probe", here), "h2": cast("Probe", there)}, hosts)


def test_each_end_of_a_path_gets_its_rules_on_its_own_machine():
    here, there, lab = over_two_machines()
    lab.apply(find(FIREWALLS, "nat"), [2])
    assert set(here.applied) | set(there.applied) >= {(101, 2)}
    assert {pid for pid, _ in here.applied} <= {100}, "of client 2 this machine has the server's end alone"
    assert {pid for pid, _ in there.applied} == {101}
    lab.remove([2])
    assert (here.applied, there.applied) == ({}, {})


def test_a_process_number_of_another_machine_is_another_process():
    here, there, lab = over_two_machines()
    here.applied = {(101, 1): "media-dropped"}
    there.applied = {(100, 2): "media-dropped"}
    assert lab.lapsed() == {2: "media-dropped"}, "process 100 runs on the first machine, not on the second"
    lab.remove([2])
    assert there.applied == {}
    assert here.applied == {(101, 1): "media-dropped"}
    assert here.removed == {(100, 2)}, "the server's end of client 2"
    assert there.removed == {(100, 2), (101, 2)}
