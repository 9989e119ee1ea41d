"""The links in the report: configured figures beside measured ones."""

import msgspec

from flume.lab.link.exchange import StepCounts
from flume.lab.link.links import LinkReport
from flume.lab.link.profile import Direction, Profile, Step
from flume.lab.link.sampling import Interval, Measured, Percentiles
from flume.lab.run import network
from flume.lab.trial.verdict import Verdict

LOSSY = Direction(
    delay_ms=50.0,
    jitter_ms=5.0,
    distribution="normal",
    jitter_reorders=False,
    loss_pct=2.0,
    loss_burst_datagrams=2.0,
    rate_kbit=8000.0,
    queue_ms=100.0,
)
PROFILE = Profile(name="far", description="Far away", down=LOSSY, up=Direction())
SEEN = Measured(
    sent=1000,
    received=980,
    delay_ms=Percentiles(p5=42.0, p50=50.2, p95=58.9),
    loss_pct=Interval(2.0, 1.1, 3.4),
    burst_datagrams=Interval(2.1, 1.6, 2.8),
    rate_kbit=7990.0,
    reordered_pct=0.0,
    duplicate_pct=0.0,
    corrupted_pct=0.0,
)


def report(*deviations: str, direction: str = "down", configured: Direction = LOSSY) -> LinkReport:
    return LinkReport(3, direction, "far", configured, SEEN, deviations)


def test_each_configured_figure_is_beside_the_measured_one():
    described = network.described(PROFILE, [report()])
    assert described is not None
    assert (described.profile, described.description) == ("far", "Far away")
    rows = {(figure.figure, figure.configured, figure.measured) for figure in described.figures}
    assert rows == {
        ("delay ms: 5th / 50th / 95th percentile", "50 ± 5 normal", "42.0 / 50.2 / 58.9"),
        ("loss %", "2", "2.00 (1.10 to 3.40)"),
        ("loss burst, datagrams", "2", "2.10 (1.60 to 2.80)"),
        ("rate kbit/s", "8000", "7990"),
    }
    assert {(figure.client, figure.direction) for figure in described.figures} == {("client-3", "down")}


def test_a_figure_that_is_not_configured_has_no_row():
    described = network.described(PROFILE, [report(direction="up", configured=Direction())])
    assert described is not None
    assert [figure.figure for figure in described.figures][1:] == ["loss %"]


def test_a_link_out_of_tolerance_is_the_labs_error():
    good, bad = network.checks(PROFILE, [report(), report("loss 9 % instead of 1 to 3 %", direction="up")], {})
    assert (good.verdict, good.subject, good.detail) == (Verdict.PASS, "client-3", "down, far: as it was set")
    assert (bad.verdict, bad.detail) == (Verdict.ERROR, "up, far: loss 9 % instead of 1 to 3 %")


def test_a_link_that_was_measured_twice_is_named():
    (check,) = network.checks(PROFILE, [report()._replace(first=("loss 9 % instead of 1 to 3 %",))], {})
    assert check.verdict is Verdict.PASS
    assert check.detail == (
        "down, far: as it was set; only the second measurement shows it, the first was: loss 9 % instead of 1 to 3 %"
    )


def test_the_figures_say_what_both_measurements_were():
    once = report("rate", direction="up")
    twice = report("loss 9 % instead of 1 to 3 %")._replace(first=("delay", "loss 8 % instead of 1 to 3 %"))
    described = network.described(PROFILE, [twice, once])
    assert described is not None
    found = [(figure.problem, figure.first_problem) for figure in described.figures if figure.problem]
    assert found == [("loss 9 % instead of 1 to 3 %", "delay; loss 8 % instead of 1 to 3 %"), ("rate", None)]


def test_steps_are_checked_for_each_client():
    counts = {1: StepCounts(due=600, late=0, latest_ms=12), 2: StepCounts(due=600, late=300, latest_ms=900)}
    one, two = network.checks(PROFILE, [], counts)
    assert (one.name, one.subject, one.verdict) == ("steps", "client-1", Verdict.PASS)
    assert one.detail == "far: 600 steps were due, 0 came later than they last; at worst 12 ms behind"
    assert (two.subject, two.verdict) == ("client-2", Verdict.ERROR)


def test_an_unshaped_network_is_not_described():
    assert network.described(Profile(name="clean", description="", down=Direction(), up=Direction()), []) is None


def test_the_delay_of_a_full_queue_is_known_for_each_step():
    queue = network.queue(PROFILE)
    assert queue is not None
    # netem holds 126 datagrams: 52 in flight during 70 ms, 73 in the queue, and the one that leaves.
    assert round(queue.full_ms(7.0) or 0, 2) == 172.62
    slow = msgspec.structs.replace(LOSSY, rate_kbit=4000.0)
    steps = (Step(at_s=10, down=slow, up=Direction()), Step(at_s=20, down=Direction(), up=Direction()))
    changing = network.queue(msgspec.structs.replace(PROFILE, period_s=30.0, steps=steps))
    assert changing is not None
    assert [changing.full_ms(60.0 + at_s) is None for at_s in (0.0, 9.9, 10.0, 20.0, 29.9)] == [False] * 3 + [True] * 2
    assert (changing.full_ms(75.0) or 0) > 172.62


def test_a_link_without_a_rate_has_no_queue():
    assert network.queue(msgspec.structs.replace(PROFILE, down=Direction(loss_pct=1.0))) is None
