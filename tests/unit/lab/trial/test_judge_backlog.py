"""The judge on datagrams that the engine's own kernel dropped between two interfaces: no fault of the product."""

import pytest

from flume.lab.evidence.facts import Backlog, Claims, Counters, Evidence, Expectations
from flume.lab.report.writer import account
from flume.lab.trial.judge import judge
from flume.lab.trial.verdict import Verdict
from support.captures.judging import RUN, detail, short, two, verdicts
from support.captures.wire import START_S


def missing(*lost: int, backlog: Backlog | None, link_lost: int = 0, received: int | None = None) -> Evidence:
    """One client of 50 datagrams, of which those numbered *lost* left and did not arrive; netem dropped *link_lost*."""
    wire = short()
    claims = Claims(datagrams=50 - len(lost) if received is None else received)
    subject = wire.subject(1, tap="client-1", claims=claims, counters=Counters(lost_on_link=link_lost))
    taps = (wire.server(), wire.client(1, lose=frozenset(lost)))
    expectations = Expectations(frames_min_pct=None, link_loses=bool(link_lost))
    return Evidence(START_S, "server", taps, (subject,), expectations, backlog)


def test_datagrams_that_the_host_dropped_make_an_error_that_names_cause_and_remedy():
    report = judge(missing(3, 4, backlog=Backlog(2, 1000)), RUN)
    assert report.verdict is Verdict.ERROR
    assert [check.name for check in report.checks if check.verdict is not Verdict.PASS] == ["backlog"]
    assert detail(report, "backlog", "run") == (
        "the engine's host dropped 2 packets between its interfaces, and 2 datagrams are missing: the queue of a CPU, "
        "which holds 1000 packets, was full. Fix: sudo sysctl -w net.core.netdev_max_backlog=16000"
    )
    assert (report.balance.dropped_by_backlog, report.balance.unexplained) == (2, 0)
    assert account(report).endswith("+ the engine's host 2 + unexplained 0")


def test_what_the_link_lost_is_not_taken_for_the_hosts():
    report = judge(missing(3, 4, 5, link_lost=2, backlog=Backlog(7, 1000)), RUN)
    balance = report.balance
    assert (balance.lost_on_link, balance.dropped_by_backlog, balance.unexplained) == (2, 1, 0)
    assert "7 packets between its interfaces, and 1 datagrams are missing" in detail(report, "backlog", "run")
    report = judge(missing(3, 4, link_lost=2, backlog=Backlog(7, 1000)), RUN)
    assert report.verdict is Verdict.PASS, "other programs' packets, or segments that were sent again"
    assert "no datagram of the stream among them" in detail(report, "backlog", "run")


@pytest.mark.parametrize("backlog", [None, Backlog(0, 1000)])
def test_a_datagram_that_the_host_did_not_drop_is_unexplained_as_ever(backlog):
    report = judge(missing(3, backlog=backlog), RUN)
    assert report.verdict is Verdict.FAIL
    assert (report.balance.dropped_by_backlog, report.balance.unexplained) == (0, 1)


def test_where_more_are_missing_than_the_host_dropped_the_rest_is_no_excuse():
    report = judge(missing(3, 4, 5, backlog=Backlog(2, 0)), RUN)
    assert (report.balance.dropped_by_backlog, report.balance.unexplained) == (0, 3)
    assert verdicts(report, "balance")["client-1"] is verdicts(report, "loss")["client-1"] is Verdict.FAIL
    assert verdicts(report, "backlog")["run"] is Verdict.ERROR
    assert "the queue of a CPU was full" in detail(report, "backlog", "run")


def test_a_datagram_that_reached_the_clients_interface_was_not_dropped_before_it():
    report = judge(missing(backlog=Backlog(9, 1000), received=49), RUN)
    assert (report.verdict, report.balance.dropped_by_backlog, report.balance.unexplained) == (Verdict.FAIL, 0, 1)


def test_the_account_of_all_clients_together_must_not_exceed_what_the_host_dropped():
    wire = two().last("interrupt", 1).last("interrupt", 2)
    subjects = tuple(wire.subject(n, tap=f"client-{n}", claims=Claims(datagrams=48)) for n in (1, 2))
    taps = (wire.server(), *(wire.client(n, lose=frozenset({5, 9})) for n in (1, 2)))
    found = [
        judge(
            Evidence(START_S, "server", taps, subjects, Expectations(frames_min_pct=None), Backlog(dropped, 1000)), RUN
        )
        for dropped in (4, 3)
    ]
    assert [report.balance.dropped_by_backlog for report in found] == [4, 0]
    assert [client.balance.dropped_by_backlog for client in found[0].clients] == [2, 2]
    assert [report.balance.unexplained for report in found] == [0, 4]
