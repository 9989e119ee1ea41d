"""Means with 95 % intervals: known data give the known interval."""

import random

import numpy as np
import pytest

from flume.lab.study.intervals import Interval, interval, overlap


def test_nothing_has_no_interval_and_one_value_no_ends():
    assert interval([], seed=1) is None
    assert interval([7.0], seed=1) == Interval(1, 7.0)


def test_equal_values_have_an_interval_of_no_width():
    assert interval([0.0] * 6, seed=1) == Interval(6, 0.0, 0.0, 0.0)


def test_known_data_give_the_known_interval():
    """Golden: of 1 to 30 the mean is 15.5, and its standard error 8.655 / √30 = 1.580: 15.5 ± 3.1."""
    found = interval([float(value) for value in range(1, 31)], seed=1)
    assert found is not None
    assert (found.size, found.mean) == (30, 15.5)
    assert found.low == pytest.approx(12.4, abs=0.25)
    assert found.high == pytest.approx(18.6, abs=0.25)


def test_the_same_seed_gives_the_same_interval_and_another_one_nearly_that():
    values = [0.9, 1.1, 1.4, 0.8, 1.0, 1.3]
    first, again, other = (interval(values, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first is not None
    assert other is not None
    assert other.low == pytest.approx(first.low, abs=0.05)


def test_one_value_that_differs_has_an_interval_all_the_same():
    found = interval([0.0, 0.0, 0.0, 0.0, 0.0, 1.0], seed=1)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.mean <= found.high <= 1


def test_samples_of_one_thing_overlap_nearly_always_and_of_two_do_not():
    draw = random.Random(3)
    same = apart = 0
    for seed in range(40):
        a, b = ([draw.gauss(10, 1) for _ in range(6)] for _ in range(2))
        first, second, third = (interval(values, seed=seed) for values in (a, b, [value + 9 for value in b]))
        assert first is not None
        assert second is not None
        assert third is not None
        same += bool(overlap(first, second))
        apart += not overlap(first, third)
    assert same >= 34
    assert apart == 40


def test_without_ends_nothing_is_known():
    assert overlap(Interval(1, 2.0), Interval(6, 2.0, 1.0, 3.0)) is None


def test_an_interval_of_six_values_covers_the_mean_about_as_often_as_it_says():
    """A plain bootstrap of six does in 87 of 100 cases: two studies of the same thing would seem to differ."""
    draw = np.random.default_rng(1)
    found = [interval(draw.normal(size=6).tolist(), seed=1) for _ in range(200)]
    covered = sum(one.low <= 0 <= one.high for one in found)  # type: ignore[union-attr,operator]
    assert 180 <= covered <= 196


@pytest.mark.parametrize("size", [2, 3, 4])
def test_a_few_values_have_no_ends_because_they_would_not_hold(size):
    few = interval([float(value) for value in range(size)], seed=1)
    assert few == Interval(size, (size - 1) / 2)
    assert interval([7.0] * size, seed=1) == Interval(size, 7.0), "equal values as well: that may be chance"
    six = interval([8.0, 9.0, 8.5, 8.7, 8.2, 8.9], seed=1)
    assert six is not None
    assert overlap(few, six) is None


def test_five_values_have_ends_that_hold():
    draw = np.random.default_rng(2)
    found = [interval(draw.normal(size=5).tolist(), seed=1) for _ in range(200)]
    covered = sum(one.low <= 0 <= one.high for one in found)  # type: ignore[union-attr,operator]
    assert 174 <= covered <= 198
