"""Who goes next, when networks want more than there is."""

from hypothesis import given
from hypothesis import strategies as st

from flume.server.limits.buckets import Rate
from flume.server.limits.turns import Turns


def test_a_newcomer_waits_for_one_of_each_network_and_not_for_their_queues():
    turns: Turns[str] = Turns(Rate(100, 1))
    for number in range(1000):
        turns.enter(f"flood {number % 3}", f"flood {number}", 0.0)
    turns.enter("home", "newcomer", 0.0)
    assert "newcomer" in turns.due(0.01 * 1) + turns.due(0.02) + turns.due(0.03) + turns.due(0.04)
    assert len(turns) == 999 - 3


def test_within_a_network_the_first_goes_first_and_what_leaves_costs_nothing():
    turns: Turns[int] = Turns(Rate(10, 1))
    assert turns.enter("a", 0, 0.0)
    for number in range(1, 6):
        assert not turns.enter("a", number, 0.0)
    for number in (2, 3, 3):
        turns.leave("a", number)
    turns.leave("b", 7)
    assert turns.wait_s(0.0) == 0.1
    assert [turns.due(tick / 10) for tick in range(1, 5)] == [[1], [4], [5], []]
    assert not turns.has_waiters
    assert turns.enter("b", 8, 1.0)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 0.2)), max_size=100))
def test_no_more_go_than_the_rate_allows_and_all_go_once(entries):
    turns: Turns[int] = Turns(Rate(20, 5))
    now_s, gone = 0.0, []
    for number, (network, pause_s) in enumerate(entries):
        now_s += pause_s
        gone += turns.due(now_s)
        if turns.enter(network, number, now_s):
            gone.append(number)
        assert len(gone) <= 5 + 20 * now_s + 1e-6
    while turns.has_waiters:
        now_s += turns.wait_s(now_s) + 1e-6
        gone += turns.due(now_s)
    assert sorted(gone) == list(range(len(entries)))
