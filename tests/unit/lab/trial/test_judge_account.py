"""The judge on the account: where every datagram is, and what link, firewall and kernel took."""

from flume.lab.evidence.facts import Claims, Counters, Evidence, Expectations, TapFacts
from flume.lab.trial.judge import judge
from flume.lab.trial.verdict import Verdict
from support.captures.judging import RUN, detail, short, verdicts
from support.captures.wire import START_S, Wire


def with_client_tap(wire: Wire, tap: TapFacts, **fields: object) -> Evidence:
    subject = wire.subject(1, tap="client-1", **fields)
    return Evidence(START_S, "server", (wire.server(), tap), (subject,), Expectations(frames_min_pct=None))


def test_both_taps_and_the_claim_agree():
    wire = short()
    report = judge(with_client_tap(wire, wire.client(1)), RUN)
    assert report.verdict is Verdict.PASS
    assert report.clients[0].datagrams_active == 50


def test_loss_on_the_link_is_balanced_by_its_counter_and_fails_unless_allowed():
    wire = short()
    tap = wire.client(1, lose=frozenset({3, 4}))
    claims = Claims(datagrams=48)
    evidence = with_client_tap(wire, tap, claims=claims, counters=Counters(lost_on_link=2))
    report = judge(evidence, RUN)
    assert (report.clients[0].datagrams_lost, report.clients[0].loss_pct) == (2, 4.0)
    assert (report.balance.lost_on_link, report.balance.unexplained) == (2, 0)
    assert (report.verdict, verdicts(report, "loss")["client-1"]) == (Verdict.FAIL, Verdict.FAIL)
    allowed = evidence._replace(expectations=Expectations(loss_max_pct=5, frames_min_pct=None))
    assert judge(allowed, RUN).verdict is Verdict.PASS


def test_what_a_lossy_link_drops_is_not_the_products_fault_and_further_loss_is():
    wire = short()
    tap = wire.client(1, lose=frozenset({3, 4}))
    lossy = Expectations(link_loses=True, frames_min_pct=None)
    counters = Counters(lost_on_link=2)
    evidence = with_client_tap(wire, tap, claims=Claims(datagrams=48), counters=counters)._replace(expectations=lossy)
    report = judge(evidence, RUN)
    assert report.verdict is Verdict.PASS
    assert detail(report, "loss", "client-1").startswith("2 datagrams, 2 of them by link and firewall; beyond these 0")
    counters = Counters(lost_on_link=2, dropped_by_receiver=1)
    evidence = with_client_tap(wire, tap, claims=Claims(datagrams=47), counters=counters)._replace(expectations=lossy)
    report = judge(evidence, RUN)
    assert (report.balance.unexplained, verdicts(report, "loss")["client-1"]) == (0, Verdict.FAIL)


def test_what_a_firewall_drops_is_counted_and_not_the_products_fault():
    wire = short()
    counters = Counters(dropped_by_firewall=2)
    report = judge(with_client_tap(wire, wire.client(1), claims=Claims(datagrams=48), counters=counters), RUN)
    assert (report.verdict, report.balance.dropped_by_firewall) == (Verdict.PASS, 2)


def test_a_damaged_datagram_is_explained_by_the_kernel_that_refused_it_and_by_nothing_else():
    wire = short()
    tap = wire.client(1)
    media = (*tap.media[:5], tap.media[5]._replace(identity=b"?" * 16), *tap.media[6:])
    damaged = tap._replace(media=media)
    counters = Counters(damaged_on_link=1)
    lossy = Expectations(link_loses=True, frames_min_pct=None)
    evidence = with_client_tap(wire, damaged, claims=Claims(datagrams=49), counters=counters)
    report = judge(evidence._replace(expectations=lossy), RUN)
    assert (report.verdict, report.balance.damaged_on_link, report.balance.unexplained) == (Verdict.PASS, 1, 0)
    evidence = with_client_tap(wire, damaged, claims=Claims(datagrams=49))
    assert verdicts(judge(evidence, RUN), "clock")["client-1"] is Verdict.ERROR


def test_frames_are_asked_only_of_a_client_that_was_given_a_player():
    wire = short()
    report = judge(wire.evidence(1), RUN)
    assert "frames" in {check.name for check in report.checks}
    blind = wire.subject(1, watches=False, claims=Claims(datagrams=50))
    report = judge(wire.evidence(1)._replace(subjects=(blind,)), RUN)
    assert report.verdict is Verdict.PASS
    assert "frames" not in {check.name for check in report.checks}


def test_loss_without_a_counter_is_unexplained():
    wire = short()
    report = judge(with_client_tap(wire, wire.client(1, lose=frozenset({3})), claims=Claims(datagrams=49)), RUN)
    assert (report.balance.unexplained, verdicts(report, "balance")["client-1"]) == (1, Verdict.FAIL)


def test_a_counter_that_contradicts_the_captures_is_an_error():
    wire = short()
    evidence = with_client_tap(wire, wire.client(1), claims=Claims(datagrams=49), counters=Counters(lost_on_link=1))
    assert verdicts(judge(evidence, RUN), "balance")["client-1"] is Verdict.ERROR


def test_drops_behind_the_tap_are_accounted_without_a_claim():
    wire = short()
    counters = Counters(dropped_by_firewall=3, dropped_by_receiver=2)
    report = judge(with_client_tap(wire, wire.client(1), claims=Claims(), counters=counters), RUN)
    assert (report.balance.received, report.balance.unexplained) == (45, 0)
    assert report.clients[0].datagrams_lost == 5


def test_without_a_tap_and_a_claim_the_balance_is_an_error():
    wire = short()
    evidence = wire.evidence(1)
    report = judge(evidence._replace(subjects=(wire.subject(1, claims=Claims()),)), RUN)
    assert verdicts(report, "balance")["client-1"] is Verdict.ERROR


def test_a_client_still_active_at_the_end_cannot_be_balanced():
    assert verdicts(judge(Wire().connect(1).stream(1, 1).evidence(1), RUN), "balance")["client-1"] is Verdict.ERROR


def test_arrival_before_departure_is_a_clock_error():
    wire = short()
    report = judge(with_client_tap(wire, wire.client(1, delay_s=-0.002)), RUN)
    assert verdicts(report, "clock")["client-1"] is Verdict.ERROR


def test_a_datagram_from_nowhere_is_an_error_and_a_second_copy_is_not():
    wire = short()
    tap = wire.client(1)
    unmatched = tap._replace(media=(*tap.media, tap.media[0]._replace(identity=b"?" * 16)))
    assert verdicts(judge(with_client_tap(wire, unmatched), RUN), "clock")["client-1"] is Verdict.ERROR
    twice = tap._replace(media=(*tap.media, tap.media[0]))
    assert judge(with_client_tap(wire, twice), RUN).verdict is Verdict.PASS
