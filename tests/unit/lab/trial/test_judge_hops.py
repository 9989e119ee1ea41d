"""Which client belongs to which server: a wrong tree is an error. What hops share is counted once."""

from typing import Any

import msgspec
import pytest

from flume.lab.evidence.facts import Backlog, Evidence
from flume.lab.trial.judge import judge, judge_tree
from flume.lab.trial.verdict import RunFacts, Verdict
from support.captures.judging import RUN, detail, verdicts
from support.captures.relaying import Tree
from support.captures.wire import Wire, host


def _swapped(hops: dict[str, Evidence]) -> dict[str, Evidence]:
    """The clients of one relay are said to be those of the other."""
    two, three = hops["relay-h2"], hops["relay-h3"]
    taps = {facts.tap.name: facts for hop in hops.values() for facts in hop.taps}
    return {
        **hops,
        "relay-h2": two._replace(subjects=three.subjects, taps=tuple(taps.values())),
        "relay-h3": three._replace(subjects=two.subjects, taps=tuple(taps.values())),
    }


def _changed(hops: dict[str, Evidence], **fields: Any) -> dict[str, Evidence]:
    """The first relay, as a client, is another."""
    first, *others = hops["server"].subjects
    return {
        **hops,
        "server": hops["server"]._replace(subjects=(msgspec.structs.replace(first, **fields), *others)),
    }


def _joined(hop: Evidence, other: Evidence) -> Evidence:
    """*hop* with the first client of *other*."""
    return hop._replace(subjects=(*hop.subjects, other.subjects[0]), taps=(*hop.taps, other.taps[1]))


def _recounted(hop: Evidence, packets: int) -> Evidence:
    taps = (facts._replace(tap=facts.tap._replace(packets=packets)) for facts in hop.taps)
    return hop._replace(taps=tuple(taps))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (_swapped, "client-5 belongs to relay-h2, and relay-h3 has a connection of it"),
        (lambda hops: _changed(hops, name="relay-h9"), "nothing says what its own clients are"),
        (lambda hops: _changed(hops, name="relay-h9"), "server, relay-h2 are clients of no other server"),
        (lambda hops: _changed(hops, program="flume"), "its program is flume, not a relay"),
        (lambda hops: _changed(hops, tap="relay-h3"), "must have both of its sides"),
        (lambda hops: _changed(hops, address=host(3)), "has the address 198.18.0.13 of a client of its own"),
        (
            lambda hops: {**hops, "relay-h3": _joined(hops["relay-h3"], hops["server"])},
            "relay-h2 is a client of server and of relay-h3",
        ),
        (
            lambda hops: {
                name: hop._replace(
                    taps=tuple(t._replace(tap=t.tap._replace(packets=hop is hops["server"])) for t in hop.taps)
                )
                for name, hop in hops.items()
            },
            "two captures have the name relay-h2",
        ),
    ],
)
def test_a_wrong_tree_is_an_error(wrong: Any, said: str):
    hops = Tree().play().hops()
    report = judge_tree(wrong(hops), RUN)
    assert report.verdict is Verdict.ERROR
    assert verdicts(report, "hops") == {"run": Verdict.ERROR}
    assert said in detail(report, "hops", "run")


def test_relays_behind_each_other_are_an_error():
    hops = Tree().play().hops()
    del hops["server"]
    relays = {name: Tree().relay(name) for name in hops}
    swapped = {"relay-h2": relays["relay-h3"], "relay-h3": relays["relay-h2"]}
    taps = {facts.tap.name: facts for hop in hops.values() for facts in hop.taps}
    round_trip = {
        name: hop._replace(subjects=(*hop.subjects, swapped[name]), taps=tuple(taps.values()))
        for name, hop in hops.items()
    }
    report = judge_tree(round_trip, RUN)
    assert report.verdict is Verdict.ERROR
    assert "behind each other" in detail(report, "hops", "run")


def test_what_one_kernel_dropped_is_counted_once():
    """One datagram is missing in each of two hops, without a link that lost it; the kernel dropped one in all."""
    tree = Tree().play()
    taps = {3: tree.below["relay-h2"].client(3, lose=frozenset({10}))}
    taps[5] = tree.below["relay-h3"].client(5, lose=frozenset({10}))
    tree.claims = {leaf: {"datagrams": 149} for leaf in (3, 5)}
    hops = tree.hops(taps)
    one = Backlog(1, 1000)
    report = judge_tree({name: hop._replace(backlog=one) for name, hop in hops.items()}, RUN)
    assert report.balance.dropped_by_backlog == 0, "two are missing, and one was dropped"
    assert verdicts(report, "backlog").keys() == {"run"}
    two = Backlog(2, 1000)
    report = judge_tree({name: hop._replace(backlog=two) for name, hop in hops.items()}, RUN)
    assert report.balance.dropped_by_backlog == 2
    apart = {name: hop._replace(backlog=Backlog(1, 1000)) for name, hop in hops.items()}
    assert verdicts(judge_tree(apart, RUN), "backlog").keys() == {"server", "relay-h2", "relay-h3"}


def test_what_crossed_between_hosts_is_counted():
    hosts = {
        "server": "h1",
        "relay-h2": "h2",
        "relay-h3": "h3",
        **dict.fromkeys(("client-3", "client-4"), "h2"),
        **dict.fromkeys(("client-5", "client-6"), "h3"),
    }
    report = judge_tree(Tree().play().hops(), RunFacts(run="hosts", hosts=hosts))
    links = [(one.source, one.destination, one.datagrams, one.bytes) for one in report.host_links]
    assert links == [("h1", "h2", 150, 150 * 1328), ("h1", "h3", 150, 150 * 1328)]
    # Without relays each client costs the link anew.
    wire = Wire().connect(1).connect(2).stream(1, 1, 2).last("interrupt", 1).last("interrupt", 2)
    subjects = tuple(wire.subject(number, tap=f"client-{number}") for number in (1, 2))
    evidence = wire.evidence(1, 2)._replace(subjects=subjects)
    evidence = evidence._replace(taps=(*evidence.taps, wire.client(1), wire.client(2)))
    far = {"server": "h1", "client-1": "h2", "client-2": "h2"}
    (link,) = judge(evidence, RunFacts(run="hosts", hosts=far)).host_links
    assert (link.source, link.destination, link.datagrams) == ("h1", "h2", 100)
    assert judge(evidence, RUN).host_links == []
    assert judge(evidence, RunFacts(run="one", hosts=dict.fromkeys(far, "h1"))).host_links == []
