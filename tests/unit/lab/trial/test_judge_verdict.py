"""The verdict of a whole run, any sequence of commands, and goodbyes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.errors import EvidenceError, SettingsError
from flume.lab.evidence.facts import Expectations
from flume.lab.trial.judge import judge
from flume.lab.trial.sessions import reconstruct
from flume.lab.trial.verdict import Check, Verdict, worst
from support.captures.judging import RUN, commands, tour, verdicts
from support.captures.wire import Wire


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
