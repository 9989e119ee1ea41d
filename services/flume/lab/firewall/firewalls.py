"""Applies firewall scenarios in the namespaces of a running lab, reads their counters, and removes them.

Each action is one call of the program ``firewall`` in the probe (``services/probe``). That program remembers what is
applied, so that another process finds it. The memory ends with the lab::

    firewalls.apply(find(folder, "media-dropped"), [3])
    firewalls.proofs()[0].acted
    firewalls.remove()
"""

import re
from collections.abc import Mapping, Sequence
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


class AppliedRuleSet(NamedTuple):
    """One rule set that is applied in the namespace of *pid* for client *number*; *lines* has its rules and counts."""

    pid: int
    number: int
    scenario: str
    lines: str


class Firewalls:
    """The firewalls of one lab."""

    def __init__(self, probe: Probe, targets: Sequence[Target], *, port: int = DEFAULT_PORT) -> None:
        """Use *probe* in the namespaces of *targets*: the server and the clients, which stream over *port*."""
        self.probe = probe
        self._hosts = {target.number: target for target in targets}
        self._port = port

    @property
    def clients(self) -> tuple[int, ...]:
        """The numbers of the clients there are."""
        return tuple(sorted(number for number in self._hosts if number != SERVER_WIDE))

    def apply(self, scenario: Scenario, numbers: Sequence[int]) -> None:
        """Apply *scenario* for clients, or for the server (:data:`SERVER_WIDE`), in place of the one that is there.

        Raises :class:`SettingsError` for a host that does not exist or that the scenario is not for, and
        :class:`~flume.errors.EngineError` with the kernel's reason.
        """
        arguments: list[str] = []
        for number in numbers:
            host = self._host(number)
            if number == SERVER_WIDE and "server" not in scenario.scopes:
                raise SettingsError("firewall", scenario.name, "a scenario for the server: this one is for clients")
            address = None if number == SERVER_WIDE else host.address
            for rule_set in rule_sets(scenario, number=number, address=address, port=self._port):
                pid = self._pid(number, rule_set.side)
                arguments += _arguments(pid, number, scenario.name, rule_set)
        if arguments:
            # The one before may have had rules at both ends of the path, and this one at one end.
            self.remove(numbers)
            result = self.probe.container.exec(["firewall", "apply", *arguments])
            if result.code:
                self.remove(numbers)  # a part of a firewall proves nothing
                words = " ".join(result.stderr.split())[:300]
                raise EngineError(f"firewall {scenario.name!r} was not applied, as its rules were refused: {words}")

    def remove(self, numbers: Sequence[int] | None = None) -> None:
        """Remove the firewalls of *numbers*, or all: rules, chains, routes and timeouts are as before."""
        self._forget_ended((SERVER_WIDE, *self.clients) if numbers is None else numbers)
        wanted = (SERVER_WIDE, *self.clients) if numbers is None else tuple(numbers)
        pairs = {(self._pid(number, side), number) for number in wanted for side in ("client", "server")}
        arguments = [str(value) for pair in sorted(pairs) for value in pair]
        if arguments:
            self.probe.container.run_checked(["firewall", "remove", *arguments])

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
        pids = {target.pid for target in self._hosts.values()}
        listed = self._listed(["firewall", "list"])
        return {one.number: one.scenario for one in listed if one.pid not in pids and one.number in self._hosts}

    def restore(self, scenarios: Mapping[int, Scenario]) -> None:
        """Apply the scenario of each host again, in place of what is left of it."""
        for number, scenario in scenarios.items():
            self.apply(scenario, [number])

    def _forget_ended(self, numbers: Sequence[int]) -> None:
        """Forget rules of *numbers* that have ended with their containers."""
        pids = {target.pid for target in self._hosts.values()}
        ended = [one for one in self._listed(["firewall", "list"]) if one.pid not in pids and one.number in numbers]
        arguments = [str(value) for one in ended for value in (one.pid, one.number)]
        if arguments:
            self.probe.container.run_checked(["firewall", "remove", *arguments])

    def _applied_rule_sets(self) -> list[AppliedRuleSet]:
        pids = [str(target.pid) for target in self._hosts.values()]
        return self._listed(["firewall", "show", *pids])

    def _listed(self, command: Sequence[str]) -> list[AppliedRuleSet]:
        pieces = _HEAD.split(self.probe.container.run_checked(command))
        heads = zip(pieces[1::4], pieces[2::4], pieces[3::4], pieces[4::4], strict=True)
        return [AppliedRuleSet(int(pid), int(number), scenario, lines) for pid, number, scenario, lines in heads]

    def _host(self, number: int) -> Target:
        if number not in self._hosts:
            known = ", ".join(map(str, self.clients))
            known = f"one of {known}" if known else "the number of a client, and none runs"
            raise SettingsError("client", number, known)
        return self._hosts[number]

    def _pid(self, number: int, side: Side) -> int:
        """Return the process in whose namespace the rules at *side* of client *number* are."""
        return self._host(SERVER_WIDE if side == "server" else number).pid


def _arguments(pid: int, number: int, scenario: str, rule_set: RuleSet) -> list[str]:
    """Return one group of arguments of ``firewall apply``."""
    forget = "" if rule_set.forget_port is None else str(rule_set.forget_port)
    state = "" if rule_set.udp_state_s is None else str(rule_set.udp_state_s)
    return [str(pid), str(number), scenario, rule_set.rules, forget, state, rule_set.route]
