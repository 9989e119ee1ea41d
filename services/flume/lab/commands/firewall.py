"""``flume lab firewall``: list the scenarios, put one up in a running lab, show what its counters prove."""

import textwrap
from collections.abc import Sequence
from typing import Literal

import click

from flume.errors import LabError, SettingsError
from flume.lab import checkout
from flume.lab.commands.common import lab_option
from flume.lab.containers import topology
from flume.lab.containers.engine import Engine
from flume.lab.containers.probe import Probe
from flume.lab.engines import locate
from flume.lab.firewall.firewalls import Target, Walls
from flume.lab.firewall.rules import SERVER_WIDE, Proof
from flume.lab.firewall.scenario import OPEN, Scenario, find, find_all

COLUMNS = 100


@click.command()
@click.argument("scenario", required=False)
@click.option("--client", "clients", type=int, multiple=True, metavar="N", help="Only client N; may be repeated.")
@click.option("--all", "scope", flag_value="all", help="Every client.")
@click.option("--server", "scope", flag_value="server", help="At the server, for whoever comes.")
@click.option("--list", "as_list", is_flag=True, help="List the scenarios.")
@lab_option
def firewall(
    *, scenario: str | None, clients: tuple[int, ...], scope: Literal["all", "server"] | None, as_list: bool, lab: str
) -> None:
    """Put up the firewall SCENARIO in a running lab, or take all down (open); without one list them.

    SCENARIO is a name from the list or the path of a .toml file of your own. Putting up the one that stands already
    begins it anew. It prints symptom, diagnosis and cure, and what its counters have proved so far.

    \b
      flume lab firewall media-dropped --client 3
      flume lab firewall proof
      flume lab firewall open
    """
    if scenario is None or as_list:
        _print_list()
        return
    if clients and scope:
        raise SettingsError("client", clients[0], "alone: --client, --all and --server exclude one another")
    with locate.engine_with(topology.check_lab_name(lab)) as engine:
        walls = open_walls(engine, lab)
        if scenario == OPEN:
            walls.open(_numbers(walls, "all" if scope is None else scope, clients) if clients or scope else None)
            click.echo("open: no firewall scenario stands" + (" there any more" if clients or scope else " any more"))
        elif scenario != "proof":
            wanted = find(checkout.firewalls(), scenario)
            if scope and scope not in wanted.scopes:
                raise SettingsError(
                    "firewall", wanted.name, f"a scenario for {scope}: it is for {', '.join(wanted.scopes)}"
                )
            numbers = _numbers(walls, scope or wanted.scope, clients)
            walls.apply(wanted, numbers)
            click.echo(_told(wanted, numbers))
        proofs = walls.proof()
    for proof in proofs:
        click.echo(line_of(proof))
    if scenario == "proof" and not proofs:
        click.echo("no firewall scenario stands")


def open_walls(engine: Engine, lab: str) -> Walls:
    """Return the firewalls of the running *lab*; raises :class:`LabError` when it does not run."""
    hosts = {container.role: container for container in engine.find(lab=lab) if container.role != "client"}
    if "probe" not in hosts or "server" not in hosts:
        raise LabError(f"no lab {lab!r} is running: start one with make lab")
    targets = [Target(SERVER_WIDE, hosts["server"].pid, hosts["server"].address)]
    targets += [Target(one.index or 0, one.pid, one.address) for one in engine.find(lab=lab, role="client")]
    return Walls(Probe(hosts["probe"]), targets)


def _numbers(walls: Walls, scope: str, clients: Sequence[int]) -> tuple[int, ...]:
    """Return whom a scenario concerns; where one client is meant and none is named, it is the first."""
    if clients:
        return tuple(clients)
    return {"server": (SERVER_WIDE,), "all": walls.clients}.get(scope, walls.clients[:1])


def _print_list() -> None:
    click.echo("Firewall scenarios: flume lab firewall SCENARIO [--client N | --all | --server]")
    for scenario in find_all(checkout.firewalls()):
        click.echo(f"  {scenario.name:<20} {scenario.summary}")
    click.echo(f"  {OPEN:<20} No firewall: takes away what stands")
    click.echo(f"  {'proof':<20} Changes nothing: shows what the counters of those that stand have proved")


def _told(scenario: Scenario, numbers: Sequence[int]) -> str:
    """Return what a person is told of *scenario*."""
    parts = [f"{scenario.name} at {who(numbers)}: {scenario.summary}."]
    for label, text in (("symptom", scenario.symptom), ("diagnosis", scenario.diagnosis), ("cure", scenario.cure)):
        parts.append(textwrap.fill(text.strip(), COLUMNS, initial_indent=f"{label:<10} ", subsequent_indent=" " * 11))
    finds = ", ".join(f"{leg}={finding}" for leg, finding in scenario.doctor.items()) or "every leg well"
    parts.append(f"{'doctor':<10} `flume doctor server` on that host finds: {finds}")
    return "\n".join(parts)


def who(numbers: Sequence[int]) -> str:
    """Return whom *numbers* name."""
    if list(numbers) == [SERVER_WIDE]:
        return "the server"
    return ("client " if len(numbers) == 1 else "clients ") + ", ".join(map(str, numbers))


def line_of(proof: Proof) -> str:
    """Return one line about what the counters say."""
    counted = ", ".join(f"{count.kind} {count.name} {count.packets}" for count in proof.counts)
    acted = "has acted" if proof.acted else "has not acted yet"
    stayed = "what is to stay open does" if proof.stayed_open else "nothing has yet shown that the rest stays open"
    return f"proof      {who([proof.number])}, {proof.scenario}: {acted}, {stayed} ({counted})"
