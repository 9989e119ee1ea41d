"""How fast recipients catch up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.server.sending.join_pacing import ALWAYS_AT_FULL_SPEED, JoinPacing

TICK_S = 0.01


def pacing(rate: int, factor: float = 4.0) -> JoinPacing:
    made = JoinPacing(factor=factor, tick_s=TICK_S)
    for _ in range(1000):
        made.observe(rate)
    return made


@pytest.mark.parametrize("behind", [1, ALWAYS_AT_FULL_SPEED])
def test_a_few_catch_up_at_the_full_factor(behind):
    assert pacing(8).quota(8, behind=behind, clients=behind) == 32
    assert pacing(8).quota(8, behind=behind, clients=400) == 32


def test_a_crowd_alone_gets_twice_the_rate_and_beside_a_crowd_at_the_live_edge_more():
    assert pacing(8).quota(8, behind=400, clients=400) == 16
    assert pacing(8).quota(8, behind=100, clients=400) == 32
    assert pacing(8).quota(8, behind=200, clients=400) == 24


def test_a_slow_stream_still_moves_and_a_pause_in_it_changes_little():
    assert pacing(0).quota(0, behind=1, clients=1) == 2
    steady = pacing(8)
    steady.observe(0)
    assert steady.quota(0, behind=1, clients=1) == 32


@given(rate=st.integers(0, 100), due=st.integers(0, 100), behind=st.integers(1, 1000), watching=st.integers(0, 1000))
def test_no_client_is_slower_than_real_time_and_all_together_are_bounded(rate, due, behind, watching):
    steady = max(rate, due)
    quota = pacing(rate).quota(due, behind=behind, clients=behind + watching)
    assert max(2, due) <= quota <= max(2, 4 * steady + 1)
    total = behind * (quota - 2) + watching * steady
    assert total <= 2 * steady * max(behind + watching, 4 * ALWAYS_AT_FULL_SPEED)
