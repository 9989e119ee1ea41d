"""The judge on evidence that proves nothing, and on commands that were not planned."""

import pytest

from flume.lab.evidence.facts import Counters
from flume.lab.trial.judge import judge
from flume.lab.trial.verdict import Verdict
from support.captures.judging import RUN, detail, tour, verdicts
from support.captures.wire import Wire


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


@pytest.mark.parametrize("ended", ["disconnect", "closed"])
@pytest.mark.parametrize("dropped", [0, 50])
def test_a_client_may_change_to_tcp_by_itself_only_if_a_firewall_took_its_media(ended: str, dropped: int):
    wire = Wire().connect(1).stream(1, 1)
    if ended == "disconnect":
        wire.last("disconnect", 1)
    else:
        wire.event(1, "closed", state="closed")
    wire.request(1, "connect", over_tcp=True).reply(1, "connect", state="connecting", token="")

    def planned(*commands: str) -> Verdict:
        subject = wire.subject(1, commands=commands, counters=Counters(dropped_by_firewall=dropped))
        return verdicts(judge(wire.evidence(1)._replace(subjects=(subject,)), RUN), "commands")["client-1"]

    assert planned("connect") is (Verdict.PASS if dropped else Verdict.FAIL)
    on_the_wire = ("connect", "disconnect", "connect") if ended == "disconnect" else ("connect", "connect")
    assert planned(*on_the_wire) is Verdict.PASS
    assert planned("connect", "interrupt") is Verdict.FAIL
    wire.request(1, "disconnect").reply(1, "disconnect", state="closed")
    assert planned("connect") is Verdict.FAIL


def test_a_client_that_begins_over_tcp_changes_nothing():
    wire = Wire().open(1)
    for _ in range(2):
        wire.request(1, "connect", over_tcp=True).reply(1, "connect", state="connecting", token="")
    subject = wire.subject(1, commands=("connect",), counters=Counters(dropped_by_firewall=50))
    assert verdicts(judge(wire.evidence(1)._replace(subjects=(subject,)), RUN), "commands")["client-1"] is Verdict.FAIL
