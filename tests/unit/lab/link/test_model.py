"""The model of netem: its tables are those of iproute2, its rule is the kernel's."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.lab.link.model import Sent, jitter_table, lose, simulate
from flume.lab.link.profile import Bucket, Direction, Distribution


def evenly(count: int, gap_ms: float, frame_bytes: int = 60) -> list[Sent]:
    return [Sent(number * gap_ms / 1000, frame_bytes) for number in range(count)]


@pytest.mark.parametrize(
    ("distribution", "values"),
    [
        # Quantiles 5, 25, 50, 75, 95 and 99 % of the tables that iproute2 6.1 installs, in 1/8192 of the jitter.
        ("normal", (-13488, -5525, 0, 5526, 13473, 19064)),
        ("pareto", (-5274, -4362, -2622, 955, 13255, 32767)),
        ("paretonormal", (-7327, -4652, -1966, 2097, 13309, 29341)),
        ("uniform", (-7373, -4096, 0, 4096, 7373, 8028)),
    ],
)
def test_the_tables_are_those_of_iproute2(distribution: Distribution, values: tuple[int, ...]):
    table = jitter_table(distribution)
    assert table == tuple(sorted(table))
    for share, value in zip((0.05, 0.25, 0.5, 0.75, 0.95, 0.99), values, strict=True):
        assert table[int(share * len(table))] == pytest.approx(value / 8192, abs=0.03)


def test_a_delay_is_a_delay_and_a_rate_a_rate():
    arrivals = simulate(Direction(delay_ms=20), evenly(3, 10), random.Random(1).random)
    assert [number for number, _ in arrivals] == [0, 1, 2]
    assert [at_s for _, at_s in arrivals] == [pytest.approx(0.02 + number / 100, abs=1e-6) for number in range(3)]
    # 1250 bytes at 1 Mbit/s are 10 ms; all sent at once.
    link = Direction(rate_kbit=1000, queue_bytes=20_000)
    arrivals = simulate(link, [Sent(0, 1250)] * 3, random.Random(1).random)
    assert [at_s for _, at_s in arrivals] == [pytest.approx(0.01), pytest.approx(0.02), pytest.approx(0.03)]


def test_frames_beyond_the_limit_are_lost_from_the_end():
    link = Direction(rate_kbit=1000, queue_bytes=1514)
    arrivals = simulate(link, [Sent(0, 1250)] * 10, random.Random(1).random)
    assert [number for number, _ in arrivals] == list(range(link.limit_datagrams))


@given(st.integers(0, 2**32), st.sampled_from(["uniform", "normal", "pareto", "paretonormal"]), st.floats(0.1, 20))
def test_jitter_in_order_keeps_the_order_and_only_adds_delay(seed: int, distribution: Distribution, gap_ms: float):
    sent = evenly(60, gap_ms)
    free, ordered = (
        Direction(delay_ms=40, jitter_ms=10, distribution=distribution, jitter_reorders=reorders)
        for reorders in (True, False)
    )
    kept = simulate(ordered, sent, random.Random(seed).random)
    assert [number for number, _ in kept] == list(range(60))
    own = dict(simulate(free, sent, random.Random(seed).random))
    assert all(at_s >= own[number] - 1e-9 for number, at_s in kept)


def test_jitter_in_order_is_biased_upwards_and_the_more_so_the_denser_the_stream():
    link = Direction(delay_ms=40, jitter_ms=10, distribution="normal", jitter_reorders=False)

    def mean_ms(gap_ms: float) -> float:
        sent = evenly(4000, gap_ms)
        arrivals = simulate(link, sent, random.Random(5).random)
        return sum(1000 * (at_s - sent[number].at_s) for number, at_s in arrivals) / len(arrivals)

    # Measured on real netem at 2 ms: median 50.3, model 49.6.
    assert mean_ms(200) == pytest.approx(40, abs=1)
    assert mean_ms(2) == pytest.approx(50, abs=2)
    assert mean_ms(0.5) > mean_ms(2) + 3


@pytest.mark.parametrize(
    "link", [Direction(loss_pct=5), Direction(loss_pct=8, loss_burst_datagrams=4), Direction(loss_pct=100)]
)
def test_loss_has_the_mean_and_the_bursts_that_were_asked_for(link: Direction):
    chain = lose(link, random.Random(3).random)
    lost = [next(chain) for _ in range(200_000)]
    assert sum(lost) / len(lost) == pytest.approx(link.loss_pct / 100, rel=0.05)
    if link.loss_pct < 100:
        bursts = sum(now and not before for before, now in zip([False, *lost], lost, strict=False))
        assert sum(lost) / bursts == pytest.approx(100 / link.burst_end_pct, rel=0.05)


def test_duplicates_damage_and_overtaking():
    sent = evenly(4000, 1)
    twice = simulate(Direction(duplicate_pct=10), sent, random.Random(1).random)
    assert len(twice) == pytest.approx(4400, rel=0.02)
    damaged = simulate(Direction(corrupt_pct=10), sent, random.Random(1).random)
    assert len(damaged) == pytest.approx(3600, rel=0.02)
    ahead = simulate(Direction(delay_ms=10, reorder_pct=25), sent, random.Random(1).random)
    at_once = [number for number, at_s in ahead if at_s - sent[number].at_s < 0.001]
    assert len(at_once) == pytest.approx(1000, rel=0.1)
    assert [number for number, _ in ahead] != sorted(number for number, _ in ahead)


# --- token buckets ---------------------------------------------------------------------------------------------------


def bucketed(burst_bytes: int, *, queue_bytes: int = 20_000, delay_ms: float = 0, corrupt_pct: float = 0) -> Direction:
    """Return a direction of 1 Mbit/s behind a token bucket."""
    bucket = Bucket(burst_bytes=burst_bytes, token_kbit=1000)
    return Direction(delay_ms=delay_ms, corrupt_pct=corrupt_pct, rate_kbit=1000, queue_bytes=queue_bytes, bucket=bucket)


def test_a_bucket_passes_its_burst_at_once_and_the_rest_at_its_rate():
    arrivals = simulate(bucketed(2500, delay_ms=20), [Sent(0, 1250)] * 4, random.Random(1).random)
    # 1250 bytes at 1 Mbit/s are 10 ms.
    assert [at_s for _, at_s in arrivals] == [pytest.approx(at_s, abs=1e-6) for at_s in (0.02, 0.02, 0.03, 0.04)]


def test_an_empty_bucket_fills_while_nothing_comes():
    sent = [Sent(at_s, 1250) for at_s in (0, 0, 0.010, 0.012)]
    arrivals = simulate(bucketed(2500), sent, random.Random(1).random)
    assert [at_s for _, at_s in arrivals] == [pytest.approx(at_s, abs=1e-6) for at_s in (0, 0, 0.010, 0.020)]


def test_frames_that_find_the_queue_of_a_bucket_full_are_lost():
    arrivals = simulate(bucketed(1514, queue_bytes=4000), [Sent(0, 1250)] * 9, random.Random(1).random)
    # The first leaves at once; three wait.
    assert [number for number, _ in arrivals] == [0, 1, 2, 3]


def test_a_damaged_frame_uses_the_bucket_too():
    link = bucketed(1514, queue_bytes=60_000, corrupt_pct=50)
    arrivals = simulate(link, [Sent(0, 1514)] * 20, random.Random(1).random)
    assert 0 < len(arrivals) < 20
    # 1514 bytes at 1 Mbit/s are 12.112 ms.
    assert [at_s for _, at_s in arrivals] == [pytest.approx(0.012112 * number, abs=1e-6) for number, _ in arrivals]


@given(st.integers(1514, 30_000), st.integers(1514, 60_000), st.lists(st.integers(60, 1514), min_size=1, max_size=80))
def test_a_bucket_never_passes_more_than_its_burst_and_its_rate(burst: int, queue: int, sizes: list[int]):
    sent = [Sent(number * 0.003, size) for number, size in enumerate(sizes)]
    arrivals = simulate(bucketed(burst, queue_bytes=queue), sent, random.Random(1).random)
    passed = 0
    for number, at_s in arrivals:
        passed += sizes[number]
        assert passed <= burst + 125_000 * at_s + 1e-3
    assert [number for number, _ in arrivals] == sorted(number for number, _ in arrivals)
