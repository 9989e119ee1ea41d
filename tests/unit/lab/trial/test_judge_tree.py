"""The judge on a tree of relays: every hop is judged, and what was lost before a relay is told apart."""

import pytest

from flume.lab.evidence.facts import Counters, Evidence, PlayerRecord, Shown
from flume.lab.trial.figures import FIGURES
from flume.lab.trial.judge import judge, judge_tree
from flume.lab.trial.verdict import Check, ClientReport, Report, Verdict
from support.captures.judging import RUN, detail, tour, verdicts
from support.captures.relaying import LATER_S, LEAVES, Tree
from support.captures.viewing import LAG_S
from support.captures.wire import Wire, host

LOST = frozenset({40, 41, 90})
"""Of these, 41 begins a frame: frames begin in odd numbers."""


def trouble(report: Report) -> list[Check]:
    return [check for check in report.checks if check.verdict is not Verdict.PASS]


def client(report: Report, name: str) -> ClientReport:
    return next(one for one in report.clients if one.name == name)


def seen(tree: Tree, name: str, leaf: int, *, hide: frozenset[int] = frozenset(), count: int = 150) -> PlayerRecord:
    """What a leaf displays, by the numbers of the first server: each frame but those that begin in *hide*."""
    begun = {int.from_bytes(one.content, "big"): one.time_s for one in tree.below[name].media}
    numbers = [number for number in range(1, count - 2, 2) if number in begun and number not in hide]
    return PlayerRecord(tuple(Shown(begun[number] + LAG_S, number // 2) for number in numbers))


def test_two_relays_with_two_clients_each_pass():
    report = Tree().play().report()
    assert trouble(report) == []
    assert report.verdict is Verdict.PASS
    assert [(one.name, one.server, one.program) for one in report.clients] == [
        ("relay-h2", "server", "relay"),
        ("relay-h3", "server", "relay"),
        ("client-3", "relay-h2", "flume"),
        ("client-4", "relay-h2", "flume"),
        ("client-5", "relay-h3", "flume"),
        ("client-6", "relay-h3", "flume"),
    ]
    assert [one.datagrams_active for one in report.clients] == [150] * 6
    assert {one.datagrams_lost_upstream for one in report.clients} == {0}
    # Each server's own clients, and all of them once.
    assert {name: balance.sent for name, balance in report.balances.items()} == {
        "server": 300,
        "relay-h2": 300,
        "relay-h3": 300,
    }
    assert (report.balance.sent, report.balance.received, report.balance.unexplained) == (900, 900, 0)
    names = [tap.name for tap in report.taps]
    assert len(names) == len(set(names)) == 7
    assert len([check for check in report.checks if check.name == "capture"]) == 7
    assert verdicts(report, "strangers").keys() == {"server", "relay-h2", "relay-h3"}


def test_each_check_of_a_subject_is_there_once():
    checks = Tree().play().report().checks
    assert len({(check.name, check.subject) for check in checks}) == len(checks)


def test_one_hop_alone_is_judged_as_ever():
    evidence = tour().evidence(1, 2)
    assert judge_tree({"server": evidence}, RUN) == judge(evidence, RUN)
    assert "hops" not in {check.name for check in judge(evidence, RUN).checks}


def test_a_relay_that_streams_on_after_an_interrupt_is_caught_at_that_client_alone():
    tree = Tree().play()
    tree.below["relay-h2"].stream(0.2, 4)
    report = tree.report()
    assert verdicts(report, "promise") == {
        "relay-h2": Verdict.PASS,
        "relay-h3": Verdict.PASS,
        "client-3": Verdict.PASS,
        "client-4": Verdict.FAIL,
        "client-5": Verdict.PASS,
        "client-6": Verdict.PASS,
    }


def test_a_datagram_to_an_address_of_another_hop_is_one_to_a_stranger():
    tree = Tree().play()
    tree.below["relay-h3"].stream(0.02, 3)
    report = tree.report()
    assert verdicts(report, "strangers") == {
        "server": Verdict.PASS,
        "relay-h2": Verdict.PASS,
        "relay-h3": Verdict.FAIL,
    }
    assert host(3) in detail(report, "strangers", "relay-h3")
    assert client(report, "relay-h3").verdict is Verdict.FAIL


def test_a_relay_that_goes_on_receiving_without_a_viewer_is_caught():
    tree = Tree()
    for name, wire in tree.below.items():
        wire.stream(1.0, *LEAVES[name])
        for leaf in LEAVES[name]:
            wire.last("interrupt", leaf)
    tree.root.stream(1.1, 1, 2).last("interrupt", 2).stream(7, 1).last("interrupt", 1)
    report = tree.report()
    assert verdicts(report, "demand") == {"relay-h2": Verdict.FAIL, "relay-h3": Verdict.PASS}
    assert "while no client of its own was active" in detail(report, "demand", "relay-h2")
    assert {one.verdict for one in report.clients} == {Verdict.PASS, Verdict.FAIL}


@pytest.mark.parametrize("skips", [True, False], ids=["numbers skipped", "numbers go on"])
def test_what_was_lost_before_the_relay_is_told_apart(skips: bool):
    tree = Tree()
    tree.lost = {"relay-h2": LOST}
    tree.play(skips=skips)
    for leaf in (3, 4):
        tree.watch(leaf, seen(tree, "relay-h2", leaf, hide=frozenset({39, 89})))
    tree.watch(5, seen(tree, "relay-h3", 5))
    report = tree.report()
    assert [check.name for check in trouble(report) if check.subject.startswith("client")] == []
    three, five = client(report, "client-3"), client(report, "client-5")
    assert (three.datagrams_lost, three.datagrams_lost_upstream) == (0, 3)
    assert (five.datagrams_lost, five.datagrams_lost_upstream) == (0, 0)
    assert client(report, "relay-h2").balance.lost_on_link == 3
    assert three.balance.lost_on_link == 0
    found = three.measures.attribution
    assert found is not None
    # 39 lacks 40 and 41, where its end may be; 41 was lost; 89 lacks 90.
    assert (found.missing, found.upstream, found.by) == (3, 3, "numbers")
    series = three.measures.series
    assert series is not None
    assert sum(series.lost_upstream) == 3
    assert "lost" in detail(report, "sequence", "client-3") or not skips
    assert "3 datagrams were lost before it" in detail(report, "relayed", "client-3")


def test_a_loss_on_the_clients_own_link_has_its_own_cause():
    tree = Tree()
    tree.lost = {"relay-h2": frozenset({40})}
    tree.fields = {3: {"counters": Counters(lost_on_link=1)}}
    tree.play()
    # Its 60th datagram is number 60 of the first server: 40 never came.
    tap = tree.below["relay-h2"].client(3, lose=frozenset({59}))
    tree.watch(3, seen(tree, "relay-h2", 3, hide=frozenset({39, 59})))
    report = tree.report(leaf_taps={3: tap})
    found = client(report, "client-3").measures.attribution
    assert found is not None
    assert (found.missing, found.upstream, found.link) == (2, 1, 1)
    assert verdicts(report, "attribution")["client-3"] is Verdict.PASS
    assert client(report, "client-3").balance.lost_on_link == 1


def test_a_relay_that_keeps_what_reached_it_is_caught():
    tree = Tree()
    tree.lost = {"relay-h2": LOST}
    tree.play()
    tree.lost = {}
    report = tree.report()
    assert verdicts(report, "relayed")["client-3"] is Verdict.FAIL
    assert "relay-h2 kept 3 datagrams" in detail(report, "relayed", "client-3")
    assert verdicts(report, "relayed")["client-5"] is Verdict.PASS


def test_what_the_kernel_of_the_relay_dropped_is_no_fault_of_the_relay():
    tree = Tree()
    tree.lost = {"relay-h2": LOST}
    tree.play()
    tree.lost = {}
    hops = tree.hops()
    relays = (tree.relay("relay-h2", counters=Counters(dropped_by_receiver=3)), tree.relay("relay-h3"))
    report = judge_tree({**hops, "server": hops["server"]._replace(subjects=relays)}, RUN)
    assert verdicts(report, "relayed")["client-3"] is Verdict.PASS


def test_a_relay_that_skips_a_number_without_a_loss_breaks_the_numbering():
    tree = Tree().play()
    wire = tree.below["relay-h2"]
    wire.media[:] = [
        one._replace(sequence=one.sequence + 1) if one.sequence is not None and one.sequence > 1050 else one
        for one in wire.media
    ]
    report = tree.report()
    assert verdicts(report, "sequence")["client-3"] is Verdict.FAIL


def test_a_relay_that_sends_what_it_was_not_sent_proves_nothing():
    tree = Tree().play()
    wire = tree.below["relay-h2"]
    wire.media[:] = [one._replace(content=b"changed") for one in wire.media]
    report = tree.report()
    assert verdicts(report, "relayed")["client-3"] is Verdict.ERROR


def test_datagrams_that_are_alike_have_their_places():
    tree = Tree()
    tree.lost = {"relay-h2": LOST}
    tree.play()
    alike = {number.to_bytes(16, "big") for number in range(30, 150, 5)}
    for wire in (tree.root, *tree.below.values()):
        wire.media[:] = [one._replace(content=b"padding") if one.content in alike else one for one in wire.media]
    report = tree.report()
    assert client(report, "client-3").datagrams_lost_upstream == 3
    assert {one.verdict for one in report.clients if one.server != "server"} == {Verdict.PASS}


def test_the_delay_from_end_to_end_spans_the_relay():
    report = Tree().play().report()
    wire = client(report, "client-3").measures.wire
    assert wire is not None
    assert wire.delay_ms is not None
    assert wire.end_to_end_ms is not None
    assert wire.delay_ms.median == pytest.approx(0.1, abs=0.01)
    assert wire.end_to_end_ms.median == pytest.approx(1000 * (LATER_S - 0.01 + 0.0001), abs=15)
    above = client(report, "relay-h2").measures.wire
    assert above is not None
    assert above.end_to_end_ms is None


def test_the_figures_of_a_viewer_span_the_relay():
    tree = Tree()
    tree.lost = {"relay-h2": LOST}
    tree.play()
    report = tree.watch(3, seen(tree, "relay-h2", 3, hide=frozenset({39, 89}))).report()
    three = client(report, "client-3")
    assert FIGURES["loss_pct"].read(three) == pytest.approx(2.0)
    glass, wire = three.measures.playback, three.measures.wire
    assert glass is not None
    assert glass.glass_to_glass_ms is not None
    assert wire is not None
    assert wire.end_to_end_ms is not None
    # The player shows a frame so long after the relay sent it; the first server had sent it before.
    above_ms = wire.end_to_end_ms.median - 0.1
    assert glass.glass_to_glass_ms.median == pytest.approx(1000 * LAG_S + above_ms, abs=0.1)


def test_two_relays_in_a_row():
    """A client behind relay-h3, which is a client of relay-h2: what the first one lost is lost for it, too."""
    tree = Tree()
    tree.lost = {"relay-h2": LOST}
    tree.play()
    first = tree.below["relay-h2"]
    last = Wire((host(4), 5004), ssrc=40)
    last.now_s, last.sequence, last.ahead = first.starts[-1].time_s + 0.2, 5000, -5000
    last.connect(9)
    for number in range(150):
        if number in LOST or number == 70:
            last.sequence += 1
            last.wait(0.02)
        else:
            last.stream(0.02, 9)
    last.last("interrupt", 9)
    hops = tree.hops()
    del hops["relay-h3"]
    hops["server"] = hops["server"]._replace(subjects=(tree.relay("relay-h2"),), taps=hops["server"].taps[:2])
    # Number 70 was lost between the relays: of those that left the first one, the 69th.
    tree.fields[4] = {"counters": Counters(lost_on_link=1), "program": "relay", "watches": False}
    tree.claims[4] = {"datagrams": None, "frames_displayed": None}
    tap = first.client(4, lose=frozenset({68}))
    both = Wire()
    for side in (first, last):
        both.starts += [one for one in side.starts if side is last or one.client[0] == host(4)]
        both.messages += [one for one in side.messages if side is last or one.client[0] == host(4)]
        both.consents += [one for one in side.consents if side is last or one.client[0] == host(4)]
    both.media += [*tap.media, *last.media]
    both.sources |= {host(1), host(9)}
    facts = both.build(tap.tap._replace(last_s=last.now_s))
    three, four = tree.leaf("relay-h2", 3), tree.leaf("relay-h2", 4)
    three_tap = next(one for one in hops["relay-h2"].taps if one.tap.name == "client-3")
    relayed = hops["relay-h2"]._replace(taps=(tree.relay_tap("relay-h2"), three_tap, facts), subjects=(three, four))
    leaf = Evidence(relayed.started_s, "client-4", (facts, last.client(9)), (last.subject(9, tap="client-9"),))
    # The order in which they are given does not matter.
    without = {"client-4": leaf, "relay-h2": relayed, "server": _of_one(hops["server"])}
    report = judge_tree(without, RUN)
    assert [check for check in trouble(report) if check.name in {"hops", "relayed", "sequence", "promise"}] == []
    nine = client(report, "client-9")
    assert (nine.server, nine.datagrams_lost, nine.datagrams_lost_upstream) == ("client-4", 0, 4)


def _of_one(evidence: Evidence) -> Evidence:
    """The first server with its first client alone."""
    server, *others = evidence.taps
    mine = evidence.subjects[0].address
    media = tuple(one for one in server.media if one.destination[0] == mine)
    messages = tuple(one for one in server.messages if one.client[0] == mine)
    return evidence._replace(taps=(server._replace(media=media, messages=messages), *others))
