"""From a scenario to the input of iptables, and from its counters to the proof. Pure: values and text."""

import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from flume.lab.firewall.scenario import Rule, Scenario

Side = Literal["client", "server"]

SERVER_WIDE = 0
"""The number in the chains of a scenario that is applied at the server for all clients; clients count from 1."""

_HOOKS = {"IN": ("filter", "INPUT"), "OUT": ("filter", "OUTPUT"), "NAT": ("nat", "POSTROUTING")}
_COUNTED = re.compile(r'^\[(\d+):\d+\] -A FLUME-\w+-(\d+) .*--comment "flumelab (\w+) ([a-z -]+)"', re.MULTILINE)


class RuleSet(NamedTuple):
    """What is applied in one namespace for one client, or for all clients."""

    side: Side
    rules: str
    """Input of ``iptables-restore --noflush``."""
    forget_port: int | None = None
    """Connection tracking drops the UDP flows of this port once the rules are there."""
    udp_state_s: int | None = None
    """After how many idle seconds connection tracking forgets a UDP flow."""
    route: str = ""
    """``ADDRESS BYTES``: the path MTU to that host."""


class Count(NamedTuple):
    """How many packets the rules of one purpose have matched."""

    kind: str
    """blocked, changed, open or also."""
    name: str
    packets: int

    @property
    def is_proof(self) -> bool:
        """Whether it proves its purpose: ``also`` needs no packet, the other kinds need one."""
        return self.packets > 0 or self.kind == "also"


class Proof(NamedTuple):
    """What the counters say about the scenario of client *number*."""

    number: int
    scenario: str
    counts: tuple[Count, ...]

    @property
    def acted(self) -> bool:
        """Whether every purpose that blocks or changes has met packets.

        Where the server's questions to a media port were blocked, no media come that could be.
        """
        asked = self.packets("also questions") > 0
        acting = (count for count in self.counts if count.kind in {"blocked", "changed"})
        return all(count.is_proof or (asked and count.name == "media") for count in acting)

    @property
    def stayed_open(self) -> bool:
        """Whether every purpose that leaves open has let packets pass."""
        return all(count.is_proof for count in self.counts if count.kind == "open")

    def packets(self, does: str) -> int:
        """Return the count of *does*, such as ``blocked media``."""
        return sum(count.packets for count in self.counts if f"{count.kind} {count.name}" == does)


def rule_sets(scenario: Scenario, *, number: int, address: str | None, port: int) -> list[RuleSet]:
    """Return the rule sets of *scenario* for client *number* with *address*; ``None`` for :data:`SERVER_WIDE`."""
    sides: dict[Side, list[Rule]] = defaultdict(list)
    for rule in scenario.rule:
        sides["server" if address is None else rule.host].append(rule)
    if scenario.path_mtu_bytes is not None:
        sides.setdefault("server", [])
    found = []
    for side, rules in sides.items():
        text = _restore(rules, side, number, address if side == "server" else None, port)
        if side == "client":
            forget = port if scenario.forget_flows else None
            found.append(RuleSet(side, text, forget_port=forget, udp_state_s=scenario.udp_state_s))
        else:
            mtu = scenario.path_mtu_bytes
            found.append(RuleSet(side, text, route="" if mtu is None else f"{address} {mtu}"))
    return found


def _hook(rule: Rule, side: Side) -> str:
    if rule.target.startswith("MASQUERADE"):
        return "NAT"
    return "OUT" if (rule.packets == "to-server") == (side == "client") else "IN"


def _restore(rules: Iterable[Rule], side: Side, number: int, address: str | None, port: int) -> str:
    """Return the input of iptables-restore: chains of our own, and a jump to each before all other rules."""
    chains: dict[str, list[str]] = defaultdict(list)
    for rule in rules:
        chains[_hook(rule, side)].append(_line(rule, _hook(rule, side), number, address, port))
    tables: dict[str, list[str]] = defaultdict(list)
    for chain in chains:
        tables[_HOOKS[chain][0]].append(chain)
    lines = []
    for table, names in tables.items():
        lines.append(f"*{table}")
        lines += [f":FLUME-{name}-{number} - [0:0]" for name in names]
        lines += [line for name in names for line in chains[name]]
        lines += [f"-I {_HOOKS[name][1]} 1 -j FLUME-{name}-{number}" for name in names]
        lines.append("COMMIT")
    return "".join(f"{line}\n" for line in lines)


def _line(rule: Rule, chain: str, number: int, address: str | None, port: int) -> str:
    words = ["-A", f"FLUME-{chain}-{number}"]
    if address is not None:
        words += ["-s" if rule.packets == "to-server" else "-d", address]
    words += shlex.split(rule.matches.replace("{port}", str(port)))
    words += ["-m", "comment", "--comment", f"flumelab {rule.does}"]
    if rule.target:
        words += ["-j", *shlex.split(rule.target)]
    return " ".join(f'"{word}"' if " " in word else word for word in words)


def counts(saved: str, number: int) -> Iterator[Count]:
    """Yield the counts of the rules of client *number*, added up by purpose, from lines of ``iptables-save -c``."""
    totals: dict[tuple[str, str], int] = {}
    for packets, owner, kind, name in _COUNTED.findall(saved):
        if int(owner) == number:
            totals[kind, name] = totals.get((kind, name), 0) + int(packets)
    for (kind, name), total in totals.items():
        yield Count(kind, name, total)
