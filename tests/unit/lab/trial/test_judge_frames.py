"""The judge on numbers, acknowledgements and displayed frames."""

import io
from typing import Any

import pytest
from rich.console import Console

from flume.lab.evidence.facts import Claims, Evidence, Expectations, Refusal
from flume.lab.report.writer import table
from flume.lab.trial.judge import judge
from flume.lab.trial.verdict import Verdict
from support.captures.judging import RUN, detail, short, two, verdicts
from support.captures.wire import START_S, Wire, host


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
    told = "50 displayed of 48 due and up to 2 that a window's end or a loss cut, 100.0 % (least 99 %)"
    assert detail(report, "frames", "client-1") == told
    rows = io.StringIO()
    Console(file=rows, width=120).print(table(report))
    assert " 50/48+2 " in rows.getvalue()


@pytest.mark.parametrize(
    ("lose", "due", "cut"),
    [
        (set(), 24, 1),
        ({6}, 23, 2),  # in the middle of a frame
        ({5}, 22, 3),  # a frame begins in it, and the one before may end there
        ({5, 6}, 22, 3),
        ({0}, 24, 1),  # before the first frame
        (set(range(50)), 0, 25),
    ],
)
def test_only_frames_that_arrived_in_full_are_due(lose: set[int], due: int, cut: int):
    wire = short()
    tap = wire.client(1, lose=frozenset(lose))
    for shown, verdict in ((due, Verdict.PASS), (due + cut, Verdict.PASS), (due // 2, Verdict.FAIL)):
        claims = Claims(datagrams=50 - len(lose), frames_displayed=shown)
        subject = wire.subject(1, claims=claims, tap=tap.tap.name)
        report = judge(Evidence(START_S, "server", (wire.server(), tap), (subject,), Expectations()), RUN)
        assert (report.clients[0].frames_due, report.clients[0].frames_cut) == (due, cut)
        assert verdicts(report, "frames")["client-1"] is (verdict if due else Verdict.PASS)


def test_a_frame_that_a_window_delayed_is_not_due_without_its_first_datagram():
    wire = goes_on(short(), 1)
    tap = wire.client(1, lose=frozenset({49}))
    subject = wire.subject(1, tap=tap.tap.name)
    report = judge(Evidence(START_S, "server", (wire.server(), tap), (subject,), Expectations()), RUN)
    assert (report.clients[0].frames_due, report.clients[0].frames_cut) == (47, 3)


def test_join_time():
    wire = short()
    for most, verdict in ((100.0, Verdict.PASS), (99.0, Verdict.FAIL)):
        report = judge(wire.evidence(1, expectations=Expectations(join_max_ms=most)), RUN)
        assert verdicts(report, "join")["client-1"] is verdict
