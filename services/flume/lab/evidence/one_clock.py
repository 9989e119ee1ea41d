"""Puts the times of all hosts on one clock, that of the server's host, before the judge compares any of them. Pure.

Only the facts change. The files of the captures keep the times of the hosts that wrote them.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from flume.lab.evidence.clock import HostClock, Offset
from flume.lab.evidence.facts import Command, Endpoint, Evidence, PlayerRecord, Subject, TapFacts


def on_one_clock(hops: Mapping[str, Evidence]) -> dict[str, Evidence]:
    """Return *hops*, the evidence of each server by its name, with all times on the clock of the first server's host.

    Without ``clocks`` they stay as they are. A clock that any of them has, all have then: a relay's capture is evidence
    of two hops. A clock that was never measured is first read from the captures, see :func:`offset_in_captures`. That
    places its times among the others; it does not make them comparable.
    """
    measured = {name: clock for evidence in hops.values() for name, clock in evidence.clocks.items()}
    if not measured:
        return dict(hops)
    hosts = {clock.host: clock for clock in measured.values()}
    placed = {host: _placed(clock, measured, hops, frozenset()) for host, clock in hosts.items()}
    clocks = {name: placed[clock.host] for name, clock in measured.items()}
    return {name: _shifted(evidence, clocks) for name, evidence in hops.items()}


def _shifted(evidence: Evidence, clocks: Mapping[str, HostClock]) -> Evidence:
    return evidence._replace(
        clocks=clocks,
        taps=tuple(
            facts if (clock := clocks.get(facts.tap.name)) is None else shift_tap(facts, clock)
            for facts in evidence.taps
        ),
        subjects=tuple(
            subject if (clock := clocks.get(subject.tap or subject.name)) is None else shift_subject(subject, clock)
            for subject in evidence.subjects
        ),
    )


def shift_tap(facts: TapFacts, clock: HostClock) -> TapFacts:
    """Return *facts* with all times on the reference's clock; *clock* is that of the host that captured them."""
    timed: dict[str, Any] = {name: _moved(value, clock) for name, value in facts._asdict().items() if _is_timed(value)}
    tap = facts.tap
    if tap.packets:  # without a packet there are no times
        tap = tap._replace(first_s=clock.to_reference(tap.first_s), last_s=clock.to_reference(tap.last_s))
    return facts._replace(tap=tap, **timed)


def shift_record(record: PlayerRecord, clock: HostClock) -> PlayerRecord:
    """Return what a client on the host of *clock* recorded, with all times on the reference's clock."""
    return PlayerRecord(*(_moved(entries, clock) for entries in record))


def shift_subject(subject: Subject, clock: HostClock) -> Subject:
    """Return *subject*, which runs on the host of *clock*, with all times on the reference's clock.

    A link that changes with time does so by the wall clock of this host.
    """
    record, until_s = subject.claims.record, subject.counters.control_until_s
    claims, counters = subject.claims, subject.counters
    if record is not None:
        claims = msgspec.structs.replace(claims, record=shift_record(record, clock))
    if until_s is not None:
        counters = msgspec.structs.replace(counters, control_until_s=clock.to_reference(until_s))
    ahead_s = clock.ahead_s(0.0 if clock.before is None else clock.before.measured_s)
    queues = tuple(
        (from_s, queue if queue is None else queue._replace(ahead_s=queue.ahead_s + ahead_s))
        for from_s, queue in subject.queues
    )
    return msgspec.structs.replace(subject, claims=claims, counters=counters, queues=queues)


def offset_in_captures(server: TapFacts, client: TapFacts) -> Offset | None:
    """Return by how much the clock of *client* seems to be ahead of that of *server*; None where that cannot be told.

    A packet to the client arrives after it left, so its times there and here bound the offset from above; one from the
    client bounds it from below. The middle between the two is off by at most half of the least time on the way, there
    and back. A shaped link makes that long: good to place a time, not to compare it.
    """
    there, here = _first_seen(_media(client)), _first_seen(_media(server))
    above = [there[key] - left_s for key, left_s in here.items() if key in there]
    there, here = _first_seen(_requests(client)), _first_seen(_requests(server))
    below = [left_s - here[key] for key, left_s in there.items() if key in here]
    if not above or not below:
        return None
    most_s, least_s = min(above), max(below)
    return Offset(ahead_s=(most_s + least_s) / 2, bound_s=abs(most_s - least_s) / 2, measured_s=server.tap.first_s)


def _media(facts: TapFacts) -> Iterator[tuple[Hashable, float]]:
    """Yield what goes to clients, recognisable at every tap."""
    for one in facts.media:
        yield (one.destination, one.identity), one.time_s


def _requests(facts: TapFacts) -> Iterator[tuple[Hashable, float]]:
    """Yield what comes from clients: tokens, and the commands of each connection in their order."""
    for one in facts.consents:
        yield (one.client, one.payload), one.time_s
    numbers: Counter[Endpoint] = Counter()
    for message in facts.messages:
        if isinstance(message, Command):
            numbers[message.client] += 1
            yield (message.client, numbers[message.client], message.name), message.time_s


def _first_seen(timed: Iterable[tuple[Hashable, float]]) -> dict[Hashable, float]:
    found: dict[Hashable, float] = {}
    for key, time_s in timed:
        found.setdefault(key, time_s)
    return found


def _placed(
    clock: HostClock, clocks: Mapping[str, HostClock], hops: Mapping[str, Evidence], waiting: frozenset[str]
) -> HostClock:
    """Return *clock*; where it was never measured, as the captures of its host and of servers on other hosts show it.

    All taps of a host have one clock, so the one that tells most speaks for all. *waiting* are the hosts whose clocks
    wait for this one.
    """
    if clock.before is not None or clock.after is not None:
        return clock
    found: list[Offset] = []
    for evidence in hops.values():
        taps = {facts.tap.name: facts for facts in evidence.taps}
        at_server, server = clocks.get(evidence.server_tap), taps.get(evidence.server_tap)
        if server is None or (at_server is not None and at_server.host in waiting | {clock.host}):
            continue
        names = [subject.tap or subject.name for subject in evidence.subjects]
        mine = [taps[name] for name in names if name in taps and name in clocks and clocks[name].host == clock.host]
        if mine and at_server is not None:
            server = shift_tap(server, _placed(at_server, clocks, hops, waiting | {clock.host}))
        found += [offset for tap in mine if (offset := offset_in_captures(server, tap)) is not None]
    return msgspec.structs.replace(clock, seen=min(found, key=lambda one: one.bound_s, default=None))


def _is_timed(value: object) -> bool:
    return isinstance(value, tuple) and bool(value) and hasattr(value[0], "time_s")


def _moved(timed: tuple[Any, ...], clock: HostClock) -> tuple[Any, ...]:
    return tuple(one._replace(time_s=clock.to_reference(one.time_s)) for one in timed)
