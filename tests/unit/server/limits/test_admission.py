"""Who is let in, who gives way, and who does not."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.errors import NetworkError
from flume.server.limits.admission import Admission, network_of
from flume.settings import ServerSettings


def door(*, room: int = 1000, **limits: int) -> tuple[Admission[str], Counter[str]]:
    refused: Counter[str] = Counter()
    settings = ServerSettings(**limits)  # type: ignore[arg-type]
    return Admission(settings, refused=refused, room=lambda: room), refused


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("198.18.3.4", "198.18.3.0/24"),
        ("::ffff:198.18.3.4", "198.18.3.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
    ],
)
def test_addresses_belong_to_networks(address, network):
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"max_sessions_per_address": 2}, "address"),
        ({"max_sessions_per_network": 2, "max_sessions_per_address": 1}, "network"),
        ({"max_sessions": 2}, "sessions"),
        ({"room": 2}, "descriptors"),
    ],
)
def test_beyond_a_limit_the_oldest_half_open_one_gives_way_and_without_one_the_newcomer_is_refused(limits, reason):
    admission, refused = door(**limits)
    sources = ["198.18.0.1"] * 3 if reason == "address" else ["198.18.0.1", "198.18.0.2", "198.18.0.3"]
    assert [admission.admit(name, source) for name, source in zip("ab", sources, strict=False)] == [None, None]
    assert admission.admit("c", sources[2] if reason != "network" else "198.18.0.1") == "a"
    for name in "bc":
        admission.settle(name)
    with pytest.raises(NetworkError):
        admission.admit("d", sources[0] if reason != "network" else "198.18.0.9")
    assert refused == {"gave_way": 1, reason: 1}
    assert len(admission) == 2
    admission.unsettle("c")
    assert admission.admit("d", sources[0] if reason != "network" else "198.18.0.9") == "c"


def test_the_crowd_gives_way_and_not_the_one_that_came_before_it():
    admission, _ = door(max_half_open=10, max_sessions_per_address=100)
    admission.admit("honest", "192.0.2.1")
    gone = {admission.admit(f"crowd {number}", "198.18.0.1") for number in range(200)}
    assert "honest" not in gone
    assert len(admission) == 10


def test_those_that_receive_never_give_way():
    admission, refused = door(max_sessions=4)
    for name in ("one", "two", "three"):
        admission.admit(name, "192.0.2.1")
        admission.settle(name)
    gone = [admission.admit(f"crowd {number}", "198.18.0.1") for number in range(50)]
    assert set(gone) == {None, *(f"crowd {number}" for number in range(49))}
    assert refused == {"gave_way": 49}


@given(st.lists(st.tuples(st.sampled_from("asur"), st.integers(0, 9)), max_size=200))
def test_no_order_of_events_confuses_the_counts(events):
    admission, _ = door(max_sessions=6, max_sessions_per_address=3, max_half_open=4)
    inside: set[str] = set()
    for kind, number in events:
        name, source = f"m{number}", f"198.18.{number % 2}.{number % 3}"
        match kind:
            case "a" if name not in inside:
                try:
                    leaver = admission.admit(name, source)
                except NetworkError:
                    continue
                inside.add(name)
                inside.discard(str(leaver))
            case "s":
                admission.settle(name)
            case "u":
                admission.unsettle(name)
            case "r":
                admission.remove(name)
                inside.discard(name)
        assert len(admission) == len(inside) <= 6
    for name in tuple(inside):
        admission.remove(name)
    assert (len(admission), admission._half_open_count) == (0, 0)
    assert not admission._addresses
    assert not admission._networks
    assert not admission._half_open
