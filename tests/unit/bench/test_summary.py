"""Rows, ratios and verdicts."""

import msgspec
import pytest

from bench import plan, summary
from bench.analysis import Spread
from bench.answers import Answers
from bench.plan import Options
from bench.steering import Acknowledged, Joined, Steering
from bench.summary import Criterion, Results
from bench.values import Cell, Lateness, Measured, Outcome, PathKind

OPTIONS = Options(plan="quick", senders=("flume", "naive", "multiudpsink", "limit"))
LATE = Lateness(p50_ms=5, p99_ms=10, max_ms=12, datagrams=100)
GOOD = Outcome(
    cpu_us_per_datagram=2.0, cores=0.3, per_client_per_s=760, worst_client_per_s=760, rss_mib=50, lateness=LATE
)


def cell(sender: str, clients: int = 200, path: PathKind = "sockets", **more: object) -> Cell:
    return Cell(**{"sender": sender, "clients": clients, "rate_mbit": 8, "path": path, "offload": True, **more})  # type: ignore[arg-type]


def measured(
    asked: Cell, outcome: Outcome = GOOD, *, why: str = "cost", repeat: int = 0, **changed: object
) -> Measured:
    return Measured(cell=asked, outcome=msgspec.structs.replace(outcome, **changed), why=why, repeat=repeat)


def verdicts(results: Results, options: Options = OPTIONS) -> dict[str, Criterion]:
    return {line.what: line for line in summary.criteria(results, options)}


def test_a_row_has_median_range_and_share_of_what_one_client_gets() -> None:
    results = Results(
        measured=[
            measured(cell("flume", 1), why="alone", rss_mib=40),
            *(measured(cell("flume"), cpu_us_per_datagram=cost, repeat=n) for n, cost in enumerate((3.0, 1.0, 2.0))),
        ]
    )
    row = results.row(cell("flume"))
    assert row.cpu_us_per_datagram == Spread(2.0, 1.0, 3.0, 3)
    assert row.share is not None
    assert row.share.median == 1
    assert row.memory_mib_per_client == pytest.approx(10 / 199)


def test_failures_and_spoilt_windows_count_in_no_median() -> None:
    results = Results(
        measured=[
            measured(cell("flume"), failure="no"),
            measured(cell("flume"), invalid="lost in the sink", cpu_us_per_datagram=99),
            measured(cell("flume"), repeat=1),
        ]
    )
    row = results.row(cell("flume"))
    assert row.repeats == 1
    assert row.failures == ["no", "lost in the sink"]
    assert row.cpu_us_per_datagram is not None
    assert row.cpu_us_per_datagram.high == 2.0


def test_ratios_are_taken_within_a_repeat() -> None:
    # In the second repeat everything took twice as long: that is noise, which a ratio must not show.
    results = Results(
        measured=[
            measured(cell(name), cpu_us_per_datagram=cost * factor, repeat=repeat)
            for repeat, factor in enumerate((1, 2))
            for name, cost in (("flume", 2.0), ("limit", 1.6))
        ]
    )
    ratio = results.ratio(cell("flume"), "limit")
    assert ratio is not None
    assert msgspec.structs.astuple(ratio) == pytest.approx((1.25, 1.25, 1.25, 2))


@pytest.mark.parametrize(("cost", "verdict"), [(5.0, "met"), (4.9, "not met")])
def test_the_bound_decides(cost: float, verdict: str) -> None:
    results = Results(measured=[measured(cell("flume")), measured(cell("multiudpsink"), cpu_us_per_datagram=cost)])
    lines = verdicts(results)
    line = lines["200 clients, 8 Mbit/s, sockets: CPU a datagram, flume ÷ multiudpsink"]
    assert line.verdict == verdict
    assert line.bound == "≤ 0.40"
    assert lines["200 clients, 8 Mbit/s, wire: CPU a datagram, flume ÷ multiudpsink"].verdict == "not measured"


def test_a_share_needs_every_client_and_an_unbroken_stream() -> None:
    wanted = cell("flume", 400, "wire", offload=False)
    what = "400 clients, 8 Mbit/s, wire, offload off, tick 10 ms: share delivered"
    alone = measured(cell("flume", 1), why="alone")
    for outcome, verdict in (
        (GOOD, "met"),
        (msgspec.structs.replace(GOOD, worst_client_per_s=700), "not met"),
        (msgspec.structs.replace(GOOD, continuity_errors=1), "not met"),
        (msgspec.structs.replace(GOOD, sequence_gaps=1), "not met"),
    ):
        lines = verdicts(Results(measured=[alone, measured(wanted, outcome, why="large")]))
        assert lines[what].verdict == verdict
        assert lines["400 clients, 8 Mbit/s, wire, offload off: cores"].verdict == "met"


def test_one_datagram_after_the_acknowledgement_breaks_the_promise() -> None:
    joined = [Joined(1, 5, 40, True, 0)]
    for after, verdict in ((0, "met"), (1, "not met")):
        seen = Steering(clients=20, tick_ms=10, acknowledged=[Acknowledged(3, 1, after)], joined=joined)
        lines = verdicts(Results(steering=[seen]))
        assert lines["steering, 20 clients: datagrams after the acknowledgement"].verdict == verdict


def test_a_picture_that_is_no_keyframe_is_not_decodable() -> None:
    seen = Steering(clients=20, tick_ms=10, acknowledged=[Acknowledged(3, 1, 0)], joined=[Joined(1, 5, 40, False, 0)])
    lines = verdicts(Results(steering=[seen]))
    line = lines["steering, 20 clients: continue to the first decodable picture, median of 1"]
    assert line.verdict == "not met"


def test_steering_that_failed_says_so() -> None:
    seen = Steering(clients=20, tick_ms=10, acknowledged=[], joined=[], failure="timed out")
    line = verdicts(Results(steering=[seen]))["steering, 20 clients"]
    assert (line.verdict, line.seen) == ("not measured", "timed out")


def test_an_empty_run_has_a_table_all_the_same() -> None:
    assert {line.verdict for line in summary.criteria(Results(), OPTIONS)} == {"not measured"}
    assert summary.criteria(Results(), Options(senders=(), clients=(5,))) == []


def test_all_bounds_of_the_cost_are_there() -> None:
    cost = [line for line in summary.criteria(Results(), OPTIONS) if "÷" in line.what]
    assert len(cost) == 2 * (len(plan.JUDGED) - 1)


@pytest.mark.parametrize(("slow", "verdict"), [(2, "met"), (3, "not met")])
def test_the_99th_percentile_of_each_command_is_judged(slow: int, verdict: str) -> None:
    times = [3.0] * (200 - slow) + [80.0] * slow
    answers = Answers(
        clients=1000,
        active=400,
        rate_mbit=2,
        replies_ms={"status": times, "connect": []},
        cores=0.3,
        memory_mib=90.0,
        delivered_share=0.985,
    )
    lines = verdicts(Results(answers=[answers]), Options(parts=("sessions",), senders=("flume",)))
    status, delivered = lines.values()
    assert "reply to status" in status.what
    assert status.verdict == verdict
    assert status.seen == f"3.0, {3.0 if verdict == 'met' else 80.0} and 80.0 ms"
    assert delivered.seen == "98.5%, with 0.30 cores and 90 MiB"
    assert delivered.verdict == "met"


def test_commands_that_could_not_be_measured_have_no_verdict() -> None:
    failed = Answers(clients=1000, active=400, rate_mbit=2, failure="1 commands were not answered within 10 s: status")
    (line,) = verdicts(Results(answers=[failed]), Options(parts=("sessions",), senders=("flume",))).values()
    assert line.verdict == "not measured"
    assert "not answered" in line.seen


@pytest.mark.parametrize(("theirs", "met"), [((1.02, 9.0, 1.04), True), ((1.06, 1.0, 1.07), False), ((), None)])
def test_players_cost_as_much_as_our_own_clients(theirs: tuple[float, ...], met: bool | None) -> None:
    costs = [("flume", cost, n) for n, cost in enumerate((1.0, 5.0, 0.9))]
    costs += [("flume-rtsp", cost, n) for n, cost in enumerate(theirs)]
    results = Results(
        measured=[
            *(measured(cell(name, path="wire"), why="rtsp", repeat=n, cpu_us_per_datagram=c) for name, c, n in costs),
            measured(cell("flume-rtsp", path="wire"), why="rtsp", failure="no", cpu_us_per_datagram=50.0),
            measured(cell("flume", path="wire"), why="cost", cpu_us_per_datagram=50.0),
        ]
    )
    (line,) = verdicts(results, Options(senders=("flume", "flume-rtsp"), parts=("rtsp",))).values()
    assert line.met is met
    if theirs:
        assert line.seen.startswith(f"{sorted(theirs)[1]:.3f}: "), "the medians"
