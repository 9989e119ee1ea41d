"""Collects the evidence of a run: stops the taps, reads the counters, fetches and decodes the captures."""

import math
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from flume.errors import EvidenceError, LabError
from flume.lab.containers.container import Container
from flume.lab.containers.parallel import in_parallel
from flume.lab.containers.probe import BUFFER_KIB, Tap, TapEnd
from flume.lab.containers.probe import Counters as RawCounters
from flume.lab.evidence.clock import HostClock
from flume.lab.evidence.counters import backlog_drops, damaged, firewall_drops, receive_buffer_errors, socket_drops
from flume.lab.evidence.datagrams import Keep
from flume.lab.evidence.facts import (
    RELAY,
    Backlog,
    Claims,
    Counters,
    Evidence,
    Expectations,
    LinkQueue,
    Subject,
    TapFacts,
)
from flume.lab.link.links import LinkLosses
from flume.lab.run.fleet import SERVER_TAP, Client, Fleet, Relay
from flume.lab.run.network import fleet_links
from flume.lab.run.scenario import Timetable
from flume.lab.trial.checks.run import host as host_lost
from flume.lab.trial.verdict import Check

Queues = Sequence[tuple[float, Collection[int], LinkQueue | None]]
"""From when on, epoch seconds, the links of which clients (none: all) have which queue."""
CLIENTS_PER_BUFFER = 5
"""The server's tap has one more buffer for each five clients: with one, a tap of 50 lost 13,655 of 365,000 packets on
two CPUs that were busy. The memory is the kernel's, and is given back with the tap."""
MOST_BUFFERS = 16
_MARGIN_S = 0.1
"""For what is on its way from a link to the tap behind it."""


def start_taps(fleet: Fleet) -> None:
    """Capture at both ends of every client's link: at the server, before the link, and at the client, behind it.

    One tap of a relay has both of its sides. First segmentation offload is switched off at what sends, so that the wire
    carries single datagrams.
    """
    buffers = min(MOST_BUFFERS, math.ceil(len(fleet.clients) / CLIENTS_PER_BUFFER))

    def start(host: str) -> None:
        here = {name: one for name, one in fleet.senders.items() if one.host == host}
        for one in here.values():
            fleet.probes[host].switch_segmentation_off(one.pid)
        taps = [Tap(name, one.pid, buffer_kib=BUFFER_KIB * buffers) for name, one in here.items()]
        fleet.probes[host].start_taps([*taps, *(Tap(one.name, one.container.pid) for one in fleet.on(host))])

    in_parallel(start, list(fleet.probes))


def stop_taps(fleet: Fleet) -> list[TapEnd]:
    """Stop the taps; return how each ended. Raises :class:`EvidenceError` when the disk for captures was full."""
    # The server's tap last: a datagram captured at a client must have been captured at the server, even when the
    # server never stops sending. For the same reason a relay's is stopped after those of all clients.
    server = fleet.server.container.host
    phases = [
        {host: [client.name for client in fleet.on(host)] for host in fleet.probes},
        {host: [relay.name for relay in fleet.relays if relay.container.host == host] for host in fleet.probes},
        {server: [SERVER_TAP]},
    ]
    if len(fleet.probes) == 1:  # one call, in which the order is the same
        phases = [{server: [name for phase in phases for name in phase[server]]}]
    ends: list[TapEnd] = []
    for phase in phases:
        wanted = [(host, names) for host, names in phase.items() if names]
        parts = in_parallel(lambda item: fleet.probes[item[0]].stop_taps(item[1]), wanted)
        ends += (end for part in parts for end in part)
    cut = [end.name for end in ends if end.disk_full]
    if cut:
        raise EvidenceError(
            f"the disk for captures is full, and {', '.join(cut)} hold only a part: "
            "make room where the Docker engine keeps its volumes, or shorten the run (DURATION)"
        )
    return ends


def gather(
    fleet: Fleet,
    timetable: Timetable,
    expectations: Expectations,
    *,
    started_s: float,
    port: int,
    directory: Path,
    queues: Queues = (),
    lost: Sequence[Client | Relay] = (),
    keep: Keep | None = None,
    clocks: Mapping[str, HostClock] | None = None,
) -> dict[str, Evidence]:
    """Stop the taps; return all evidence that the verdict rests on, and write the raw material into *directory*.

    The evidence is that of each server: of the first one under :data:`SERVER_TAP`, of a relay under its name.

    *started_s* is the start of the scenario in epoch seconds, *port* the server's, *queues* those of the links. *lost*:
    clients of hosts that were lost; they are judged by what the server's capture has of them. *keep* gets the bytes of
    each datagram that left a server. *clocks*: those of relays and clients on other hosts than the server's. Raises
    :class:`~flume.errors.LabError` when an engine cannot hand the material over, or it cannot be written.
    """
    losses = _losses(fleet)
    ends = stop_taps(fleet)
    raw = _counters(fleet)
    write_counters(raw, directory / "counters")
    backlog = _backlog(fleet, directory / "counters" / "kernel")
    captures = directory / "captures"
    in_parallel(lambda probe: probe.fetch(captures), list(fleet.probes.values()))
    relays = {relay.name: relay for relay in fleet.relays}
    tapped, senders = fleet.tapped, fleet.senders
    taps = {
        end.name: _decode(
            end,
            captures,
            port,
            keep=keep if end.name in senders else None,
            # A bridge sends to all of its ports while it does not know where an address is, such as of a lost host.
            host=None if end.name == SERVER_TAP else tapped[end.name].address,
        )
        for end in ends
    }
    write_all_logs(fleet.program_containers, directory / "logs")
    subjects = {
        client.name: _subject(client, timetable, raw[client.name], losses.get(client.number), queues)
        for client in fleet.clients
    }
    missing = {one.name: Subject(name=one.name, address=one.container.address, watches=False) for one in lost}
    hops = {}
    for name, members in _members(fleet, lost).items():
        clients = [{**subjects, **missing}[one.name] for one in members]
        clients += [_relay_subject(relay, raw[relay.name]) for relay in relays.values() if name == SERVER_TAP]
        own = [taps[tap] for tap in (name, *(one.tap for one in clients)) if tap is not None]
        hops[name] = Evidence(started_s, name, tuple(own), tuple(clients), expectations, backlog, clocks or {})
    return hops


def _members(fleet: Fleet, lost: Sequence[Client | Relay]) -> dict[str, list[Client | Relay]]:
    """Return the clients of the server and of each relay. What a relay that was lost sent is not known."""
    if not fleet.relays:
        return {SERVER_TAP: [*fleet.clients, *lost]}
    relays: dict[str, list[Client | Relay]] = {relay.name: [*fleet.on(relay.container.host)] for relay in fleet.relays}
    return {SERVER_TAP: [one for one in lost if isinstance(one, Relay)], **relays}


def _relay_subject(relay: Relay, raw: RawCounters) -> Subject:
    """Return *relay* as a client of its server: its commands are not planned, and it has no player."""
    return Subject(
        name=relay.name,
        address=relay.container.address,
        tap=relay.name,
        watches=False,
        program=RELAY,
        counters=Counters(
            damaged_on_link=damaged(raw.snmp),
            dropped_by_firewall=firewall_drops(raw.iptables),
            dropped_by_receiver=receive_buffer_errors(raw.snmp),
        ),
    )


def hosts_of_taps(fleet: Fleet) -> dict[str, str]:
    """Return the host of each tap; empty for a lab on one host."""
    return {name: one.host for name, one in fleet.tapped.items() if one.host}


def checks_of_lost(fleet: Fleet, lost: Mapping[str, str]) -> list[Check]:
    """Return the ERROR of each client of *fleet* whose host was lost; *lost*: name of a host → the reason."""
    return [
        host_lost(client.container.host, lost[client.container.host]).check("host", client.name)
        for client in fleet.clients
        if client.container.host in lost
    ]


def _counters(fleet: Fleet) -> dict[str, RawCounters]:
    """Return the counters of the server, the relays and the clients, by the names of their taps."""

    def read(host: str) -> dict[str, RawCounters]:
        pids = {name: one.pid for name, one in fleet.tapped.items() if one.host == host}
        found = fleet.probes[host].counters(list(pids.values()))
        return {name: found[pid] for name, pid in pids.items()}

    parts = in_parallel(read, list(fleet.probes))
    return {name: one for part in parts for name, one in part.items()}


def _backlog(fleet: Fleet, directory: Path) -> Backlog:
    """Return what the engines' kernels dropped between their interfaces; write the raw counts into *directory*."""
    found = in_parallel(lambda item: (item[0], item[1].backlog()), list(fleet.probes.items()))
    for host, raw in found:
        folder = directory / host
        _write(folder / "softnet_before.txt", raw.before)
        _write(folder / "softnet_after.txt", raw.after)
    return Backlog(sum(backlog_drops(raw.before, raw.after) for _, raw in found), min(raw.limit for _, raw in found))


def _losses(fleet: Fleet) -> dict[int, LinkLosses]:
    """Return what the links have lost; what had left before has arrived when this returns.

    The streams have ended. Control connections go on, and where they pass the links, the losses must be those of a time
    at which the taps still capture.
    """
    losses = fleet_links(fleet).losses()
    time.sleep(max((one.longest_s + _MARGIN_S for one in losses.values() if one.takes_control), default=0))
    return losses


def _decode(end: TapEnd, captures: Path, port: int, *, keep: Keep | None, host: str | None) -> TapFacts:
    # Imported only now: scapy takes half a second, which would delay the first picture of a run.
    from flume.lab.evidence.capture import read_tap  # noqa: PLC0415

    path = captures / f"{end.name}.pcap"
    facts = read_tap(path, name=end.name, log_text=end.log, port=port, keep=keep, host=host)
    if end.problem is None:
        return facts
    # The problem that tcpdump's end shows comes first: a full disk explains a damaged file, not the reverse.
    problem = "; ".join(text for text in (end.problem, facts.tap.problem) if text)
    return facts._replace(tap=facts.tap._replace(problem=problem))


def _subject(
    client: Client, timetable: Timetable, raw: RawCounters, losses: LinkLosses | None, queues: Queues
) -> Subject:
    statistics = client.statistics
    return Subject(
        name=client.name,
        address=client.container.address,
        tap=client.name,
        commands=tuple(str(command) for command in timetable.commands_of(client.number)),
        watches=client.watches,
        program=str(client.program),
        expected=timetable.expected_of(client.number),
        claims=Claims() if statistics is None else msgspec.structs.replace(statistics.claims(), record=client.record),
        counters=Counters(
            lost_on_link=0 if losses is None else losses.packets,
            control_until_s=losses.read_s if losses is not None and losses.takes_control else None,
            damaged_on_link=damaged(raw.snmp),
            dropped_by_firewall=firewall_drops(raw.iptables),
            dropped_by_receiver=_receiver_drops(client, raw),
        ),
        queues=tuple((from_s, queue) for from_s, clients, queue in queues if not clients or client.number in clients),
    )


def _receiver_drops(client: Client, raw: RawCounters) -> int:
    """Return the drops at the client's media socket: by the kernel's count, or the client's if the socket is closed.

    Other players do not name their socket: theirs are those of all UDP sockets of the host.
    """
    if not client.program.is_flume:
        return receive_buffer_errors(raw.snmp)
    statistics = client.statistics
    if statistics is None:
        return 0
    try:
        return socket_drops(raw.udp, statistics.media_port or 0)
    except EvidenceError:
        return statistics.dropped_by_receiver


def write_counters(raw: Mapping[str, RawCounters], directory: Path) -> None:
    """Write the raw counters into *directory*: ``client-1/snmp.txt`` and so on, one folder for each container."""
    for name, counters in raw.items():
        for kind in RawCounters.__struct_fields__:
            _write(directory / name / f"{kind}.txt", getattr(counters, kind))


def write_all_logs(containers: Sequence[Container], directory: Path) -> None:
    """Write the log of each container into *directory*, one file each."""
    for container in containers:
        host = f"{container.host}." if container.host else ""
        _write(directory / f"{host}{container.name}.log", container.logs())


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise LabError(f"{path} cannot be written: {error.strerror}; make room or choose another folder") from error
