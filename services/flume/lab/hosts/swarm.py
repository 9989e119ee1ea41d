"""Whether the hosts of a lab are one Swarm, and what a person types to make one of them. Pure.

Nothing in flumelab changes an engine's place in a Swarm.
"""

from collections.abc import Sequence
from typing import NamedTuple

from flume.lab.containers.engine_values import Swarm
from flume.lab.hosts.host_facts import HostFacts

MANAGER_PORT = 2377


class ToType(NamedTuple):
    """A command for a person to type on a host."""

    host: str
    command: str


def swarm_state(facts: Sequence[HostFacts]) -> tuple[list[str], list[ToType]]:
    """Return what is wrong with the Swarm of the hosts, and what to type on which host."""
    if len(facts) < 2:
        return [], []
    if idle := [one for one in facts if one.info.swarm is not None and not one.info.swarm.is_active]:
        return [_idle(one) for one in idle], []
    groups = _swarms([one for one in facts if one.info.swarm is not None])
    if not groups:
        return _none(facts)
    if len(groups) > 1:
        return _several(groups)
    (inside,), outside = groups, [one for one in facts if one.info.swarm is None]
    manager = next((one for one in inside if one.info.manages_swarm), None)
    if manager is None:
        return [_no_manager(inside)], []
    names = ", ".join(one.name for one in outside)
    problem = f"in no Swarm, so the lab's network does not reach them: {names}: type the lines below"
    return ([problem], _joins(manager, outside)) if outside else ([], [])


def _none(facts: Sequence[HostFacts]) -> tuple[list[str], list[ToType]]:
    first = facts[0]
    begin = ToType(first.name, f"docker swarm init --advertise-addr {first.known_address}")
    why = "" if first.address else f", with the ADDRESS by which the other hosts reach {first.name}"
    return [f"none of the hosts is in a Swarm: type the lines below{why}"], [begin, *_joins(first, facts)]


def _no_manager(inside: Sequence[HostFacts]) -> str:
    names, swarm = ", ".join(one.name for one in inside), inside[0].info.swarm
    return (
        f"none of the hosts manages the Swarm of {names}, so no network over them can be made: add a manager to the "
        f"hosts file, or type on a manager: docker node promote {swarm.node if swarm else 'NODE'}"
    )


def _idle(one: HostFacts) -> str:
    swarm = one.info.swarm
    state, error = (swarm.state, swarm.error) if swarm else ("", "")
    cure = {
        "locked": "type there: docker swarm unlock",
        "pending": f"is the Swarm's manager on, and does TCP {MANAGER_PORT} reach it? if the Swarm has forgotten this "
        "host: docker swarm leave --force, then join again",
    }.get(state, "see docker info there; docker swarm leave --force, then join again, if the Swarm is no more")
    return f"host {one.name}: its place in the Swarm is {state}{f' ({error})' if error else ''}: {cure}"


def _joins(manager: HostFacts, others: Sequence[HostFacts]) -> list[ToType]:
    """Return what makes *others* members of the Swarm of *manager*: TOKEN is what its command prints."""
    address = manager.known_address
    at = f"[{address}]" if ":" in address else address
    join = f"docker swarm join --token TOKEN {at}:{MANAGER_PORT}"
    token = ToType(manager.name, "docker swarm join-token --quiet worker")
    return [token, *(ToType(one.name, join) for one in others if one.name != manager.name)]


def _swarms(inside: Sequence[HostFacts]) -> list[list[HostFacts]]:
    """Return the hosts by Swarm: a manager knows its name, and two hosts of one Swarm know a manager in common."""
    groups: list[tuple[set[str], list[HostFacts]]] = []
    for one in inside:
        if one.info.swarm is None:
            continue
        marks = _marks(one.info.swarm)
        joined = [group for group in groups if group[0] & marks]
        groups = [group for group in groups if not group[0] & marks]
        hosts = [each for group in joined for each in group[1]]
        groups.append((marks.union(*(group[0] for group in joined)), [*hosts, one]))
    return [sorted(hosts, key=list(inside).index) for _, hosts in groups]


def _marks(swarm: Swarm) -> set[str]:
    own = {swarm.node} if swarm.is_manager else set()
    return {mark for mark in (swarm.cluster, *swarm.managers, *own) if mark}


def _several(groups: Sequence[Sequence[HostFacts]]) -> tuple[list[str], list[ToType]]:
    """Return what to do where hosts are in several Swarms: those outside the largest leave theirs."""
    stays, *others = sorted(groups, key=len, reverse=True)
    names = " and ".join(", ".join(one.name for one in group) for group in (stays, *others))
    moving = [one for group in others for one in group]
    manager = next((one for one in stays if one.info.manages_swarm), stays[0])
    leave = [ToType(one.name, f"docker swarm leave{' --force' if one.info.manages_swarm else ''}") for one in moving]
    return [
        f"the hosts are in different Swarms ({names}), and a network reaches those of one: name hosts of one Swarm, or "
        "type the lines below, which end what other services there need their Swarm for"
    ], [*leave, *_joins(manager, moving)]
