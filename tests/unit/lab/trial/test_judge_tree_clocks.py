"""A tree of relays on three hosts whose clocks differ is judged as on one host."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest

from flume.lab.evidence.clock import Clocks, HostClock
from flume.lab.evidence.facts import Evidence, TapFacts
from flume.lab.trial.case import Case
from flume.lab.trial.checks.relays import demand
from flume.lab.trial.judge import judge_tree
from flume.lab.trial.verdict import Report, Verdict
from support.captures.judging import RUN, detail, verdicts
from support.captures.other_host import OtherClock
from support.captures.relaying import LEAVES, Tree

SECONDS = 3.0
BOUND_S = 0.0001
CLOCKS = {"relay-h2": OtherClock(2.0, 60.0), "relay-h3": OtherClock(-3600.0, -60.0)}
"""Each relay's host, where its own clients are too. The first server is on the reference's."""
HOST_OF = {**{name: name for name in CLOCKS}, **{f"client-{leaf}": name for name in LEAVES for leaf in LEAVES[name]}}


def measured(host: str) -> HostClock:
    known = CLOCKS[host].measured(SECONDS, bound_s=BOUND_S)
    return HostClock(host=host, before=known.before, after=known.after)


def unknown(host: str) -> HostClock:
    return HostClock(host=host, reason="no answer")


def stamped(facts: TapFacts) -> TapFacts:
    host = HOST_OF.get(facts.tap.name)
    return facts if host is None else CLOCKS[host].tap(facts)


def hops(tree: Tree, known: Callable[[str], HostClock]) -> dict[str, Evidence]:
    return {
        name: evidence._replace(
            taps=tuple(stamped(facts) for facts in evidence.taps),
            clocks={
                facts.tap.name: known(HOST_OF[facts.tap.name]) for facts in evidence.taps if facts.tap.name in HOST_OF
            },
        )
        for name, evidence in tree.hops().items()
    }


def lossy() -> Tree:
    tree = Tree()
    tree.lost = {"relay-h2": frozenset({20, 21, 50})}
    return tree.play(SECONDS)


def same(report: Report) -> list[tuple[object, ...]]:
    """What has to be the same on one host and on several."""
    return [
        (
            one.name,
            one.verdict,
            one.balance,
            one.datagrams_active,
            one.datagrams_lost_upstream,
            one.measures.attribution,
        )
        for one in report.clients
    ]


@pytest.mark.parametrize("known", [measured, unknown])
def test_a_tree_on_several_hosts_is_judged_as_on_one(known: Callable[[str], HostClock]) -> None:
    tree = lossy()
    alone, apart = tree.report(), judge_tree(hops(tree, known), RUN)
    assert alone.verdict is Verdict.PASS
    assert same(apart) == same(alone)
    assert [(c.name, c.subject, c.verdict) for c in apart.checks] == [
        (c.name, c.subject, c.verdict) for c in alone.checks
    ]


def test_delays_have_the_bounds_of_the_clocks_that_they_lie_between() -> None:
    tree = lossy()
    found = {one.name: one.measures.wire for one in judge_tree(hops(tree, measured), RUN).clients}
    alone = {one.name: one.measures.wire for one in tree.report().clients}
    for name, wire in found.items():
        one_host = alone[name]
        assert wire is not None
        assert one_host is not None
        # A leaf and its relay are on one host, so nothing is between their clocks.
        assert wire.clock_bound_ms == (1000 * BOUND_S if name in CLOCKS else 0)
        assert wire.end_to_end_bound_ms == 1000 * BOUND_S
        for mine, true in ((wire.delay_ms, one_host.delay_ms), (wire.end_to_end_ms, one_host.end_to_end_ms)):
            assert (mine is None) == (true is None)
            if mine is not None and true is not None:
                assert mine.median == pytest.approx(true.median, abs=1000 * BOUND_S)


def test_without_an_offset_only_hosts_that_share_a_clock_have_delays() -> None:
    report = judge_tree(hops(lossy(), unknown), RUN)
    for one in report.clients:
        assert one.measures.wire is not None
        assert (one.measures.wire.delay_ms is None) == (one.name in CLOCKS)
        assert one.measures.wire.end_to_end_ms is None
        lacks = "delay" if one.name in CLOCKS else "delay from the first server on"
        assert one.measures.not_measured["wire"].startswith(f"{lacks}: the clock of host ")
    assert detail(report, "clock", "client-3").startswith("longest delay ")
    assert detail(report, "clock", "relay-h2").startswith("delays not measured: the clock of host relay-h2 was not ")


def test_clients_on_two_hosts_beside_that_of_the_server_add_both_bounds() -> None:
    """A leaf of the first relay runs on the host of the other."""
    tree = lossy()
    moved = hops(tree, measured)
    leaf = f"client-{LEAVES['relay-h2'][0]}"
    there = CLOCKS["relay-h3"]
    evidence = moved["relay-h2"]
    true = {facts.tap.name: facts for facts in tree.hops()["relay-h2"].taps}
    moved["relay-h2"] = evidence._replace(
        taps=tuple(there.tap(true[leaf]) if facts.tap.name == leaf else facts for facts in evidence.taps),
        clocks={**evidence.clocks, leaf: measured("relay-h3")},
    )
    report = judge_tree(moved, RUN)
    wire = next(one.measures.wire for one in report.clients if one.name == leaf)
    assert wire is not None
    assert wire.delay_ms is not None
    assert wire.clock_bound_ms == 2000 * BOUND_S
    assert wire.delay_ms.median == pytest.approx(0.1, abs=2000 * BOUND_S)
    assert set(verdicts(report, "clock").values()) == {Verdict.PASS}


def test_hosts_that_are_each_others_server_are_an_error_and_no_endless_loop() -> None:
    found = hops(lossy(), unknown)
    crossed = {
        "relay-h2": found["relay-h2"]._replace(subjects=(*found["relay-h2"].subjects, found["server"].subjects[1])),
        "relay-h3": found["relay-h3"]._replace(subjects=(*found["relay-h3"].subjects, found["server"].subjects[0])),
    }
    taps = tuple({facts.tap.name: facts for evidence in found.values() for facts in evidence.taps}.values())
    report = judge_tree({name: evidence._replace(taps=taps) for name, evidence in crossed.items()}, RUN)
    assert verdicts(report, "hops") == {"run": Verdict.ERROR}


def test_demand_compares_no_times_of_clocks_of_which_nothing_is_known() -> None:
    """Neither measured, nor seen in captures: windows of one host are not held against departures at another."""
    window = SimpleNamespace(opened_s=1000.0, limit_s=1001.0)
    sent = (SimpleNamespace(time_s=5000.0),)
    case = SimpleNamespace(viewers=(window,), flow=SimpleNamespace(sent=sent), started_s=0.0, clocks=Clocks())
    assert getattr(demand(cast("Case", case)), "verdict", None) is Verdict.FAIL
    case.clocks = Clocks(None, unknown("relay-h2"))
    found = demand(cast("Case", case))
    assert found is not None
    assert (found.verdict, "relay-h2" in found.detail) == (Verdict.PASS, True)
