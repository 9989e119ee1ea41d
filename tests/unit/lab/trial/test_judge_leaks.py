"""The judge on datagrams outside their windows: each kind is caught, and what is allowed passes."""

import pytest

from flume.lab.evidence.facts import END_GRACE_S
from flume.lab.trial.flows import classify
from flume.lab.trial.judge import judge
from flume.lab.trial.sessions import reconstruct
from flume.lab.trial.verdict import Verdict
from flume.settings import CONSENT_TIMEOUT_S
from support.captures.judging import RUN, detail, tour, two, verdicts
from support.captures.wire import Wire, host


def leak(wire: Wire) -> tuple[Verdict, dict[str, int]]:
    report = judge(wire.evidence(1, 2), RUN)
    client = report.clients[1]
    assert client.datagrams_leaked == sum(client.leak_reasons.values()) == sum(client.timeline.leaked)
    assert verdicts(report, "promise")["client-1"] is Verdict.PASS
    return verdicts(report, "promise")["client-2"], client.leak_reasons


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


def test_streaming_on_without_tokens_is_caught():
    wire = two().consent(1).stream(CONSENT_TIMEOUT_S + END_GRACE_S - 1.1, 1, 2)
    assert leak(wire) == (Verdict.PASS, {}), "the server may still notice"
    verdict, reasons = leak(wire.consent(1).stream(1.1, 1, 2))
    assert (verdict, set(reasons)) == (Verdict.FAIL, {"consent_expired"})
    assert reasons["consent_expired"] == pytest.approx(50, abs=2)


def test_streaming_on_to_a_port_that_sends_no_token_any_more_is_caught():
    wire = two_with_tokens().stream(1, 1, 2)
    for _ in range(6):
        wire.consent(1).consent(2, "00ff", port=50001).stream(2, 1, 2)
    assert leak(wire) == (Verdict.FAIL, {"wrong_address": 200})


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
