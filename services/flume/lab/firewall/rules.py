"""From a scenario to what iptables is told, and from what it counted to the proof. Pure: values and text."""

import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from flume.lab.firewall.scenario import Rule, Scenario

Side = Literal["client", "server"]

SERVER_WIDE = 0
"""The number in the chains of a scenario that stands at the server for whoever comes; clients count from 1."""

_HOOKS = {"IN": ("filter", "INPUT"), "OUT": ("filter", "OUTPUT"), "NAT": ("nat", "POSTROUTING")}
_COUNTED = re.compile(r'^\[(\d+):\d+\] -A FLUME-\w+-(\d+) .*--comment "flumelab (\w+) ([a-z -]+)"', re.MULTILINE)


class Wall(NamedTuple):
    """What stands in one namespace because of one client, or of all."""

    side: Side
    rules: str
    """Input of ``iptables-restore --noflush``."""
    forget_port: int | None = None
    udp_state_s: int | None = None
    route: str = ""
    """``ADDRESS BYTES``: the MTU on the way to that host."""


class Count(NamedTuple):
    """How many packets the rules of one purpose have met."""

    kind: str
    """blocked, changed, open or also."""
    name: str
    packets: int

    @property
    def is_proof(self) -> bool:
        """Whether it says what it has to: ``also`` need not meet anything."""
        return self.packets > 0 or self.kind == "also"


class Proof(NamedTuple):
    """What the counters say about the scenario at client *number*."""

    number: int
    scenario: str
    counts: tuple[Count, ...]

    @property
    def acted(self) -> bool:
        """Whether all that is to be blocked or changed has been."""
        return all(count.is_proof for count in self.counts if count.kind in {"blocked", "changed"})

    @property
    def stayed_open(self) -> bool:
        """Whether something has passed wherever it was to pass."""
        return all(count.is_proof for count in self.counts if count.kind == "open")

    def packets(self, does: str) -> int:
        """Return the count of *does*, such as ``blocked media``."""
        return sum(count.packets for count in self.counts if f"{count.kind} {count.name}" == does)


def walls(scenario: Scenario, *, number: int, address: str | None, port: int) -> list[Wall]:
    """Return what *scenario* puts up for client *number* with *address*; for :data:`SERVER_WIDE` there is none."""
    sides: dict[Side, list[Rule]] = defaultdict(list)
    for rule in scenario.rule:
        sides["server" if address is None else rule.stands].append(rule)
    if scenario.path_mtu_bytes is not None:
        sides.setdefault("server", [])
    found = []
    for side, rules in sides.items():
        text = _restore(rules, side, number, address if side == "server" else None, port)
        if side == "client":
            forget = port if scenario.forget_flows else None
            found.append(Wall(side, text, forget_port=forget, udp_state_s=scenario.udp_state_s))
        else:
            mtu = scenario.path_mtu_bytes
            found.append(Wall(side, text, route="" if mtu is None else f"{address} {mtu}"))
    return found


def _hook(rule: Rule, side: Side) -> str:
    if rule.target.startswith("MASQUERADE"):
        return "NAT"
    return "OUT" if (rule.packets == "to-server") == (side == "client") else "IN"


def _restore(rules: Iterable[Rule], side: Side, number: int, address: str | None, port: int) -> str:
    """Return the input of iptables-restore: chains of our own, and one jump to each, before all other rules."""
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
    """Yield what the rules of client *number* have counted, added up by purpose, from lines of ``iptables-save -c``."""
    totals: dict[tuple[str, str], int] = {}
    for packets, owner, kind, name in _COUNTED.findall(saved):
        if int(owner) == number:
            totals[kind, name] = totals.get((kind, name), 0) + int(packets)
    for (kind, name), total in totals.items():
        yield Count(kind, name, total)
