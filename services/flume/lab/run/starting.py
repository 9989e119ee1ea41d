"""Starts the containers of a lab, each on its host."""

import itertools
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from flume.lab.containers import topology
from flume.lab.containers.engine import Network, Output, Start
from flume.lab.containers.topology import Topology
from flume.lab.hosts.site import Site
from flume.lab.link.wires import wire_starts
from flume.lab.run.event_log import EventLog
from flume.lab.run.fleet import Client, Fleet, Member, Relay
from flume.lab.run.programs import DEFAULTS, OURS, SERVER, ClientOptions, Program

_AGAIN = (
    "/bin/sh",
    "-c",
    """again=1
trap 'again=1; kill -TERM "$child"' HUP
trap 'again=; kill -TERM "$child"' TERM INT
while [ "$again" ]; do
  again=
  flume "$@" &
  child=$!
  wait "$child"; status=$?
  while kill -0 "$child" 2>/dev/null; do wait "$child"; status=$?; done
done
exit "$status"
""",
    "flume",
)
"""Runs the server's program as a child, and once more after SIGHUP. A container that is started again would get another
network interface, which neither the link nor the tap has; a program that is started again keeps both."""


def start_fleet(
    site: Site,
    layout: Topology,
    *,
    lab: str,
    run: str,
    clients: int,
    players: int,
    video: Path,
    programs: Sequence[Program] = (),
    options: ClientOptions = DEFAULTS,
    wires_on: Collection[str] = (),
    restartable: bool = False,
    relays: bool = False,
) -> Fleet:
    """Start all containers in parallel; return when they run, which is before :meth:`Fleet.wait_until_ready`.

    The first *players* of *clients* clients display the video. *programs*: what each client runs; empty: flume.
    *options*: settings of flume's own clients. *wires_on*: the hosts whose links pass through wires. *restartable*: the
    server can be restarted (:meth:`Fleet.restart_server`). *relays*: each host has a relay, which its clients watch.
    """
    network = site.ensure_network(lab, run, description=layout.networks["lab"], clients=clients)
    programs = tuple(programs) or (OURS,) * clients
    hosts = [site.host_of("client", number) for number in range(1, clients + 1)]
    between = _relay_starts(network, hosts) if relays else []
    usual = (*layout.service("client").command, *options.arguments)
    groups = {
        # The wires first: their kernels boot while the other containers are started.
        "wires": [start for host in wires_on for start in _wire_starts(host, hosts)],
        "server": [_server_start(site.server.name, network, video, restartable=restartable)],
        "relays": between,
        "clients": _client_starts(network, programs, hosts, relays=between, command=usual, players=players),
        "probes": [Start(service="probe", role="probe", host=one) for one in dict.fromkeys([site.server.name, *hosts])],
    }
    starts = [start for group in groups.values() for start in group]
    logs = [EventLog(_name(start)) for start in starts]
    attached = [msgspec.structs.replace(start, output=_output(log)) for start, log in zip(starts, logs, strict=True)]
    started = map(Member, site.start(lab, run, layout, attached), logs)
    members = {name: tuple(itertools.islice(started, len(group))) for name, group in groups.items()}
    return Fleet(
        network,
        members["server"][0],
        tuple(
            Client(number, member, watches=number <= players, program=program)
            for number, (member, program) in enumerate(zip(members["clients"], programs, strict=True), 1)
        ),
        members["probes"],
        members["wires"],
        tuple(Relay(_relay_name(start), member) for start, member in zip(between, members["relays"], strict=True)),
    )


def _relay_starts(network: Network, hosts: Sequence[str]) -> list[Start]:
    """Return a relay for each of *hosts* that has clients."""
    numbered = enumerate(dict.fromkeys(hosts), 1)
    return [Start(service="relay", role="relay", index=index, host=host, network=network) for index, host in numbered]


def _relay_name(start: Start) -> str:
    return f"relay-{start.host or start.index}"


def _wire_starts(host: str, hosts: Sequence[str]) -> Sequence[Start]:
    """Return the wires for the links of the clients on *host*, which are in *hosts*; none where it has none."""
    here = hosts.count(host)
    return [msgspec.structs.replace(start, host=host) for start in wire_starts(here)] if here else ()


def _name(start: Start) -> str:
    """Return the name of a container for messages, with its host where there are several."""
    if start.role == "relay":
        return _relay_name(start)
    numbered = start.role in {"client", "wire"}
    name = f"{start.role}-{start.index}" if numbered else "the probe" if start.role == "probe" else str(start.role)
    return f"{name} on {start.host}" if start.host else name


def _server_start(host: str, network: Network, video: Path, *, restartable: bool) -> Start:
    return Start(
        service="server",
        role="server",
        host=host,
        network=network,
        files={f"/media/{video.name}": video},
        entrypoint=_AGAIN if restartable else None,
    )


def _client_starts(
    network: Network,
    programs: Sequence[Program],
    hosts: Sequence[str],
    *,
    relays: Sequence[Start],
    command: Sequence[str],
    players: int,
) -> list[Start]:
    """Return a client of each of *programs* on each of *hosts*, which watches the relay of its host if it has one.

    *command* is that of our own client; only the first *players* of them have a player.
    """
    servers = {relay.host: topology.address(network.subnet, "relay", relay.index) or SERVER for relay in relays}
    starts = []
    for number, (program, host) in enumerate(zip(programs, hosts, strict=True), 1):
        server = servers.get(host, SERVER)
        own = tuple(server if word == SERVER else word for word in command)
        own = own if number <= players else without_player(own)
        starts.append(
            Start(
                service="client" if program.is_flume else "player",
                role="client",
                index=number,
                host=host,
                network=network,
                command=own if program.is_flume else program.command(server),
                program="" if program.is_flume else str(program),
            )
        )
    return starts


def without_player(command: Sequence[str]) -> tuple[str, ...]:
    """Return a client's *command* with the player ``none``, an option of the container contract.

    >>> without_player(("watch", "server", "--player", "headless"))
    ('watch', 'server', '--player', 'none')
    """
    if "--player" in command:
        position = command.index("--player")
        return (*command[: position + 1], "none", *command[position + 2 :])
    return (*command, "--player", "none")


def _output(log: EventLog) -> Output:
    return Output(log.on_line, log.on_error)
