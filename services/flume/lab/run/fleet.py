"""One running lab: a network, a server, clients, a probe and perhaps a wire, started together and steered from here."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from flume.control.session import Command, State
from flume.errors import LabError
from flume.lab.containers.engine import Container, Network
from flume.lab.containers.probe import Probe
from flume.lab.evidence.claims import ReportedStatistics, parse_record_untrusted, parse_statistics_untrusted
from flume.lab.evidence.facts import PlayerRecord
from flume.lab.hosts.watch import HostLostError
from flume.lab.machine.process import wait_until
from flume.lab.run.event_log import EventLog
from flume.lab.run.programs import OURS, Program, word

READY_TIMEOUT_S = 60.0
"""Until the server listens and each client has sent statistics: 3 s on an idle computer."""

RETURN_S = 30.0
"""For clients to come back after a restart of the server: they try at once, then at growing intervals up to 10 s."""

SERVER_TAP = "server"
"""The name of the server's tap; those of relays and clients have their names."""

QUIET_S = 0.9
"""A client is quiet when its counts have not changed for this long. Statistics come once a second and with every
command; a buffer that still drains displays frames at shorter intervals."""

CAUSE_S = 1.0
"""The engine reports the end of a container some 0.2 s after its processes and interfaces have gone."""

_KILLED_STATUS = 128 + 9


class Member(NamedTuple):
    """One container of the fleet, with the log of its events."""

    container: Container
    events: EventLog

    def has_ended(self) -> bool:
        """Whether its program has ended."""
        io = self.container.io
        return io is not None and io.ended

    def check_running(self) -> None:
        """Raise :class:`LabError` with its last output if its program has ended."""
        if self.has_ended():
            status = self.container.state().exit_code
            how = f"status {status}" + (", killed" if status == _KILLED_STATUS else "")
            output = self.events.last_output()
            raise LabError(f"{self.events.name} ended during the run ({how}); its last output: {output}")

    def wait_for_event(self, what: str, kind: str, *, timeout_s: float = READY_TIMEOUT_S) -> Mapping[str, Any]:
        """Return the first event of *kind*; raises :class:`LabError` that the container did not *what*."""
        self.events.wait_until(
            what, lambda events: events.latest(kind) is not None, timeout_s=timeout_s, ended=self.has_ended
        )
        return self.events.latest(kind) or {}


class Client(NamedTuple):
    """One client; *number* counts from 1."""

    number: int
    member: Member
    watches: bool = True
    """Whether it has a player; a client without one only counts datagrams."""
    program: Program = OURS

    @property
    def name(self) -> str:
        """Its name in reports and messages: ``client-3``."""
        return f"client-{self.number}"

    @property
    def container(self) -> Container:
        """Its container."""
        return self.member.container

    def send(self, command: Command) -> None:
        """Write *command* to its standard input in its words; returns before the client has read it."""
        io = self.container.io
        if io is None:
            raise LabError(f"{self.name} takes no commands: its standard input is not attached")
        io.write_line(word(self.program.name, command))

    @property
    def statistics(self) -> ReportedStatistics | None:
        """The latest statistics that it has sent; ``None`` before the first."""
        event = self.member.events.latest("statistics")
        return None if event is None else parse_statistics_untrusted(event)

    @property
    def record(self) -> PlayerRecord | None:
        """What its player displayed and its receiver gave up, by its own record; ``None`` where it keeps none."""
        events = self.member.events.kept("frames")
        return parse_record_untrusted(events) if events else None

    @property
    def state(self) -> str:
        """The state of its session, according to its statistics."""
        statistics = self.statistics
        return State.CLOSED if statistics is None else statistics.state

    @property
    def last_command(self) -> Command | None:
        """The command that ends its delivery, None without one under way: a player that pauses may be sent media."""
        if self.program.is_flume:
            return Command.INTERRUPT if self.state == State.ACTIVE else None
        return None if self.state == State.CLOSED else Command.DISCONNECT


class Relay(NamedTuple):
    """A server that has another one for its source; the clients of its host watch it."""

    name: str
    """In reports and messages: ``relay-h2``, or ``relay-1`` where the lab has one host."""
    member: Member

    @property
    def container(self) -> Container:
        """Its container."""
        return self.member.container

    @property
    def is_asleep(self) -> bool:
        """Whether it asks its upstream for nothing, by its own word."""
        event = self.member.events.latest("upstream")
        return event is None or event.get("state") == "asleep"


class Fleet(NamedTuple):
    """The running containers of one lab, and their network."""

    network: Network
    server: Member
    clients: tuple[Client, ...]
    probe_members: tuple[Member, ...]
    """One on each host that has a container of the lab."""
    wires: tuple[Member, ...] = ()
    """Through their kernels the links pass; none where the engine's kernel shapes the links, or nothing does."""
    relays: tuple[Relay, ...] = ()
    """One on each host with clients; none where all clients watch the server itself."""

    @property
    def probes(self) -> dict[str, Probe]:
        """The probe of each host, to run its programs."""
        return {one.container.host: Probe(one.container) for one in self.probe_members}

    @property
    def probe(self) -> Probe:
        """The probe of the server's host."""
        return self.probes[self.server.container.host]

    @property
    def senders(self) -> dict[str, Container]:
        """The server and the relays, by the names of their taps."""
        return {SERVER_TAP: self.server.container, **{relay.name: relay.container for relay in self.relays}}

    @property
    def tapped(self) -> dict[str, Container]:
        """All containers that have a tap, by its name: the server, the relays, the clients."""
        return {**self.senders, **{client.name: client.container for client in self.clients}}

    @property
    def members(self) -> tuple[Member, ...]:
        """The wires, the server, the relays, the clients, the probes."""
        relays = (relay.member for relay in self.relays)
        return (*self.wires, self.server, *relays, *(client.member for client in self.clients), *self.probe_members)

    def on(self, host: str) -> tuple[Client, ...]:
        """Return the clients on *host*."""
        return tuple(client for client in self.clients if client.container.host == host)

    def gone_from(self, present: "Fleet") -> list["Client | Relay"]:
        """Return the clients and relays that are not in *present*, a part of this fleet."""
        there = {*(client.name for client in present.clients), *(relay.name for relay in present.relays)}
        both: list[Client | Relay] = [*self.clients, *self.relays]
        return [one for one in both if one.name not in there]

    def without(self, hosts: Collection[str]) -> "Fleet":
        """Return the fleet without what runs on *hosts*, which were lost."""
        return self._replace(
            clients=tuple(client for client in self.clients if client.container.host not in hosts),
            probe_members=tuple(one for one in self.probe_members if one.container.host not in hosts),
            wires=tuple(one for one in self.wires if one.container.host not in hosts),
            relays=tuple(one for one in self.relays if one.container.host not in hosts),
        )

    @property
    def program_containers(self) -> tuple[Container, ...]:
        """The containers whose output explains a run: the server's, the relays', the clients', the wires'."""
        relays = (relay.container for relay in self.relays)
        clients = (client.container for client in self.clients)
        return (self.server.container, *relays, *clients, *(wire.container for wire in self.wires))

    def wait_for_wires(self) -> None:
        """Return when links can be plugged in. Raises :class:`LabError` with the last output of a wire that ends."""
        for wire in self.wires:
            wire.wait_for_event("boot its kernel", "ready")

    def wait_until_ready(self) -> None:
        """Return when the server listens and every client has sent statistics, and links can be plugged in.

        Raises :class:`LabError` with the last output of the first container that does not.
        """
        self.wait_for_wires()
        for member in (self.server, *(relay.member for relay in self.relays)):
            member.wait_for_event("listen", "listening")
        for client in self.clients:
            client.member.wait_for_event("send its statistics", "statistics")

    def check_running(self) -> None:
        """Raise :class:`LabError` that names the first container that has ended."""
        for member in self.members:
            member.check_running()

    @contextlib.contextmanager
    def naming_the_cause(self, lost: Callable[[], Collection[str]] = tuple) -> Iterator[None]:
        """Replace a :class:`LabError` of the body by one that names a container that has ended, if one has.

        What has ended with a host that is *lost* is no cause.
        A probe that measures links, for example, only sees that they are gone with their wire.
        """
        try:
            yield
        except HostLostError:  # with its containers, which is no cause
            raise
        except LabError:
            present = self.without(lost())
            wait_until(lambda: any(one.has_ended() for one in present.members), timeout_s=CAUSE_S, interval_s=0.02)
            present.check_running()
            raise

    def restart_server(self) -> None:
        """End the server's program in order, and start it again in the same container, with the same address.

        Returns before it has ended. Only of a fleet that was started *restartable*.
        """
        self.server.container.run_checked(["/bin/sh", "-c", "kill -HUP 1"])

    def wait_until_restarted(self, times: int, state_of: Callable[[int], State]) -> None:
        """Return when the server listens after its *times* restarts, and its clients have come back.

        *state_of* names the state that each of our own clients, by number, comes back to. One that does not within
        :data:`RETURN_S` is measured as it is: the judge reports it. Raises :class:`LabError` where the server does not
        listen again.
        """
        self.server.events.wait_until(
            "listen again",
            lambda events: events.count("listening") > times,
            timeout_s=READY_TIMEOUT_S,
            ended=self.server.has_ended,
        )
        ours = [client for client in self.clients if client.program.is_flume]
        wait_until(lambda: all(client.state == state_of(client.number) for client in ours), timeout_s=RETURN_S)

    def close(self) -> None:
        """Detach from the containers, which go on running."""
        for member in self.members:
            if member.container.io is not None:
                member.container.io.close()


class _QuietWatch:
    """Finds out from a client's statistics, by their own clock, for how long its counts have not changed."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._counts: tuple[object, ...] = ()
        self._since_s = 0.0
        self._latest_s = 0.0

    def update(self) -> None:
        """Take the client's latest statistics."""
        statistics = self._client.statistics
        if statistics is None:
            return
        counts = (statistics.state, statistics.datagrams, statistics.player.frames_displayed)
        self._latest_s = statistics.time_s
        if counts != self._counts:
            self._counts, self._since_s = counts, statistics.time_s

    @property
    def is_quiet(self) -> bool:
        """Whether the counts have not changed for :data:`QUIET_S`; true for a client without statistics."""
        return not self._counts or self._latest_s - self._since_s >= QUIET_S


def quiesce(clients: Sequence[Client], *, timeout_s: float = 6.0, check: Callable[[], None] = lambda: None) -> None:
    """Wait until no client's counts change: all datagrams sent have arrived, all frames have been displayed.

    *check* is called ten times a second meanwhile; it raises where waiting is in vain.

    After *timeout_s* a client that is still counting is measured as it is: the judge reports what does not add up.
    """
    watches = [_QuietWatch(client) for client in clients]

    def poll() -> bool:
        check()
        # All of them every time: the quiet time of each client begins when its own counts stop.
        for watch in watches:
            watch.update()
        return all(watch.is_quiet for watch in watches)

    wait_until(poll, timeout_s=timeout_s)
