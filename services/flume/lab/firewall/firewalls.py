"""Applies firewall scenarios in the namespaces of a running lab, reads their counters, and removes them.

Each action is one call of the program ``firewall`` in the probe (``services/probe``). That program remembers what is
applied, so that another process finds it. The memory ends with the lab::

    firewalls.apply(find(folder, "media-dropped"), [3])
    firewalls.proofs()[0].acted
    firewalls.remove()
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from flume.errors import EngineError, SettingsError
from flume.lab.containers.probe import Probe
from flume.lab.firewall.rules import SERVER_WIDE, Proof, RuleSet, Side, counts, rule_sets
from flume.lab.firewall.scenario import Scenario
from flume.settings import DEFAULT_PORT

_HEAD = re.compile(r"^=== flumelab (\d+) (\d+) (\S+)$\n?", re.MULTILINE)


class Target(NamedTuple):
    """A host of the lab: *number* counts clients from 1 and is 0 for the server; *pid* is its first process."""

    number: int
    pid: int
    address: str
    engine_host: str = ""
    """The machine whose process *pid* is; empty where there is one."""
    server: tuple[str, int] | None = None
    """The process of the relay that it watches, with its machine; None: it watches the server itself."""

    @property
    def process(self) -> tuple[str, int]:
        """Its first process; a number alone means one on each machine."""
        return self.engine_host, self.pid


class AppliedRuleSet(NamedTuple):
    """One rule set that is applied in the namespace of *process* for client *number*.

    *lines* has its rules and counts.
    """

    process: tuple[str, int]
    number: int
    scenario: str
    lines: str


class Firewalls:
    """The firewalls of one lab."""

    def __init__(self, probes: Mapping[str, Probe], targets: Sequence[Target], *, port: int = DEFAULT_PORT) -> None:
        """Use the probe of each machine for *targets*: the server and the clients, which stream over *port*."""
        self._probes = dict(probes)
        self._hosts = {target.number: target for target in targets}
        self._port = port

    @property
    def probe(self) -> Probe:
        """The probe of the server's machine."""
        return self._probes[self._host(SERVER_WIDE).engine_host]

    @property
    def machines(self) -> dict[int, str]:
        """The machine of the server (:data:`SERVER_WIDE`) and of each client; empty texts where there is one."""
        return {number: target.engine_host for number, target in self._hosts.items()}

    @property
    def clients(self) -> tuple[int, ...]:
        """The numbers of the clients there are."""
        return tuple(sorted(number for number in self._hosts if number != SERVER_WIDE))

    def apply(self, scenario: Scenario, numbers: Sequence[int]) -> None:
        """Apply *scenario* for clients, or for the server (:data:`SERVER_WIDE`), in place of the one that is there.

        Raises :class:`SettingsError` for a host that does not exist or that the scenario is not for, and
        :class:`~flume.errors.EngineError` with the kernel's reason.
        """
        arguments: dict[str, list[str]] = {}
        for number in numbers:
            host = self._host(number)
            if number == SERVER_WIDE and "server" not in scenario.scopes:
                raise SettingsError("firewall", scenario.name, "a scenario for the server: this one is for clients")
            address = None if number == SERVER_WIDE else host.address
            for rule_set in rule_sets(scenario, number=number, address=address, port=self._port):
                machine, pid = self._process(number, rule_set.side)
                arguments.setdefault(machine, []).extend(_arguments(pid, number, scenario.name, rule_set))
        if arguments:
            # The one before may have had rules at both ends of the path, and this one at one end.
            self.remove(numbers)
        for machine, words in arguments.items():
            result = self._probes[machine].container.exec(["firewall", "apply", *words])
            if result.code:
                self.remove(numbers)  # a part of a firewall proves nothing
                reason = " ".join(result.stderr.split())[:300]
                raise EngineError(f"firewall {scenario.name!r} was not applied, as its rules were refused: {reason}")

    def remove(self, numbers: Sequence[int] | None = None) -> None:
        """Remove the firewalls of *numbers*, or all: rules, chains, routes and timeouts are as before."""
        self._forget_ended((SERVER_WIDE, *self.clients) if numbers is None else numbers)
        wanted = (SERVER_WIDE, *self.clients) if numbers is None else tuple(numbers)
        self._remove({(self._process(number, side), number) for number in wanted for side in ("client", "server")})

    def _remove(self, pairs: Collection[tuple[tuple[str, int], int]]) -> None:
        """Remove the rule sets of *pairs* of a process and the number of a client."""
        for machine, probe in self._probes.items():
            here = [(pid, number) for (where, pid), number in sorted(pairs) if where == machine]
            if here:
                words = [str(value) for pair in here for value in pair]
                probe.container.run_checked(["firewall", "remove", *words])

    def applied(self) -> Mapping[int, str]:
        """Return the name of the scenario of each client that has one; under 0 the server's."""
        return {rule_set.number: rule_set.scenario for rule_set in self._applied_rule_sets()}

    def proofs(self) -> list[Proof]:
        """Return what the counters say of each scenario that is applied, by client number."""
        found: dict[int, list[AppliedRuleSet]] = {}
        for rule_set in self._applied_rule_sets():
            found.setdefault(rule_set.number, []).append(rule_set)
        return [
            Proof(number, both[0].scenario, tuple(counts("\n".join(one.lines for one in both), number)))
            for number, both in sorted(found.items())
        ]

    def lapsed(self) -> Mapping[int, str]:
        """Return the scenario of each host that no longer has all of its rules: a container was started again."""
        processes = self._processes
        listed = self._listed(["firewall", "list"])
        return {
            one.number: one.scenario for one in listed if one.process not in processes and one.number in self._hosts
        }

    def restore(self, scenarios: Mapping[int, Scenario]) -> None:
        """Apply the scenario of each host again, in place of what is left of it."""
        for number, scenario in scenarios.items():
            self.apply(scenario, [number])

    def _forget_ended(self, numbers: Sequence[int]) -> None:
        """Forget rules of *numbers* that have ended with their containers."""
        processes = self._processes
        ended = [one for one in self._listed(["firewall", "list"]) if one.process not in processes]
        self._remove({(one.process, one.number) for one in ended if one.number in numbers})

    def _applied_rule_sets(self) -> list[AppliedRuleSet]:
        found = []
        for machine in self._probes:
            here = [str(pid) for where, pid in sorted(self._processes) if where == machine]
            found += self._listed(["firewall", "show", *here], machine) if here else []
        return found

    @property
    def _processes(self) -> set[tuple[str, int]]:
        """The processes in whose namespaces rules may be: of the server, the clients, and the relays."""
        targets = self._hosts.values()
        return {one.process for one in targets} | {one.server for one in targets if one.server is not None}

    def _listed(self, command: Sequence[str], machine: str | None = None) -> list[AppliedRuleSet]:
        """Return what the probe of *machine* (None: of each) lists."""
        found = []
        for where in self._probes if machine is None else (machine,):
            pieces = _HEAD.split(self._probes[where].container.run_checked(command))
            heads = zip(pieces[1::4], pieces[2::4], pieces[3::4], pieces[4::4], strict=True)
            found += [AppliedRuleSet((where, int(pid)), int(number), name, text) for pid, number, name, text in heads]
        return found

    def _host(self, number: int) -> Target:
        if number not in self._hosts:
            known = ", ".join(map(str, self.clients))
            known = f"one of {known}" if known else "the number of a client, and none runs"
            raise SettingsError("client", number, known)
        return self._hosts[number]

    def _process(self, number: int, side: Side) -> tuple[str, int]:
        """Return the process in whose namespace the rules at *side* of client *number* are."""
        client = self._host(number)
        if side == "server":
            return client.server or self._host(SERVER_WIDE).process
        return client.process


def _arguments(pid: int, number: int, scenario: str, rule_set: RuleSet) -> list[str]:
    """Return one group of arguments of ``firewall apply``."""
    forget = "" if rule_set.forget_port is None else str(rule_set.forget_port)
    state = "" if rule_set.udp_state_s is None else str(rule_set.udp_state_s)
    return [str(pid), str(number), scenario, rule_set.rules, forget, state, rule_set.route]
