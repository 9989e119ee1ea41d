"""The judge on evidence written by hand: a clean tour passes, and its report describes it."""

import pytest

from flume.lab.trial.judge import judge
from flume.lab.trial.verdict import Verdict
from support.captures.judging import RUN, tour


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
