"""The judge on evidence written by hand: what must pass, what must fail and why, what proves nothing."""

import io
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from flume.errors import EvidenceError, SettingsError
from flume.lab.evidence.facts import END_GRACE_S, Claims, Counters, Evidence, Expectations, Refusal, TapFacts
from flume.lab.report.writer import table
from flume.lab.trial.flows import classify
from flume.lab.trial.judge import judge
from flume.lab.trial.sessions import reconstruct
from flume.lab.trial.verdict import Check, Report, RunFacts, Verdict, worst
from support.captures.wire import START_S, Wire, host

RUN = RunFacts(run="r1", engine={"name": "paper"}, timings={"start": 1.0})


def verdicts(report: Report, name: str) -> dict[str, Verdict]:
    return {check.subject: check.verdict for check in report.checks if check.name == name}


def detail(report: Report, name: str, subject: str) -> str:
    return next(check.detail for check in report.checks if (check.name, check.subject) == (name, subject))


def tour() -> Wire:
    """Client 1 stays; client 2 is interrupted, continues and disconnects."""
    wire = Wire().connect(1).connect(2).stream(1, 1, 2).last("interrupt", 2).stream(1, 1)
    wire.request(2, "continue").reply(2, "continue", state="active", first_sequence=wire.sequence)
    return wire.stream(1, 1, 2).last("disconnect", 2).stream(0.5, 1).last("disconnect", 1)


def test_a_clean_tour_passes_and_is_described():
    wire = tour()
    report = judge(wire.evidence(1, 2), RUN)
    assert report.verdict is Verdict.PASS, [check for check in report.checks if check.verdict is not Verdict.PASS]
    one, two = report.clients
    assert (one.datagrams_active, two.datagrams_active) == (175, 100)
    assert [len(client.active_windows) for client in report.clients] == [1, 2]
    assert two.active_windows[0][1] - two.active_windows[0][0] == pytest.approx(1.0, abs=0.01)
    assert [command.command for command in two.commands] == ["connect", "interrupt", "continue", "disconnect"]
    assert all(command.answer == "ok" for command in two.commands)
    assert (report.balance.sent, report.balance.received, report.balance.unexplained) == (275, 275, 0)
    assert sum(one.timeline.sent) == 175
    assert sum(one.timeline.leaked) == 0
    assert report.timings == {"start": 1.0}
    assert one.first_datagram_ms is not None
    # Each window's end cuts the frame that is on the way.
    assert one.frames_due == 86
    assert two.frames_due == 48


def leak(wire: Wire) -> tuple[Verdict, dict[str, int]]:
    report = judge(wire.evidence(1, 2), RUN)
    client = report.clients[1]
    assert client.datagrams_leaked == sum(client.leak_reasons.values()) == sum(client.timeline.leaked)
    assert verdicts(report, "promise")["client-1"] is Verdict.PASS
    return verdicts(report, "promise")["client-2"], client.leak_reasons


def two() -> Wire:
    return Wire().connect(1).connect(2).stream(1, 1, 2)


def test_acknowledged_too_early_is_caught():
    assert leak(two().last("interrupt", 2).stream(0.04, 1, 2).stream(1, 1)) == (Verdict.FAIL, {"after_interrupt": 2})


def test_one_datagram_a_microsecond_after_the_reply_is_caught():
    wire = two().last("interrupt", 2).wait(-0.001 + 0.000001).stream(0.02, 2).stream(1, 1)
    assert leak(wire) == (Verdict.FAIL, {"after_interrupt": 1})


def test_streaming_while_interrupted_is_caught():
    assert leak(two().last("interrupt", 2).stream(1, 1, 2)) == (Verdict.FAIL, {"while_interrupted": 50})


def test_streaming_after_disconnect_is_caught():
    assert leak(two().last("disconnect", 2).stream(0.1, 1, 2)) == (Verdict.FAIL, {"after_disconnect": 5})
    assert leak(two().last("disconnect", 2).stream(1, 1, 2)) == (Verdict.FAIL, {"while_disconnected": 50})


def test_streaming_after_the_server_closed_is_caught():
    wire = two().event(2, "closed", state="closed").stream(0.1, 1, 2)
    assert leak(wire) == (Verdict.FAIL, {"after_close": 5})


def test_streaming_before_consent_is_caught():
    wire = Wire().connect(1).open(2).ask(2, "00ff")
    wire.stream(0.1, 1, 2).consent(2, "00ff").stream(1, 1, 2).last("interrupt", 2)
    assert leak(wire) == (Verdict.FAIL, {"before_consent": 5})


def test_a_wrong_token_and_a_token_from_another_host_are_no_consent():
    for client, token in ((2, "00fe"), (1, "00ff")):
        wire = Wire().connect(1).open(2).ask(2, "00ff")
        wire.consent(client, token, port=50001).stream(0.1, 1, 2).stream(1, 1)
        assert leak(wire) == (Verdict.FAIL, {"before_consent": 5})


def test_streaming_before_the_second_consent_is_caught():
    wire = two().last("disconnect", 2).ask(2, "00ff")
    assert leak(wire.stream(0.1, 1, 2)) == (Verdict.FAIL, {"before_consent": 5})


def test_streaming_to_a_host_that_never_asked_is_caught():
    wire = Wire().connect(1).open(2).request(2, "status").reply(2, "status", state="closed").stream(0.1, 1, 2)
    assert leak(wire.stream(1, 1)) == (Verdict.FAIL, {"never_connected": 5})


def test_streaming_to_another_port_of_an_active_client_is_caught():
    assert leak(two().stream(0.1, 2, port=50009).stream(1, 1)) == (Verdict.FAIL, {"wrong_address": 5})


def moved(wire: Wire) -> Wire:
    """Client 2 is streamed to; then its token comes from another port."""
    return wire.stream(0.1, 1, 2).consent(2, "00ff", port=50001)


def two_with_tokens() -> Wire:
    wire = Wire().connect(1).open(2).ask(2, "00ff").consent(2, "00ff")
    return wire.event(2, "active", state="active", first_sequence=0)


def test_a_stream_may_move_to_where_its_token_comes_from_and_remains_one_window():
    wire = moved(two_with_tokens()).stream(0.02, 1, 2)  # the server has not noticed yet
    wire.stream(0.2, 1, 2, port=50001)
    sent = sum(datagram.destination[0] == host(2) for datagram in wire.media)
    wire.request(2, "interrupt").reply(2, "interrupt", state="x", last_sequence=wire.sequence - 1, datagrams=sent)
    wire.request(2, "continue").reply(2, "continue", state="active", first_sequence=wire.sequence)
    wire.stream(0.1, 2, port=50001).last("interrupt", 2).stream(0.2, 1).last("interrupt", 1)
    sessions = reconstruct(wire.server())
    mine = [window for window in sessions.windows if window.control[0] == host(2)]
    assert [len(window.endpoints) for window in mine] == [2, 1]
    flow = classify(host(2), [d for d in wire.media if d.destination[0] == host(2)], sessions)
    assert (len(flow.leaked), [len(window) for window in flow.allowed]) == (0, [sent, 5])


def test_a_stream_that_moves_while_interrupted_goes_on_at_the_new_place():
    wire = two_with_tokens().stream(0.1, 1, 2).last("interrupt", 2).consent(2, "00ff", port=50001)
    wire.request(2, "continue").reply(2, "continue", state="active", first_sequence=wire.sequence)
    wire.stream(0.1, 1, 2, port=50001)
    assert (
        classify(host(2), [d for d in wire.media if d.destination[0] == host(2)], reconstruct(wire.server())).leaked
        == ()
    )


def test_after_a_move_the_old_place_gets_nothing_more():
    wire = moved(two_with_tokens()).stream(0.1, 2, port=50001).stream(0.1, 2)
    assert leak(wire.stream(1, 1)) == (Verdict.FAIL, {"wrong_address": 5})


def test_a_move_needs_the_session_s_own_token():
    wire = two_with_tokens().stream(0.1, 1, 2).consent(2, "0000", port=50001).stream(0.1, 2, port=50001)
    assert leak(wire.stream(1, 1)) == (Verdict.FAIL, {"wrong_address": 5})


@pytest.mark.parametrize(("late_s", "leaked"), [(0.05, 0), (END_GRACE_S + 0.1, 5)])
def test_a_token_that_arrives_just_after_the_connection_s_end_may_still_be_answered(late_s, leaked):
    wire = Wire().connect(1).open(2).ask(2, "00ff").end(2).wait(late_s).consent(2, "00ff").stream(0.1, 1, 2)
    flow = classify(host(2), [d for d in wire.media if d.destination[0] == host(2)], reconstruct(wire.server()))
    assert len(flow.leaked) == leaked


def test_after_the_server_s_own_end_a_token_opens_nothing():
    wire = Wire().connect(1).open(2).ask(2, "00ff").end(2, by_server=True).consent(2, "00ff").stream(0.1, 1, 2)
    assert leak(wire.stream(1, 1))[0] is Verdict.FAIL


def test_a_refused_interrupt_closes_nothing_and_a_refused_continue_opens_nothing():
    wire = two().request(2, "continue").refuse(2, "continue", "illegal", state="active")
    wire.request(2, "interrupt").refuse(2, "interrupt", "illegal", state="active").stream(0.1, 1, 2)
    assert leak(wire)[0] is Verdict.PASS
    wire.last("interrupt", 2).request(2, "continue")
    wire.refuse(2, "continue", "overloaded", state="interrupted").stream(0.1, 1, 2)
    assert leak(wire) == (Verdict.FAIL, {"after_interrupt": 5})


def test_datagrams_between_a_granted_continue_and_its_reply_are_allowed():
    wire = two().last("interrupt", 2).request(2, "continue").stream(0.1, 1, 2)
    assert leak(wire.reply(2, "continue", state="active"))[0] is Verdict.PASS


def test_an_interrupt_and_a_continue_in_one_segment_share_a_boundary():
    wire = two()
    sent = len([datagram for datagram in wire.media if datagram.destination[0] == host(2)])
    wire.request(2, "interrupt").wait(-0.001).request(2, "continue").stream(0.04, 1, 2)
    wire.reply(2, "interrupt", state="interrupted", datagrams=sent + 2).reply(2, "continue", state="active")
    wire.stream(1, 1, 2).request(2, "interrupt").reply(2, "interrupt", state="interrupted", datagrams=50)
    assert verdicts(judge(wire.evidence(1, 2), RUN), "acknowledged")["client-2"] is Verdict.PASS
    first, second = reconstruct(wire.server()).windows[1:]
    assert first.closed_s == second.opened_s


def test_the_end_of_the_connection_has_a_named_grace():
    assert leak(two().end(2).stream(END_GRACE_S - 0.02, 1, 2).stream(1, 1))[0] is Verdict.PASS
    verdict, reasons = leak(two().end(2).stream(END_GRACE_S + 0.1, 1, 2).stream(1, 1))
    assert (verdict, set(reasons)) == (Verdict.FAIL, {"after_connection_end"})
    # The server knows of its own end at once.
    assert leak(two().end(2, by_server=True).stream(0.1, 1, 2))[0] is Verdict.FAIL


def test_a_port_used_again_begins_a_new_session():
    wire = (
        two()
        .end(2)
        .wait(END_GRACE_S + 0.5)
        .open(2)
        .request(2, "status")
        .reply(2, "status", state="closed")
        .stream(0.1, 1, 2)
    )
    assert leak(wire) == (Verdict.FAIL, {"after_connection_end": 5})
    sessions = reconstruct(wire.server())
    assert [window.closed_by for window in sessions.windows] == ["nothing", "connection"]


def test_a_reply_that_follows_the_fin_still_answers_its_request():
    wire = two().request(2, "interrupt").end(2).reply(2, "interrupt", state="interrupted")
    answers = {
        command.command: command.answer
        for command in reconstruct(wire.server()).commands
        if command.control[0] == host(2)
    }
    assert answers == {"connect": "ok", "interrupt": "ok"}


def test_strangers_are_caught():
    wire = tour().stream(0.1, 9)
    report = judge(wire.evidence(1, 2), RUN)
    assert verdicts(report, "strangers") == {"run": Verdict.FAIL}
    assert host(9) in detail(report, "strangers", "run")


def test_a_session_older_than_the_capture_is_an_error_not_a_leak():
    wire = Wire().connect(1).request(2, "interrupt").stream(0.1, 1, 2)
    report = judge(wire.evidence(1, 2), RUN)
    assert verdicts(report, "promise")["client-2"] is Verdict.ERROR
    wire.reply(2, "disconnect", state="closed").stream(0.1, 1, 2)
    assert verdicts(judge(wire.evidence(1, 2), RUN), "promise")["client-2"] is Verdict.FAIL


@pytest.mark.parametrize("problem", ["the file is cut off", "no packet"])
def test_a_capture_with_a_problem_is_an_error_whatever_it_shows(problem: str):
    wire = tour()
    wire.problem = problem
    report = judge(wire.evidence(1, 2), RUN)
    assert report.verdict is Verdict.ERROR
    assert detail(report, "capture", "server") == problem
    assert report.taps[0].problem == problem


def test_no_media_and_no_window_is_no_evidence():
    assert judge(Wire().open(1).request(1, "status").evidence(1), RUN).verdict is Verdict.ERROR
    assert judge(tour().evidence(), RUN).verdict is Verdict.ERROR


def test_two_clients_with_one_address_cannot_be_told_apart():
    wire = tour()
    evidence = wire.evidence(1, 2)
    report = judge(evidence._replace(subjects=(evidence.subjects[0], evidence.subjects[0])), RUN)
    assert verdicts(report, "subjects") == {"run": Verdict.ERROR}


def test_an_active_client_that_is_sent_nothing_fails():
    wire = Wire().connect(1).connect(2).stream(3, 1).last("interrupt", 2).last("interrupt", 1)
    report = judge(wire.evidence(1, 2), RUN)
    assert verdicts(report, "reception") == {"client-1": Verdict.PASS, "client-2": Verdict.FAIL}
    alone = Wire().connect(1).wait(3).last("interrupt", 1)
    assert verdicts(judge(alone.evidence(1), RUN), "evidence") == {"run": Verdict.PASS}
    assert verdicts(judge(alone.evidence(1), RUN), "reception") == {"client-1": Verdict.FAIL}


def test_silence_must_be_earned():
    wire = Wire().connect(1).stream(1, 1).last("interrupt", 1)
    absent = judge(wire.evidence(1, 2), RUN)
    assert verdicts(absent, "silence") == {"client-1": Verdict.PASS, "client-2": Verdict.ERROR}
    wire.open(2).request(2, "status").reply(2, "status", state="closed")
    assert judge(wire.evidence(1, 2), RUN).verdict is Verdict.PASS
    alone = Wire().open(2).request(2, "status").reply(2, "status", state="closed")
    assert verdicts(judge(alone.evidence(2), RUN), "silence") == {"client-2": Verdict.ERROR}


def test_commands_are_compared_with_the_plan():
    wire = tour()
    evidence = wire.evidence(1, 2)

    def planned(*commands: str) -> Verdict:
        subjects = (evidence.subjects[0], wire.subject(2, commands=commands))
        return verdicts(judge(evidence._replace(subjects=subjects), RUN), "commands")["client-2"]

    assert planned("connect", "status", "interrupt", "continue", "disconnect") is Verdict.PASS
    assert planned("connect", "interrupt") is Verdict.FAIL
    wire.request(2, "continue").refuse(2, "continue", "illegal", state="closed")
    evidence = wire.evidence(1, 2)
    assert planned("connect", "interrupt", "continue", "disconnect", "continue") is Verdict.FAIL


def with_client_tap(wire: Wire, tap: TapFacts, **fields: object) -> Evidence:
    subject = wire.subject(1, tap="client-1", **fields)
    return Evidence(START_S, "server", (wire.server(), tap), (subject,), Expectations(frames_min_pct=None))


def short() -> Wire:
    return Wire().connect(1).stream(1, 1).last("interrupt", 1)


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


def test_the_numbering_of_the_server_is_judged():
    wire = two()
    wire.sequence += 1
    wire.stream(1, 1, 2).last("interrupt", 1).last("interrupt", 2)
    assert set(verdicts(judge(wire.evidence(1, 2), RUN), "sequence").values()) == {Verdict.FAIL}
    wire = two().last("interrupt", 2).request(2, "continue").reply(2, "continue", state="active")
    wire.sequence -= 10
    wire.stream(0.1, 2).last("interrupt", 2)
    report = judge(wire.evidence(1, 2), RUN)
    assert verdicts(report, "sequence") == {"client-1": Verdict.PASS, "client-2": Verdict.FAIL}


def test_a_hole_after_the_client_refused_datagrams_is_the_clients():
    wire = two()
    wire.sequence += 8
    refused_s = wire.now_s
    wire.stream(0.1, 1, 2).last("interrupt", 1)
    for media, verdict in ((wire.media_address(2), Verdict.PASS), ((host(2), 50001), Verdict.FAIL)):
        wire.refusals = [Refusal(refused_s, media)]
        report = judge(wire.evidence(1, 2), RUN)
        assert verdicts(report, "sequence") == {"client-1": Verdict.FAIL, "client-2": verdict}


def test_a_new_session_may_get_the_same_datagrams_again():
    wire = two().last("disconnect", 2).ask(2)
    wire.sequence -= 10
    wire.consent(2).stream(0.1, 2).last("interrupt", 2)
    assert verdicts(judge(wire.evidence(1, 2), RUN), "sequence")["client-2"] is Verdict.PASS


def test_numbers_that_wrap_are_no_hole():
    wire = Wire()
    wire.sequence = 65520
    wire.connect(1).stream(1, 1).last("interrupt", 1)
    assert verdicts(judge(wire.evidence(1), RUN), "sequence")["client-1"] is Verdict.PASS


@pytest.mark.parametrize(
    ("field", "value"), [("datagrams", 51), ("last_sequence", 3)], ids=["counts one too many", "names another last one"]
)
def test_an_acknowledgement_that_contradicts_the_wire_fails(field: str, value: int):
    wire = Wire().connect(1).stream(1, 1).request(1, "interrupt")
    truth: dict[str, Any] = {"datagrams": 50, "last_sequence": 49}
    good = judge(wire.reply(1, "interrupt", state="interrupted", **truth).evidence(1), RUN)
    assert verdicts(good, "acknowledged")["client-1"] is Verdict.PASS
    wire.messages.pop()
    bad = judge(wire.reply(1, "interrupt", state="interrupted", **{**truth, field: value}).evidence(1), RUN)
    assert verdicts(bad, "acknowledged")["client-1"] is Verdict.FAIL


def test_a_wrong_announcement_fails():
    wire = Wire().connect(1)
    wire.sequence += 5
    assert verdicts(judge(wire.stream(1, 1).evidence(1), RUN), "acknowledged")["client-1"] is Verdict.FAIL


@pytest.mark.parametrize(
    ("shown", "verdict"),
    [(24, Verdict.PASS), (25, Verdict.PASS), (23, Verdict.FAIL), (26, Verdict.ERROR), (None, Verdict.ERROR)],
)
def test_frames_displayed(shown: int | None, verdict: Verdict):
    wire = short()
    evidence = wire.evidence(1)
    claims = Claims(datagrams=50, frames_displayed=shown)
    report = judge(evidence._replace(subjects=(wire.subject(1, claims=claims),)), RUN)
    assert report.clients[0].frames_due == 24
    assert verdicts(report, "frames")["client-1"] is verdict


def goes_on(wire: Wire, seconds: float, *, missing: int = 0) -> Wire:
    """Continue with the very next datagram, or with one *missing* datagrams later; then interrupt."""
    wire.sequence += missing
    return wire.request(1, "continue").reply(1, "continue", state="active").stream(seconds, 1).last("interrupt", 1)


@pytest.mark.parametrize(
    ("missing", "due", "cut"), [(0, 49, 1), (30, 48, 2)], ids=["goes on with the next datagram", "goes on later"]
)
def test_a_window_owes_the_frame_that_its_end_cut_only_if_the_next_window_completes_it(missing, due, cut):
    client = judge(goes_on(short(), 1, missing=missing).evidence(1), RUN).clients[0]
    assert (client.frames_due, client.frames_cut) == (due, cut)


def test_a_frame_that_needs_three_windows_is_due_once_and_not_when_the_third_never_comes():
    begun = goes_on(short(), 0.02)  # one datagram, in which no frame begins
    assert judge(begun.evidence(1), RUN).clients[0].frames_due == 24
    whole, broken = goes_on(begun, 1), goes_on(goes_on(short(), 0.02), 1, missing=30)
    assert judge(whole.evidence(1), RUN).clients[0].frames_due == 49
    assert judge(broken.evidence(1), RUN).clients[0].frames_due == 48


def test_showing_cut_frames_as_well_is_told_and_never_more_than_all():
    wire = goes_on(short(), 1, missing=30)
    report = judge(wire.evidence(1), RUN)
    told = "50 displayed of 48 due and up to 2 that a window's end cut, 100.0 % (least 99 %)"
    assert detail(report, "frames", "client-1") == told
    rows = io.StringIO()
    Console(file=rows, width=120).print(table(report))
    assert " 50/48+2 " in rows.getvalue()


def test_join_time():
    wire = short()
    for most, verdict in ((100.0, Verdict.PASS), (99.0, Verdict.FAIL)):
        report = judge(wire.evidence(1, expectations=Expectations(join_max_ms=most)), RUN)
        assert verdicts(report, "join")["client-1"] is verdict


def test_the_worst_verdict_wins():
    assert worst([]) is Verdict.ERROR
    order = [Verdict.PASS, Verdict.UNSUPPORTED, Verdict.FAIL, Verdict.ERROR]
    for position, verdict in enumerate(order):
        assert worst(order[: position + 1]) is verdict
    assert [verdict.exit_code for verdict in order] == [0, 4, 1, 3]
    extra = Check(name="netem", verdict=Verdict.UNSUPPORTED, subject="run", detail="no sch_netem")
    assert judge(tour().evidence(1, 2), RUN, [extra]).verdict is Verdict.UNSUPPORTED


def test_a_tap_that_is_not_there_is_an_error():
    with pytest.raises(EvidenceError, match="no capture named 'elsewhere'"):
        judge(tour().evidence(1)._replace(server_tap="elsewhere"), RUN)


def test_expectations_are_checked():
    with pytest.raises(SettingsError, match="loss_max_pct"):
        Expectations(loss_max_pct=101)


def test_windows_still_open_at_the_end_have_no_end():
    assert reconstruct(Wire().connect(1).server()).windows[0].closed_s == math.inf


NEXT = {  # how a correct server answers: state and command to state
    ("closed", "connect"): "connecting",
    ("connecting", "consent"): "active",
    ("connecting", "disconnect"): "closed",
    ("active", "interrupt"): "interrupted",
    ("active", "disconnect"): "closed",
    ("interrupted", "continue"): "active",
    ("interrupted", "disconnect"): "closed",
}
STEPS = st.sampled_from(["connect", "consent", "interrupt", "continue", "disconnect", "status", "wait"])


def play(steps: list[str], leak_at: int | None) -> tuple[Wire, bool]:
    """Let client 2 do *steps*, refused where illegal.

    One datagram is slipped in after step *leak_at*; return whether it was a leak.
    """
    wire, state, leaked = Wire().connect(1).open(2), "closed", False
    for position, step in enumerate(steps):
        after = NEXT.get((state, step))
        if step == "consent":
            wire.consent(2, f"{position:032x}" if after is None else wire.last_text)
        elif step == "wait":
            wire.stream(0.1, 1, *([2] if state == "active" else []))
        elif step == "connect" and after:
            wire.ask(2, f"{position:032x}")
            wire.last_text = f"{position:032x}"
        elif after or step == "status":
            wire.request(2, step).reply(2, step, state=after or state)
        else:
            wire.request(2, step).refuse(2, step, "not_allowed_now", state=state)
        state = after or state
        if position == leak_at:
            wire.stream(0.02, 2)
            leaked = state != "active"
    return wire.stream(0.1, 1), leaked


@given(st.lists(STEPS, min_size=1, max_size=25), st.data())
def test_any_sequence_is_judged_right_and_one_stray_datagram_is_found(steps: list[str], data: st.DataObject):
    leak_at = data.draw(st.none() | st.integers(0, len(steps) - 1))
    wire, leaked = play(steps, leak_at)
    report = judge(wire.evidence(1, 2), RUN)
    assert report.clients[1].datagrams_leaked == int(leaked)
    assert verdicts(report, "promise")["client-2"] is (Verdict.FAIL if leaked else Verdict.PASS)


def commands(wire: Wire, *planned: str) -> Verdict:
    """The verdict on the commands of client 1, of which *planned* were planned."""
    subject = wire.subject(1, commands=planned)
    return verdicts(judge(wire.evidence(1)._replace(subjects=(subject,)), RUN), "commands")["client-1"]


def test_a_goodbye_to_an_idle_connection_is_no_command():
    wire = Wire().open(1).refuse(1, None, "idle", state="closed").end(1, by_server=True)
    wire.connect(1).stream(1, 1).last("disconnect", 1)
    assert commands(wire, "connect", "disconnect") is Verdict.PASS


def test_a_command_on_a_connection_that_the_server_has_ended_did_not_reach_it():
    """The command crossed the server's goodbye on the wire, and the client sent it again."""
    wire = Wire().open(1).refuse(1, None, "idle", state="closed").end(1, by_server=True)
    wire.request(1, "connect").wait(0.1).connect(1).stream(1, 1).last("disconnect", 1)
    assert commands(wire, "connect", "disconnect") is Verdict.PASS


def test_a_goodbye_that_answers_a_command_is_its_refusal():
    wire = Wire().open(1).request(1, "connect")
    wire.refuse(1, None, "too_many", state="closed").end(1, by_server=True)
    assert commands(wire, "connect") is Verdict.FAIL
