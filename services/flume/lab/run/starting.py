"""Starts the containers of a lab, each on its host."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import msgspec

from flume.lab.containers.engine import Network, Output, Start
from flume.lab.containers.topology import Topology
from flume.lab.hosts.site import Site
from flume.lab.link.wires import wire_starts
from flume.lab.run.event_log import EventLog
from flume.lab.run.fleet import Client, Fleet, Member
from flume.lab.run.programs import DEFAULTS, OURS, ClientOptions, Program

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
) -> Fleet:
    """Start all containers in parallel; return when they run, which is before :meth:`Fleet.wait_until_ready`.

    The first *players* of *clients* clients display the video. *programs*: what each client runs; empty: flume.
    *options*: settings of flume's own clients. *wires_on*: the hosts whose links
    pass through wires.
    *restartable*: the server can be restarted (:meth:`Fleet.restart_server`).
    """
    network = site.ensure_network(lab, run, description=layout.networks["lab"], clients=clients)
    media = {f"/media/{video.name}": video}
    programs = tuple(programs) or (OURS,) * clients
    watching = [
        msgspec.structs.replace(start, host=site.host_of("client", start.index))
        for start in _client_starts(network, layout, programs, players, options)
    ]
    server = Start(
        service="server",
        role="server",
        host=site.server.name,
        network=network,
        files=media,
        entrypoint=_AGAIN if restartable else None,
    )
    used = list(dict.fromkeys((server.host, *(start.host for start in watching))))
    # The wires first: their kernels boot while the other containers are started.
    wires = [start for host in used if host in wires_on for start in _wire_starts(host, watching)]
    probes = [Start(service="probe", role="probe", host=host) for host in used]
    starts = [*wires, server, *watching, *probes]
    logs = [EventLog(_name(start)) for start in starts]
    attached = [msgspec.structs.replace(start, output=_output(log)) for start, log in zip(starts, logs, strict=True)]
    members = list(map(Member, site.start(lab, run, layout, attached), logs))
    ours = members[len(wires) + 1 : len(members) - len(probes)]
    return Fleet(
        network,
        members[len(wires)],
        tuple(
            Client(number, member, watches=number <= players, program=program)
            for number, (member, program) in enumerate(zip(ours, programs, strict=True), 1)
        ),
        tuple(members[len(members) - len(probes) :]),
        tuple(members[: len(wires)]),
    )


def _wire_starts(host: str, watching: Sequence[Start]) -> Sequence[Start]:
    """Return the wires for the links of the clients on *host*; none where it has none."""
    here = sum(start.host == host for start in watching)
    return [msgspec.structs.replace(start, host=host) for start in wire_starts(here)] if here else ()


def _name(start: Start) -> str:
    """Return the name of a container for messages, with its host where there are several."""
    numbered = start.role in {"client", "wire"}
    name = f"{start.role}-{start.index}" if numbered else "the probe" if start.role == "probe" else str(start.role)
    return f"{name} on {start.host}" if start.host else name


def _client_starts(
    network: Network, layout: Topology, programs: Sequence[Program], players: int, options: ClientOptions
) -> Iterator[Start]:
    usual = (*layout.service("client").command, *options.arguments)
    for number, program in enumerate(programs, 1):
        if program.is_flume:
            command = usual if number <= players else without_player(usual)
            yield Start(service="client", role="client", index=number, network=network, command=command)
        else:
            yield Start(
                service="player",
                role="client",
                index=number,
                network=network,
                command=program.command,
                program=str(program),
            )


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
