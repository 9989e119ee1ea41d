"""Pairs of packet sockets: one a link, each used once."""

import socket

import pytest

from wire import pairs
from wire.pairs import Pairs
from wire.requests import WireError


class FakeSocket:
    """Remembers what it is bound to; an interface ``broken`` refuses."""

    bound: tuple[str, int] | None = None

    def bind(self, address: tuple[str, int]) -> None:
        if address[0] == "broken":
            raise OSError(100, "Network is down")
        self.bound = address


@pytest.fixture
def two_pairs(monkeypatch: pytest.MonkeyPatch) -> Pairs:
    def index_of(name: str) -> int:
        if name == "absent":
            raise OSError(19, "No such device")
        return 3

    monkeypatch.setattr(pairs, "_packet_socket", FakeSocket)
    monkeypatch.setattr(socket, "if_nametoindex", index_of)
    return Pairs(2)


def test_the_next_pair_is_bound_to_both_interfaces_for_every_protocol(two_pairs: Pairs) -> None:
    assert [two_pairs.plug("c1", "b1"), two_pairs.plug("c2", "b2")] == [0, 1]
    assert two_pairs.spare == 0
    assert [[one.bound for one in pair] for pair in two_pairs.all] == [  # type: ignore[attr-defined]
        [("c1", 3), ("b1", 3)],
        [("c2", 3), ("b2", 3)],
    ]
    with pytest.raises(WireError, match="all 2 links of this wire are used up"):
        two_pairs.plug("c3", "b3")


def test_an_interface_that_is_absent_uses_no_pair_up(two_pairs: Pairs) -> None:
    with pytest.raises(WireError, match="the wire has no interface absent"):
        two_pairs.plug("c1", "absent")
    assert two_pairs.spare == 2


def test_a_pair_that_was_bound_in_part_is_used_up(two_pairs: Pairs) -> None:
    with pytest.raises(WireError, match="link 0 cannot be bound to c1 and broken"):
        two_pairs.plug("c1", "broken")
    assert two_pairs.plug("c2", "b2") == 1


def test_a_link_whose_interface_went_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    indices = {"c1": 1, "b1": 2, "c2": 3, "b2": 4}

    def index_of(name: str) -> int:
        if name not in indices:
            raise OSError(19, "No such device")
        return indices[name]

    monkeypatch.setattr(pairs, "_packet_socket", FakeSocket)
    monkeypatch.setattr(socket, "if_nametoindex", index_of)
    three = Pairs(3)
    three.plug("c1", "b1")
    three.plug("c2", "b2")
    assert three.retire() == []
    del indices["c1"]
    indices["b2"] = 9  # gone, and another one has its name
    assert three.retire() == [0, 1]
    assert three.retire() == []
