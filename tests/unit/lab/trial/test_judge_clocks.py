"""The judge on hosts whose clocks differ: the true delays within the bound, and no verdict on a clock that was set."""

from typing import Any

import msgspec
import pytest

from flume.lab.evidence.clock import HostClock
from flume.lab.report.columns import chart_data
from flume.lab.report.figures import groups
from flume.lab.trial.measures import Measures, PlaybackFigures, WireFigures
from flume.lab.trial.verdict import Report, Verdict
from support.captures.judging import detail, verdicts
from support.captures.other_host import HOST, OtherClock
from support.captures.viewing import measures, record, watched
from support.captures.wire import START_S, Wire

DELAY_S = 0.005
BOUND_S = 0.0001
SECONDS = 20
OFFSETS = [(2.0, 0.0), (-2.0, 0.0), (2.0, 60.0), (-2.0, -60.0), (0.0, 60.0), (-3600.0, -60.0)]


def a_film() -> Wire:
    wire = Wire().connect(1)
    for _ in range(SECONDS // 4):
        wire.stream(4, 1).consent(1)
    return wire.last("interrupt", 1)


def judged(clock: OtherClock, known: HostClock | None, wire: Wire | None = None) -> Report:
    """The report of a client whose host has *clock*, which the lab takes to be *known*."""
    wire = wire or a_film()
    tap = wire.client(1, delay_s=DELAY_S)
    tap = tap._replace(consents=tuple(one._replace(time_s=one.time_s - DELAY_S) for one in wire.consents))
    seen = clock.record(record(wire, 1))
    return watched(wire, {1: seen}, taps={1: clock.tap(tap)}, clocks={} if known is None else {"client-1": known})


def wire_of(report: Report) -> WireFigures:
    found = measures(report).wire
    assert found is not None
    return found


def playback_of(report: Report) -> PlaybackFigures:
    found = measures(report).playback
    assert found is not None
    return found


def figures(of: Measures) -> dict[str, str]:
    return {row.name: row.value for group in groups(of) for row in group.rows}


@pytest.mark.parametrize(("ahead_s", "ppm"), OFFSETS)
@pytest.mark.parametrize("error_s", [0.0, BOUND_S, -BOUND_S])
def test_captures_of_other_clocks_give_the_true_delays_within_the_bound(
    ahead_s: float, ppm: float, error_s: float
) -> None:
    clock = OtherClock(ahead_s, ppm)
    report = judged(clock, clock.measured(SECONDS, error_s=error_s, bound_s=BOUND_S))
    assert report.verdict is Verdict.PASS
    delay, one_clock = wire_of(report).delay_ms, judged(OtherClock(), None)
    assert delay is not None
    assert wire_of(report).clock_bound_ms == 1000 * BOUND_S
    for found in (delay.least, delay.median, delay.most):
        assert found == pytest.approx(1000 * DELAY_S, abs=1000 * BOUND_S + 0.002)
    glass = playback_of(report).glass_to_glass_ms
    assert glass is not None
    assert glass.median == pytest.approx(500, abs=1000 * BOUND_S + 0.002)
    # Nothing else changes: the same frames, losses, windows.
    assert measures(report).attribution == measures(one_clock).attribution
    assert wire_of(report).jitter_ms == pytest.approx(wire_of(one_clock).jitter_ms, abs=0.01)
    assert report.clients[0].active_windows == one_clock.clients[0].active_windows


def test_an_offset_with_the_wrong_sign_is_an_error() -> None:
    clock = OtherClock(2.0)
    assert verdicts(judged(clock, clock.measured(SECONDS)), "clock") == {"client-1": Verdict.PASS}
    wrong = judged(OtherClock(-2.0), OtherClock(2.0).measured(SECONDS))
    assert verdicts(wrong, "clock") == {"client-1": Verdict.ERROR}
    assert "before it left: the taps' clocks disagree" in detail(wrong, "clock", "client-1")


@pytest.mark.parametrize(("early_s", "verdict"), [(0.0009, Verdict.PASS), (0.0031, Verdict.ERROR)])
def test_an_arrival_may_be_early_by_the_bound_and_a_millisecond(early_s: float, verdict: Verdict) -> None:
    clock = OtherClock(-DELAY_S - early_s)
    still = OtherClock(0.0).measured(SECONDS, bound_s=0.002)
    assert verdicts(judged(clock, still), "clock") == {"client-1": verdict}
    between = OtherClock(-DELAY_S - 0.0029)
    assert verdicts(judged(between, still), "clock") == {"client-1": Verdict.PASS}
    assert verdicts(judged(between, None), "clock") == {"client-1": Verdict.ERROR}


@pytest.mark.parametrize("step_s", [0.01, -0.01, 3600.0, -3600.0])
def test_a_clock_that_was_set_during_the_run_is_an_error_that_names_the_host(step_s: float) -> None:
    clock = OtherClock(2.0)
    known = clock.measured(SECONDS)
    assert known.after is not None
    after = msgspec.structs.replace(known.after, ahead_s=known.after.ahead_s + step_s)
    report = judged(clock, msgspec.structs.replace(known, after=after))
    said = detail(report, "clock", "client-1")
    assert (verdicts(report, "clock"), report.verdict) == ({"client-1": Verdict.ERROR}, Verdict.ERROR)
    assert said.startswith(f"the clock of host {HOST} moved by {1000 * step_s:+.1f} ms against")
    assert "\n" not in said


@pytest.mark.parametrize("clock", [OtherClock(), OtherClock(30.0), OtherClock(-3600.0, 60.0)])
def test_without_an_offset_no_delay_is_measured_and_nothing_else_is_lost(clock: OtherClock) -> None:
    known = HostClock(host=HOST, reason="no answer by UDP")
    report = judged(clock, known)
    assert report.verdict is Verdict.PASS
    why = f"the clock of host {HOST} was not compared with that of the server's host: no answer by UDP"
    assert detail(report, "clock", "client-1") == f"delays not measured: {why}"
    found = measures(report)
    assert (wire_of(report).delay_ms, wire_of(report).clock_bound_ms) == (None, None)
    assert playback_of(report).glass_to_glass_ms is None
    assert found.not_measured == {"wire": f"delay: {why}", "playback": f"delays from server to screen: {why}"}
    assert figures(found)["delay: median / 95 % / most"] == "not measured"
    assert "delay" not in chart_data(report.clients[0], report.duration_s, 1000)["charts"]
    assert found.attribution == measures(judged(OtherClock(), None)).attribution
    assert playback_of(report).frames_shown == playback_of(report).frames_due
    assert wire_of(report).received == wire_of(report).expected
    assert report.clients[0].first_datagram_ms is not None


@pytest.mark.parametrize("which", ["before", "after"])
def test_one_measurement_alone_compares_nothing(which: str) -> None:
    clock = OtherClock(2.0)
    known = msgspec.structs.replace(clock.measured(SECONDS), **{which: None}, reason="no answer")
    report = judged(clock, known)
    assert report.verdict is Verdict.PASS
    assert wire_of(report).delay_ms is None
    other = {"before": "not before the run, only after it,", "after": "before the run and not after it"}[which]
    assert f"was {other} compared with" in detail(report, "clock", "client-1")


def test_the_bound_stands_beside_the_delays_and_the_offset_in_the_check() -> None:
    clock = OtherClock(-2.5)
    report = judged(clock, clock.measured(SECONDS, bound_s=0.00042))
    found = figures(measures(report))
    assert found["delay: median / 95 % / most"] == "5.0 / 5.0 / 5.0 ms (clocks within 0.42 ms)"
    assert found["server to screen: median / 95 % / most"] == "500.0 / 500.0 / 500.0 ms (clocks within 0.42 ms)"
    ahead = f"the clock of host {HOST} is 2.500000 s behind that of the server's host, within 0.420 ms"
    assert detail(report, "clock", "client-1") == f"longest delay 5.0 ms; {ahead}"
    [of_server, of_client] = report.taps
    assert of_server.clock is None
    assert of_client.clock is not None
    assert of_client.clock.host == HOST


def test_on_one_host_nothing_is_said_of_clocks() -> None:
    report = judged(OtherClock(), None)
    assert detail(report, "clock", "client-1") == "longest delay 5.0 ms"
    assert wire_of(report).clock_bound_ms == 0
    assert measures(report).not_measured == {}
    assert figures(measures(report))["delay: median / 95 % / most"] == "5.0 / 5.0 / 5.0 ms"
    assert "delay" in chart_data(report.clients[0], report.duration_s, 1000)["charts"]


def test_a_report_keeps_the_clocks() -> None:
    clock = OtherClock(2.0, 60.0)
    report = judged(clock, clock.measured(SECONDS))
    kept: Any = msgspec.json.decode(msgspec.json.encode(report), type=Report)
    assert kept == report
    assert kept.taps[1].clock.to_reference(clock.shows(START_S + 7)) == pytest.approx(START_S + 7, abs=1e-5)
