"""Rates, at any pace."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.server.limits.buckets import ADDRESSES_KEPT, AddressBuckets, Bucket, Rate

RATE = Rate(20, 60)


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=200))
def test_no_pace_gets_more_than_the_burst_and_the_rate(pauses):
    bucket, now_s, taken = Bucket(RATE), 1000.0, 0
    for pause_s in pauses:
        now_s += pause_s
        taken += bucket.take(now_s)
    assert taken <= RATE.burst + RATE.per_s * sum(pauses) + 1


def test_what_is_reserved_comes_at_the_rate():
    bucket = Bucket(RATE)
    assert [bucket.reserve(5.0) for _ in range(60)] == [0.0] * 60
    assert [bucket.reserve(5.0) for _ in range(3)] == [0.05, 0.1, 0.15]
    assert not bucket.take(5.0)
    assert not bucket.is_full(5.0 + 3.1)
    assert bucket.is_full(5.0 + 3.2)


def test_each_address_has_a_bucket_of_its_own_and_many_addresses_cost_bounded_memory():
    buckets = AddressBuckets(RATE)
    for number in range(20 * ADDRESSES_KEPT):
        assert buckets.of(f"198.18.{number}", number * 0.01).take(number * 0.01)
        assert len(buckets) <= 2 * ADDRESSES_KEPT


def test_an_address_that_is_not_full_again_is_not_forgotten():
    buckets = AddressBuckets(Rate(1, 1))
    assert buckets.of("198.18.0.1", 0.0).take(0.0)
    for number in range(3 * ADDRESSES_KEPT):
        buckets.of(f"other {number}", 0.5)
    assert not buckets.of("198.18.0.1", 0.5).take(0.5)


def test_what_is_available_is_what_can_be_taken():
    bucket = Bucket(Rate(10, 20))
    assert bucket.available(0.0) == pytest.approx(20)
    bucket.reserve(0.0, 25)
    assert bucket.available(0.0) == 0
    assert bucket.available(1.0) == pytest.approx(5)
    assert bucket.take(1.0, bucket.available(1.0))
