"""How many connections a second are taken."""

from flume.server.limits.newcomers import GOODBYES, ROUNDS, Newcomers
from flume.settings import ServerSettings

DEFAULTS = ServerSettings()


def test_a_whole_class_may_connect_twice_at_once():
    newcomers = Newcomers(DEFAULTS)
    one = [newcomers.admits("192.0.2.1", 0.0) for _ in range(ROUNDS * DEFAULTS.max_sessions_per_address + 1)]
    assert one == [True] * (len(one) - 1) + [False]
    many = [newcomers.admits(f"198.51.100.{number}", 0.0) for number in range(ROUNDS * 250)]
    assert all(many)


def test_a_storm_of_one_address_shuts_no_neighbour_out_and_one_of_a_network_no_other_network():
    newcomers = Newcomers(DEFAULTS)
    taken = sum(newcomers.admits("192.0.2.1", tick / 10_000) for tick in range(100_000))
    assert taken <= ROUNDS * DEFAULTS.max_sessions_per_address + 10 * DEFAULTS.connections_per_s_per_address
    assert newcomers.admits("192.0.2.2", 10.0)
    taken = sum(newcomers.admits(f"198.51.100.{tick % 250}", tick / 10_000) for tick in range(100_000))
    assert taken <= ROUNDS * DEFAULTS.max_sessions_per_network + 10 * DEFAULTS.connections_per_s_per_network
    assert newcomers.admits("203.0.113.1", 10.0)


def test_the_addresses_of_one_ipv6_host_are_one_network():
    newcomers = Newcomers(DEFAULTS)
    taken = sum(newcomers.admits(f"2001:db8::{number:x}", 0.0) for number in range(10_000))
    assert taken == ROUNDS * DEFAULTS.max_sessions_per_network


def test_who_may_have_many_sessions_may_also_connect_with_them():
    newcomers = Newcomers(ServerSettings(max_sessions_per_address=1000))
    assert all(newcomers.admits("192.0.2.1", 0.0) for _ in range(2000))


def test_few_are_told_why():
    newcomers = Newcomers(DEFAULTS)
    told = sum(newcomers.may_tell(tick / 10_000) for tick in range(10_000))
    assert told <= GOODBYES.burst + GOODBYES.per_s
    assert told >= GOODBYES.burst
