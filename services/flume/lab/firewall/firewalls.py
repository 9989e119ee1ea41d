"""Puts firewall scenarios up in the namespaces of a running lab, reads their counters, takes them down.

Everything is one call of the program ``firewall`` in the probe. What stands is kept there too, so that another process
sees it, and it ends with the lab.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from flume.errors import EngineError, SettingsError
from flume.lab.containers.probe import Probe
from flume.lab.firewall.rules import SERVER_WIDE, Proof, Side, counts, walls
from flume.lab.firewall.scenario import Scenario
from flume.settings import DEFAULT_PORT

_HEAD = re.compile(r"^=== flumelab (\d+) (\d+) (\S+)$\n?", re.MULTILINE)


class Target(NamedTuple):
    """A host of the lab: *number* counts clients from 1 and is 0 for the server; *pid* is its first process."""

    number: int
    pid: int
    address: str


class Standing(NamedTuple):
    """One wall that stands: in the namespace of *pid*, because of *number*."""

    pid: int
    number: int
    scenario: str
    lines: str


class Walls:
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
        """Put *scenario* up for clients, or for the server (:data:`SERVER_WIDE`), in place of what stands there.

        Raises :class:`SettingsError` for a host that is not there or that the scenario cannot be applied to, and
        :class:`~flume.errors.EngineError` with the kernel's reason.
        """
        arguments: list[str] = []
        for number in numbers:
            host = self._host(number)
            if number == SERVER_WIDE and "server" not in scenario.scopes:
                raise SettingsError("firewall", scenario.name, "a scenario for the server: this one is for clients")
            address = None if number == SERVER_WIDE else host.address
            for wall in walls(scenario, number=number, address=address, port=self._port):
                forget = "" if wall.forget_port is None else str(wall.forget_port)
                state = "" if wall.udp_state_s is None else str(wall.udp_state_s)
                pid = str(self._pid(number, wall.side))
                arguments += [pid, str(number), scenario.name, wall.rules, forget, state, wall.route]
        if arguments:
            # What stood there before may have stood at both ends of the way.
            self.open(numbers)
            result = self.probe.container.exec(["firewall", "apply", *arguments])
            if result.code:
                self.open(numbers)  # half a firewall is none
                words = " ".join(result.stderr.split())[:300]
                raise EngineError(f"firewall {scenario.name!r} was not put up, as its rules were refused: {words}")

    def open(self, numbers: Sequence[int] | None = None) -> None:
        """Take down what stands for *numbers*, or everything; nothing of ours stays behind."""
        wanted = (SERVER_WIDE, *self.clients) if numbers is None else tuple(numbers)
        pairs = {(self._pid(number, side), number) for number in wanted for side in ("client", "server")}
        arguments = [str(value) for pair in sorted(pairs) for value in pair]
        if arguments:
            self.probe.container.run_checked(["firewall", "remove", *arguments])

    def present(self) -> Mapping[int, str]:
        """Return the scenario of each client that has one; under 0 the server's."""
        return {wall.number: wall.scenario for wall in self._standing()}

    def proof(self) -> list[Proof]:
        """Return what the counters say of each scenario that stands."""
        found: dict[int, list[Standing]] = {}
        for wall in self._standing():
            found.setdefault(wall.number, []).append(wall)
        return [
            Proof(number, parts[0].scenario, tuple(counts("\n".join(part.lines for part in parts), number)))
            for number, parts in sorted(found.items())
        ]

    def _standing(self) -> list[Standing]:
        pids = [str(target.pid) for target in self._hosts.values()]
        pieces = _HEAD.split(self.probe.container.run_checked(["firewall", "show", *pids]))
        heads = zip(pieces[1::4], pieces[2::4], pieces[3::4], pieces[4::4], strict=True)
        return [Standing(int(pid), int(number), scenario, lines) for pid, number, scenario, lines in heads]

    def _host(self, number: int) -> Target:
        if number not in self._hosts:
            known = f"1 to {len(self.clients)}" if self.clients else "the number of a client, and the lab has none"
            raise SettingsError("client", number, known)
        return self._hosts[number]

    def _pid(self, number: int, side: Side) -> int:
        """Return the process in whose namespace the *side* of client *number* stands."""
        return self._host(SERVER_WIDE if side == "server" else number).pid
