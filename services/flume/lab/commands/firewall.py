"""``flume lab firewall``: list the scenarios, apply one in a running lab, show what its counters prove."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import click

from flume.errors import SettingsError
from flume.lab import checkout
from flume.lab.commands.common import hosts_option, lab_option, say
from flume.lab.commands.running import find_client, reached, running_firewalls
from flume.lab.containers import topology
from flume.lab.firewall.firewalls import Firewalls
from flume.lab.firewall.rules import SERVER_WIDE, Proof
from flume.lab.firewall.scenario import OPEN, Scenario, find, find_all

COLUMNS = 100


@click.command()
@click.argument("scenario", required=False)
@click.option("--client", "clients", type=int, multiple=True, metavar="N", help="Only client N; may be repeated.")
@click.option("--all", "scope", flag_value="all", help="Every client.")
@click.option("--server", "scope", flag_value="server", help="At the server, for all clients.")
@click.option("--list", "as_list", is_flag=True, help="List the scenarios.")
@lab_option
@hosts_option
def firewall(
    *,
    scenario: str | None,
    clients: tuple[int, ...],
    scope: Literal["all", "server"] | None,
    as_list: bool,
    lab: str,
    hosts_path: Path | None,
) -> None:
    """Apply the firewall SCENARIO in a running lab, or remove all (open); without SCENARIO list them.

    SCENARIO is a name from the list or the path of a .toml file of your own. Applying a scenario again begins it anew.
    It prints symptom, diagnosis and fix, and what its counters have proved so far.

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
    with reached(topology.check_lab_name(lab), hosts_path) as site:
        firewalls = running_firewalls(site, lab)
        for number in clients:
            find_client(site, lab, number, steered=False)
        if scenario == OPEN:
            some = bool(clients or scope)
            firewalls.remove(_numbers(firewalls, scope or "all", clients) if some else None)
            click.echo("open: no firewall scenario is applied" + (" there any more" if some else " any more"))
        elif scenario != "proof":
            wanted = find(checkout.firewalls(), scenario)
            for old, new in wanted.renamed_keys.items():
                say(f"{wanted.name}.toml: the key {old} is called {new} now; the old name is read for one more release")
            if scope and scope not in wanted.scopes:
                raise SettingsError(
                    "firewall", wanted.name, f"a scenario for {scope}: it is for {', '.join(wanted.scopes)}"
                )
            numbers = _numbers(firewalls, scope or wanted.scope, clients)
            firewalls.apply(wanted, numbers)
            click.echo(_description(wanted, numbers, firewalls.machines))
        proofs = firewalls.proofs()
    for proof in proofs:
        click.echo(line_of(proof, firewalls.machines))
    if scenario == "proof" and not proofs:
        click.echo("no firewall scenario is applied")


def _numbers(firewalls: Firewalls, scope: str, clients: Sequence[int]) -> tuple[int, ...]:
    """Return the numbers that a scenario is for; the scope of one client, none being named, means the first."""
    if clients:
        return tuple(clients)
    return {"server": (SERVER_WIDE,), "all": firewalls.clients}.get(scope, firewalls.clients[:1])


def _print_list() -> None:
    click.echo("Firewall scenarios: flume lab firewall SCENARIO [--client N | --all | --server]")
    for scenario in find_all(checkout.firewalls()):
        click.echo(f"  {scenario.name:<20} {scenario.summary}")
    click.echo(f"  {OPEN:<20} No firewall: removes the scenarios that are applied")
    click.echo(f"  {'proof':<20} Changes nothing: shows what the counters of the applied scenarios have proved")


def _description(scenario: Scenario, numbers: Sequence[int], machines: Mapping[int, str]) -> str:
    """Return the texts of *scenario* for a person, and that it is applied to *numbers*."""
    parts = [f"{scenario.name} at {hosts_text(numbers, machines)}: {scenario.summary}."]
    for label, text in (("symptom", scenario.symptom), ("diagnosis", scenario.diagnosis), ("fix", scenario.remedy)):
        parts.append(textwrap.fill(text.strip(), COLUMNS, initial_indent=f"{label:<10} ", subsequent_indent=" " * 11))
    finds = ", ".join(f"{leg}={finding}" for leg, finding in scenario.doctor.items()) or "every leg well"
    parts.append(f"{'doctor':<10} `flume doctor server` on that host finds: {finds}")
    return "\n".join(parts)


def hosts_text(numbers: Sequence[int], machines: Mapping[int, str]) -> str:
    """Return *numbers* in words, with the machine of each where the lab has several.

    >>> hosts_text([1, 3], {}), hosts_text([1, 3], {1: "h1", 3: "h2"}), hosts_text([0], {0: "h1"})
    ('clients 1, 3', 'clients 1 on h1, 3 on h2', 'the server on h1')
    """
    on = {number: f" on {machines[number]}" if machines.get(number) else "" for number in numbers}
    if list(numbers) == [SERVER_WIDE]:
        return f"the server{on[SERVER_WIDE]}"
    named = (f"{number}{on[number]}" for number in numbers)
    return ("client " if len(numbers) == 1 else "clients ") + ", ".join(named)


def line_of(proof: Proof, machines: Mapping[int, str]) -> str:
    """Return one line about the counters of a scenario."""
    counted = ", ".join(f"{count.kind} {count.name} {count.packets}" for count in proof.counts)
    acted = "has acted" if proof.acted else "has not acted yet"
    stayed = "what must stay open does" if proof.stayed_open else "nothing has yet shown that the rest stays open"
    return f"proof      {hosts_text([proof.number], machines)}, {proof.scenario}: {acted}, {stayed} ({counted})"
