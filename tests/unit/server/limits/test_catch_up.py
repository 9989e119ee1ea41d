"""Budgets of what is sent of the past."""

from flume.server.limits.admission import host_of
from flume.server.limits.catch_up import AT_ONCE_IN_ALL, PER_ADDRESS, CatchUpBudget


def test_the_addresses_of_one_ipv6_network_pay_together_and_those_of_ipv4_each():
    assert host_of("2001:db8::1") == host_of("2001:db8::2") != host_of("2001:db8:0:1::1")
    assert host_of("192.0.2.1") == host_of("::ffff:192.0.2.1") != host_of("::ffff:192.0.2.2")
    assert host_of("fe80::1%eth0") == host_of("fe80::2%eth1.100")


def test_what_one_address_takes_is_bounded_over_any_time_and_costs_no_other_address():
    budget = CatchUpBudget()
    taken = sum(budget.take("one", 500, per_s=100, now_s=tick / 100) for tick in range(6000))
    assert taken == 100 * (PER_ADDRESS.burst + 60 * PER_ADDRESS.per_s) - 100 * PER_ADDRESS.per_s // 100
    assert budget.take("another", 500, per_s=100, now_s=60) == 500


def test_what_all_take_at_once_is_bounded_and_what_is_paced_is_not_counted_there():
    budget = CatchUpBudget()
    assert budget.take("one", 500, per_s=10, now_s=0) == 500
    taken = sum(budget.take_at_once(str(number), 100, per_s=100, now_s=0) for number in range(1000))
    assert taken == 100 * AT_ONCE_IN_ALL.burst
    assert budget.take("another", 500, per_s=100, now_s=0) == 500


def test_only_whole_datagrams_are_taken_and_parts_add_up():
    budget = CatchUpBudget()
    budget.take("one", 10**9, per_s=1, now_s=0)
    taken = [budget.take("one", 10, per_s=1, now_s=tick / 16) for tick in range(1, 17)]
    assert taken == [0, 1] * 8
