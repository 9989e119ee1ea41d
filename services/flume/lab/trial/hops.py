"""The tree of a run with relays: which server sends to which clients, from the first one on. Pure.

A *hop* is one server with its own clients. A relay is a client of the hop above, and the server of the hop below, which
has the relay's name. Its one capture has both sides.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from flume.lab.evidence.facts import Evidence, Subject, TapFacts
from flume.lab.evidence.sides import as_server


class Hop(NamedTuple):
    """One server and its clients."""

    name: str
    """Of the server: that of the relay, as a client."""
    evidence: Evidence
    server: TapFacts
    """What the server's tap saw of it as a server, with the datagrams of which only a part left: these are judged as
    others."""
    above: str | None = None
    """The hop of which the relay is a client; None: this is the first server, or that is not known."""


class Tree(NamedTuple):
    """All hops, each behind the one above it, and what is wrong with them."""

    hops: tuple[Hop, ...]
    problems: tuple[str, ...]
    """In one line each; with any of them, nothing is proved."""


def lone_hop(name: str, evidence: Evidence) -> Hop:
    """Return the hop of the first server. Raises :class:`~flume.errors.EvidenceError` when its tap is not there."""
    return Hop(name, evidence, _with_incomplete(evidence.facts(evidence.server_tap)))


def tree(hops: Mapping[str, Evidence]) -> Tree:
    """Return *hops*, by the names of their servers, in their order.

    Raises :class:`~flume.errors.EvidenceError` when a tap is named that is not there.
    """
    owners = list(_relays(hops))
    problems = [*_misplaced(hops, owners), *_names(hops)]
    placed: dict[str, Hop] = {}
    waiting = dict(hops)
    while waiting:
        ready = [name for name in waiting if all(above in placed for above, _ in _of(name, owners))]
        if not ready:
            problems.append(f"{', '.join(waiting)} are behind each other: none is the first server")
            placed |= {name: lone_hop(name, evidence) for name, evidence in waiting.items()}
            break
        for name in ready:
            placed[name] = _hop(name, waiting.pop(name), _of(name, owners))
    found = tuple(placed.values())
    firsts = [hop.name for hop in found if hop.above is None]
    if len(firsts) > 1:
        problems.append(f"{', '.join(firsts)} are clients of no other server: only one of them can be the first")
    return Tree(found, (*dict.fromkeys([*problems, *_foreign(found)]),))


def _relays(hops: Mapping[str, Evidence]) -> Iterator[tuple[str, Subject]]:
    """Yield each relay with the name of the hop of which it is a client."""
    for name, evidence in hops.items():
        for subject in evidence.subjects:
            if subject.is_relay or subject.name in hops:
                yield name, subject


def _of(name: str, owners: Sequence[tuple[str, Subject]]) -> list[tuple[str, Subject]]:
    return [(above, subject) for above, subject in owners if subject.name == name]


def _hop(name: str, evidence: Evidence, owners: Sequence[tuple[str, Subject]]) -> Hop:
    facts = evidence.facts(evidence.server_tap)
    if not owners:
        return Hop(name, evidence, _with_incomplete(facts))
    above, relay = owners[0]
    return Hop(name, evidence, _with_incomplete(as_server(facts, relay.address)), above)


def _misplaced(hops: Mapping[str, Evidence], owners: Sequence[tuple[str, Subject]]) -> Iterator[str]:
    """Yield what is wrong with the relays."""
    for name, evidence in hops.items():
        mine = _of(name, owners)
        if len(mine) > 1:
            yield f"{name} is a client of {' and of '.join(above for above, _ in mine)}"
        for _, relay in mine:
            if not relay.is_relay:
                yield f"{name} has clients of its own, and its program is {relay.program}, not a relay"
            if relay.tap != evidence.server_tap:
                taps = f"as a client it is {relay.tap or 'none'}, as a server {evidence.server_tap}"
                yield f"the capture of {name} must have both of its sides: {taps}"
            if relay.address in {subject.address for subject in evidence.subjects}:
                yield f"{name} has the address {relay.address} of a client of its own"
    for above, relay in owners:
        if relay.name not in hops:
            yield f"{relay.name}, a client of {above}, is a relay, and nothing says what its own clients are"


def _names(hops: Mapping[str, Evidence]) -> Iterator[str]:
    """Yield which names and addresses are there twice, and which captures have one name."""
    subjects = [(hop, subject) for hop, evidence in hops.items() for subject in evidence.subjects]
    for what, key in (("name", "name"), ("address", "address")):
        known: dict[str, str] = {}
        for hop, subject in subjects:
            value = getattr(subject, key)
            if value in known and known[value] != hop:
                yield f"a client of {known[value]} and one of {hop} have the {what} {value}"
            known.setdefault(value, hop)
    taps: dict[str, TapFacts] = {}
    for evidence in hops.values():
        for facts in evidence.taps:
            if taps.setdefault(facts.tap.name, facts).tap != facts.tap:
                yield f"two captures have the name {facts.tap.name}"


def _foreign(hops: Sequence[Hop]) -> Iterator[str]:
    """Yield the clients that spoke with a server which is not theirs."""
    for hop in hops:
        others = {s.address: (s.name, other.name) for other in hops for s in other.evidence.subjects}
        others |= {subject.address: ("", hop.name) for subject in hop.evidence.subjects}
        ends = {fact.client[0] for fact in (*hop.server.starts, *hop.server.messages)}
        for address in sorted(ends & others.keys()):
            name, owner = others[address]
            if owner != hop.name:
                yield f"{name} belongs to {owner}, and {hop.name} has a connection of it"


def _with_incomplete(server: TapFacts) -> TapFacts:
    media = sorted((*server.media, *server.incomplete), key=lambda datagram: datagram.time_s)
    return server._replace(media=tuple(media))
