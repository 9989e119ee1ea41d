"""How many lines a second are carried out."""

from flume.server.limits.commands import BURST_S, EXCESS_S, CommandBudget
from flume.settings import ServerSettings

RATES = ServerSettings(commands_per_s=10, commands_per_s_per_address=20, commands_per_s_in_all=100)


def test_a_client_at_its_rate_never_waits():
    one = CommandBudget(RATES).open("198.18.0.1")
    assert {one.delay_s(number / 10) for number in range(500)} == {0.0}
    assert not one.is_excessive(60.0)


def test_many_connections_of_one_address_share_its_budget_and_another_address_does_not_wait():
    budget = CommandBudget(RATES)
    greedy = [budget.open("198.18.0.1") for _ in range(10)]
    delays = [one.delay_s(0.0) for one in greedy for _ in range(6)]
    assert delays.count(0.0) == 20 * BURST_S
    assert max(delays) == 1.0, "twenty too many at twenty a second"
    assert not any(one.is_excessive(100.0) for one in greedy), "none exceeded its own budget"
    assert budget.open("198.18.0.2").delay_s(0.0) == 0


def test_all_together_share_one_budget_and_take_turns_by_network():
    budget = CommandBudget(RATES)
    clients = [budget.open(f"198.18.{number % 2}.{number}") for number in range(250)]
    went = [one.turns.enter(one.network, number, 0.0) for number, one in enumerate(clients)]
    assert went == [True] * 200 + [False] * 50
    late = budget.open("203.0.113.1")
    assert not late.turns.enter(late.network, "late", 0.0)
    assert "late" in late.turns.due(0.03)


def test_a_line_that_is_not_carried_out_is_given_back():
    budget = CommandBudget(RATES)
    for _ in range(1000):
        gone = budget.open("198.18.0.1")
        gone.delay_s(0.0)
        gone.give_back(0.0)
    assert budget.open("198.18.0.1").delay_s(0.0) == 0


def test_one_that_exceeds_its_own_budget_without_a_pause_is_excessive():
    one = CommandBudget(RATES).open("198.18.0.1")
    now_s = 0.0
    while now_s < EXCESS_S - 1:
        assert not one.is_excessive(now_s)
        now_s += one.delay_s(now_s)
    for _ in range(30):
        now_s += one.delay_s(now_s)
    assert one.is_excessive(now_s)
    now_s += 5.0
    assert one.delay_s(now_s) == 0
    assert not one.is_excessive(now_s), "it has paused"
