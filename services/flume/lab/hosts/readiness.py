"""Whether the hosts of a lab are ready for it: facts in; a table, problems with their cure, lines to type out. Pure."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from flume.lab.containers.engine_values import Swarm
from flume.lab.hosts.host_facts import HostFacts, Path
from flume.lab.hosts.swarm import ToType, swarm_state

SMALLEST_MTU = 1406
"""Of the network between the hosts: the stream's packets have 1356 bytes, and VXLAN adds 50 (RFC 7348). Below it the
kernel cuts them into fragments, which captures cannot attribute."""

SWARM_PORTS = "UDP 4789, and TCP and UDP 7946"
"""What the hosts of a Swarm send to each other beside the manager's TCP 2377: VXLAN, and gossip of which container is
where."""


class Row(NamedTuple):
    """One line of the table."""

    host: str
    engine: str
    swarm: str
    kernel: str
    cpus: int
    netem: str
    mtu: str
    path: str
    images: str
    clock: str
    zone: str


class Readiness(NamedTuple):
    """The result of a preflight."""

    rows: tuple[Row, ...]
    problems: tuple[str, ...]
    """Each with its cure; empty: the hosts are ready."""
    to_type: tuple[ToType, ...]
    """What makes the Swarm, in order."""
    notes: tuple[str, ...]
    mtu: int | None
    """The smallest of the network between the hosts: what the lab's network is made for."""


COLUMNS = ("host", "engine", "Swarm", "kernel", "CPUs", "netem", "MTU", "path", "images", "clock", "time zone")
"""Headings of :class:`Row`."""


def judge(facts: Sequence[HostFacts], *, server: str) -> Readiness:
    """Return what *facts* say; *server* is the name of the server's host."""
    swarm_problems, to_type = swarm_state(facts)
    problems = [
        *swarm_problems,
        *_kinds(facts, server),
        *(f"host {one.name}: {one.problem}" for one in facts if one.problem),
        *_mtu_problems(facts),
        *_path_problems(facts, server),
    ]
    known = [one.underlay.mtu for one in facts if one.underlay]
    smallest = min(known) if len(known) == len(facts) else None
    rows = tuple(_row(one, is_server=one.name == server) for one in facts)
    return Readiness(rows, tuple(problems), tuple(to_type), tuple(_notes(facts)), smallest)


def _kinds(facts: Sequence[HostFacts], server: str) -> Iterator[str]:
    ours = next(one.info.architecture for one in facts if one.name == server)
    for one in facts:
        if one.info.architecture != ours:
            yield (
                f"host {one.name} is {one.info.architecture}, and the server's host {server} is {ours}: the images are "
                "for one kind, so a lab needs hosts of one kind"
            )


def _mtu_problems(facts: Sequence[HostFacts]) -> Iterator[str]:
    for one in facts:
        if len(facts) > 1 and one.underlay and one.underlay.mtu < SMALLEST_MTU:
            yield (
                f"host {one.name}: the MTU of {one.underlay.interface}, by which it reaches the others, is "
                f"{one.underlay.mtu}, and the lab's packets need {SMALLEST_MTU}, or they are sent in fragments, which "
                f"no verdict can rest on: ip link set dev {one.underlay.interface} mtu 1500, if the network carries it"
            )


def _path_problems(facts: Sequence[HostFacts], server: str) -> Iterator[str]:
    ours = next(one for one in facts if one.name == server)
    for one in facts:
        path = one.path
        if path is None or path.is_good:
            continue
        between = f"between {server} ({ours.known_address}) and {one.name} ({one.known_address})"
        if not path.answered:
            yield f"the overlay network carries nothing {between}: let {SWARM_PORTS} through between the two"
        elif path.damaged or path.checksum_errors:
            yield (
                f"datagrams arrive damaged {between}: {path.damaged} with other content, {path.checksum_errors} with a "
                "wrong checksum; try `ethtool -K INTERFACE tx-checksum-ip-generic off` on the two hosts"
            )
        elif not all(path.full):
            yield (
                f"packets of {path.mtu} bytes do not pass {between}{_ways(path.full)}, though the MTU of both hosts "
                f"allows them: a part of the network between the two must carry {path.mtu + 50} bytes, and does not"
            )
        else:
            yield (
                f"batches of datagrams do not pass {between}{_ways(path.batch)}: segmentation fails on the way; "
                "try `ethtool -K INTERFACE tx-udp_tnl-segmentation off tx-udp-segmentation off` on the two hosts"
            )


def _ways(ways: tuple[bool, bool]) -> str:
    there, back = ways
    return "" if there == back else " on the way there" if back else " on the way back"


def _notes(facts: Sequence[HostFacts]) -> Iterator[str]:
    zones = {one.name: one.info.utc_offset for one in facts if one.info.utc_offset}
    if len(set(zones.values())) > 1:
        listed = ", ".join(f"{name} {_zone(zone)}" for name, zone in zones.items())
        yield f"The hosts have different time zones ({listed}): times of a run are those of this machine."
    versions = {one.name: one.info.version for one in facts}
    if len({version.partition(".")[0] for version in versions.values()}) > 1:
        yield f"The engines differ: {', '.join(f'{name} {version}' for name, version in versions.items())}."
    if without := [one.name for one in facts if one.netem == "none"]:
        yield f"On {', '.join(without)} no link can be shaped, so clients there have clean ones only: see make doctor."


def _zone(utc_offset: str) -> str:
    return "UTC" if utc_offset in {"Z", "+00:00"} else f"UTC{utc_offset}"


def _row(one: HostFacts, *, is_server: bool) -> Row:
    absent = [tag for tag, is_there in (one.images or {}).items() if not is_there]
    images = "–" if one.images is None else f"copied: {', '.join(absent)}" if absent else "all there"
    return Row(
        host=f"{one.name} (server)" if is_server else one.name,
        engine=one.info.version,
        swarm=_swarm_words(one.info.swarm),
        kernel=one.info.kernel,
        cpus=one.info.cpus,
        netem=one.netem or "–",
        mtu="–" if one.underlay is None else f"{one.underlay.mtu} ({one.underlay.interface})",
        path=_path_words(one.path),
        images=images,
        clock="reference" if is_server else one.clock or "–",
        zone=_zone(one.info.utc_offset) if one.info.utc_offset else "–",
    )


def _swarm_words(swarm: Swarm | None) -> str:
    if swarm is None:
        return "none"
    if not swarm.is_active:
        return swarm.state
    return f"manager of {swarm.cluster[:8]}" if swarm.is_manager else "worker"


def _path_words(path: Path | None) -> str:
    if path is None:
        return "–"
    if not path.answered:
        return "nothing passes"
    return f"{path.mtu} bytes and batches" if path.is_good else "faulty"


def refusal(readiness: Readiness, *, file: str) -> str:
    """Return the problems in one line, for a run that does not begin; empty where there are none."""
    if not readiness.problems:
        return ""
    lines = "".join(f"; on {one.host}: {one.command}" for one in readiness.to_type)
    return f"{'; '.join(readiness.problems)}{lines} (nothing was started; flume lab hosts {file} shows all)"
