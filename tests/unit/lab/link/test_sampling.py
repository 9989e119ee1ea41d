"""From samples to figures and deviations: a link like its profile passes, another link does not."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.errors import EvidenceError
from flume.lab import catalogue
from flume.lab.link.model import Arrival, Sent, simulate
from flume.lab.link.profile import FRAME_BYTES, Direction, Step
from flume.lab.link.profile_file import find_profile
from flume.lab.link.sampling import Deviation, Samples, deviations, measure, stream_explains, wilson
from support.paths import PROFILES


def through(link: Direction, *, seed: int = 1, count: int = 2000) -> Samples:
    """Samples of a *link*: small frames and, if it has a rate, a train of full ones."""
    # netem counts packets: small frames must not fill a limit that is made for full ones.
    gap_s = max(0.003, 2 * (link.delay_ms + 4 * link.jitter_ms) / 1000 / link.limit_datagrams)
    sent = [Sent(number * gap_s, 60) for number in range(count)]
    train_from = None
    if link.rate_kbit is not None:
        train_from = count
        sent += [Sent(count * gap_s + 2, FRAME_BYTES)] * min(100, link.queue_room_bytes // FRAME_BYTES)
    return Samples(sent=sent, arrivals=simulate(link, sent, random.Random(seed).random), train_from=train_from)


def amiss(link: Direction, samples: Samples) -> set[str]:
    return {deviation.figure for deviation in deviations(link, samples, random.Random(99).random)}


@pytest.mark.parametrize("name", catalogue.names(PROFILES))
def test_each_profile_passes_when_the_link_is_it(name: str):
    profile = find_profile(PROFILES, name)
    rest = Step(at_s=0, down=profile.down, up=profile.up)
    # A link is measured at rest. Hundreds of steps of a trace would take minutes here.
    for seed, step in enumerate((rest,) if profile.traces else profile.timeline()):
        assert amiss(step.down, through(step.down, seed=seed, count=1000)) == set()
        assert amiss(step.up, through(step.up, seed=seed + 10, count=1000)) == set()


JITTER = Direction(delay_ms=50, jitter_ms=8, distribution="normal", jitter_reorders=False)
BURSTS = Direction(loss_pct=5, loss_burst_datagrams=4)


@pytest.mark.parametrize(
    ("asked", "is_", "figure"),
    [
        (Direction(delay_ms=50), Direction(delay_ms=60), "delay_ms p50"),
        (Direction(delay_ms=50), Direction(delay_ms=45), "delay_ms p50"),
        (JITTER, msgspec.structs.replace(JITTER, jitter_ms=30), "delay_ms p95"),
        (JITTER, Direction(delay_ms=50), "delay_ms p50"),
        (JITTER, msgspec.structs.replace(JITTER, jitter_reorders=True), "reordered_pct"),
        (Direction(loss_pct=5), Direction(loss_pct=10), "loss_pct"),
        (Direction(loss_pct=5), Direction(), "loss_pct"),
        (Direction(), Direction(loss_pct=0.5), "loss_pct"),
        (Direction(loss_pct=100), Direction(loss_pct=99), "loss_pct"),
        (BURSTS, Direction(loss_pct=5), "burst_datagrams"),
        (Direction(loss_pct=5), BURSTS, "burst_datagrams"),
        (Direction(), Direction(duplicate_pct=1), "duplicate_pct"),
        (Direction(duplicate_pct=5), Direction(), "duplicate_pct"),
        (Direction(corrupt_pct=5), Direction(), "loss_pct"),
        (Direction(delay_ms=10, reorder_pct=25), Direction(delay_ms=10), "reordered_pct"),
        (Direction(rate_kbit=5000, queue_ms=200), Direction(rate_kbit=8000, queue_ms=200), "rate_kbit"),
        (Direction(rate_kbit=5000, queue_ms=200), Direction(rate_kbit=4000, queue_ms=200), "rate_kbit"),
    ],
)
def test_a_link_that_is_otherwise_is_found_out(asked: Direction, is_: Direction, figure: str):
    assert figure in amiss(asked, through(is_))


def test_chance_is_no_deviation():
    # With few events the normal law is wrong: none at all, or three times the average, are not unusual.
    link = Direction(delay_ms=1, duplicate_pct=0.1, corrupt_pct=0.1)
    assert [amiss(link, through(link, seed=seed, count=600)) for seed in range(10)] == [set()] * 10
    few = Direction(loss_pct=1)
    assert [amiss(few, through(few, seed=seed, count=400)) for seed in range(10)] == [set()] * 10


def test_the_figures_of_a_small_sample_by_hand():
    sent = [Sent(number / 10, 100) for number in range(10)]
    numbers = (0, 2, 1, 1, 5, 6, 9)
    samples = Samples(
        sent=sent, arrivals=[Arrival(number, sent[9].at_s + 0.1 * place) for place, number in enumerate(numbers)]
    )
    figures = measure(samples)
    assert (figures.sent, figures.received) == (10, 6)
    # Two runs are missing: 3 and 4, 7 and 8.
    assert figures.loss_pct.value == 40
    assert figures.burst_datagrams is not None
    assert figures.burst_datagrams.value == 2
    assert figures.duplicate_pct == 10
    assert figures.reordered_pct == pytest.approx(100 / 6)
    assert figures.delay_ms is not None
    # 900, 800, 1000, 1100, 800, 800, 600
    assert figures.delay_ms.p50 == pytest.approx(800)
    assert figures.delay_ms.p5 == pytest.approx(600)
    assert figures.delay_ms.p95 == pytest.approx(1100)


def test_damage_that_the_receiver_found_is_no_loss():
    samples = Samples(sent=[Sent(0, 60)] * 10, arrivals=[Arrival(number, 1) for number in range(7)], corrupted=2)
    figures = measure(samples)
    assert (figures.loss_pct.value, figures.corrupted_pct) == (10, 20)


def test_the_rate_is_that_of_the_train():
    sent = [Sent(0, 60), *[Sent(1, 1250)] * 8]
    # 10 ms apart: 1 Mbit/s. In the second case a timer is late, and several frames arrive at once.
    times = (1.01, 1.02, 1.03, 1.04, 1.05, 1.06, 1.07, 1.08)
    arrivals = [Arrival(0, 0.5), *(Arrival(number, at_s) for number, at_s in enumerate(times, 1))]
    assert measure(Samples(sent=sent, arrivals=arrivals, train_from=1)).rate_kbit == pytest.approx(1000)
    late = [Arrival(number, max(at_s, 1.035) if at_s < 1.035 and number > 1 else at_s) for number, at_s in arrivals]
    assert measure(Samples(sent=sent, arrivals=late, train_from=1)).rate_kbit == pytest.approx(1000, rel=0.15)


def test_nothing_arrived_and_nothing_sent():
    figures = measure(Samples(sent=[Sent(0, 60)] * 300, arrivals=[]))
    assert (figures.delay_ms, figures.rate_kbit, figures.loss_pct.value) == (None, None, 100)
    assert figures.loss_pct.low > 90
    assert amiss(Direction(loss_pct=5), Samples(sent=[Sent(0, 60)] * 300, arrivals=[])) >= {"loss_pct"}
    with pytest.raises(EvidenceError, match="not one frame"):
        Samples(sent=[], arrivals=[])
    with pytest.raises(EvidenceError, match="never sent"):
        Samples(sent=[Sent(0, 60)], arrivals=[Arrival(1, 0)])


def test_the_interval_holds_the_truth_as_often_as_it_says():
    draw = random.Random(4)
    for link in (Direction(loss_pct=3), Direction(loss_pct=3, loss_burst_datagrams=3)):
        held = 0
        for _ in range(60):
            loss = measure(through(link, seed=draw.randrange(1 << 30), count=1500)).loss_pct
            held += loss.low <= 3 <= loss.high
        assert held >= 59


@given(st.integers(0, 500), st.integers(1, 500), st.floats(0.5, 5))
def test_wilson_is_an_interval_around_the_share(hits: int, trials: int, z: float):
    hits = min(hits, trials)
    low, high = wilson(hits, trials, z)
    assert 0 <= low <= hits / trials + 1e-12
    assert hits / trials - 1e-12 <= high <= 1


def test_a_stream_explains_a_queue_and_other_bursts_but_not_a_missing_delay() -> None:
    """The effect of a stream on the frames beside it is no deviation of the link."""
    narrow, wide = Direction(rate_kbit=8000, queue_ms=100), Direction(delay_ms=50)
    late = Deviation(figure="delay_ms p50", measured=90, low=49, high=55)
    early = Deviation(figure="delay_ms p50", measured=1, low=49, high=55)
    burst = Deviation(figure="burst_datagrams", measured=1, low=2, high=3)
    assert stream_explains(narrow, late)
    assert not stream_explains(wide, late)
    assert not stream_explains(narrow, early)
    assert stream_explains(wide, burst)
