"""``clock-probe`` between two network namespaces, over a path that is longer one way than the other."""

from collections.abc import Callable

import pytest

from support import clock_probe
from support.clock_probe import Detour
from support.namespaces import SERVER_ADDRESS, WirePair

pytestmark = pytest.mark.wire

DELAY_S = 0.005


def test_two_hosts_with_one_clock_are_not_apart(record_property: Callable[[str, object], None]) -> None:
    with WirePair(clients=1) as pair:
        port, cookie = clock_probe.answering(within=pair.inside(pair.server))
        found = clock_probe.asked(SERVER_ADDRESS, port, cookie, count=200, within=pair.inside(pair.client))
    assert 0 < found["answers"] <= 200
    assert abs(found["offset_ns"]) <= found["round_trip_ns"] / 2
    record_property("round trip, µs", found["round_trip_ns"] / 1000)
    record_property("offset, µs", found["offset_ns"] / 1000)


@pytest.mark.parametrize("longer", ["out", "back"])
def test_on_a_path_that_is_longer_one_way_the_bound_holds(longer: str) -> None:
    with WirePair(clients=1) as pair:
        port, cookie = clock_probe.answering(within=pair.inside(pair.server))
        with pair.as_client():  # the detour's sockets are in the asking host's namespace
            detour = Detour(
                (SERVER_ADDRESS, port), out_s=DELAY_S * (longer == "out"), back_s=DELAY_S * (longer == "back")
            )
        with detour.open():
            found = clock_probe.asked("127.0.0.1", detour.port, cookie, count=20, within=pair.inside(pair.client))
    assert found["round_trip_ns"] >= DELAY_S * 1e9
    assert abs(found["offset_ns"]) <= found["round_trip_ns"] / 2


def test_a_firewall_between_the_hosts_shows_as_no_answer() -> None:
    with WirePair(clients=1) as pair:
        port, cookie = clock_probe.answering(within=pair.inside(pair.server))
        block = ["iptables", "-A", "INPUT", "-p", "udp", "-j", "DROP"]
        clock_probe.checked(*pair.inside(pair.server, *block))
        found = clock_probe.asked(SERVER_ADDRESS, port, cookie, count=20, within=pair.inside(pair.client))
    assert (found["answers"], found["offset_ns"]) == (0, None)


def test_a_host_without_a_way_to_the_other_says_so() -> None:
    with WirePair(clients=1) as pair:
        done = clock_probe.run("ask", "203.0.113.1", 5000, 5, "00" * 16, within=pair.inside(pair.client))
    assert done.returncode == 1
    assert done.stderr == "clock-probe: no question can be sent to 203.0.113.1: Network is unreachable\n"
