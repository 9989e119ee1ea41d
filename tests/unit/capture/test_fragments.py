"""IP fragments in any order, repeated, lost, overlapping: whole here is what is whole for Linux."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet import fragment as cut
from scapy.packet import Raw

from flume.capture import fragments
from flume.capture.fragments import MOST_BETWEEN, TIMEOUT_S, Assembly, Fragment, Reassembler

A, B = "198.18.0.2", "198.18.0.11"


def part(offset: int, data: bytes, *, last: bool = False, number: int = 7, source: str = A) -> Fragment:
    return Fragment(17, source, B, number, offset, last, data)


def taken(*parts: Fragment, reassembler: Reassembler | None = None, every_s: float = 0.0) -> list[bytes]:
    """The packets that *parts* make, in their order."""
    reassembler = reassembler or Reassembler()
    results = [reassembler.take_untrusted(position * every_s, one) for position, one in enumerate(parts)]
    return [whole.beginning for whole in results if whole is not None]


def left(*parts: Fragment) -> list[Assembly]:
    """What never becomes whole of *parts*."""
    reassembler = Reassembler()
    for one in parts:
        reassembler.take_untrusted(0.0, one)
    return reassembler.incomplete()


FIRST, MIDDLE, LAST = part(0, b"a" * 16), part(16, b"b" * 8), part(24, b"c" * 3, last=True)
WHOLE = b"a" * 16 + b"b" * 8 + b"c" * 3


@given(st.permutations([FIRST, FIRST, MIDDLE, LAST]))
def test_any_order_and_a_repetition_make_the_packet_once(parts: list[Fragment]):
    assert taken(*parts) == [WHOLE]


@given(st.binary(min_size=9, max_size=4000), st.integers(1, 60), st.randoms())
def test_what_scapy_cuts_is_whole_again(data: bytes, units: int, random):
    whole = bytes(UDP(sport=1, dport=2, chksum=0) / Raw(data))
    packets = cut(IP(bytes(IP(src=A, dst=B, id=9) / whole)), 8 * units)
    parts = [
        part(8 * one.frag, bytes(one.payload), last=not one.flags.MF, number=9) for one in map(IP, map(bytes, packets))
    ]
    assume(1 < len(parts) < MOST_BETWEEN)
    random.shuffle(parts)
    assert taken(*parts) == [whole]


@pytest.mark.parametrize(
    ("parts", "beginning"),
    [
        ((MIDDLE, LAST), b""),
        ((FIRST, LAST), b"a" * 16),
        ((FIRST, MIDDLE), b"a" * 16 + b"b" * 8),
        ((FIRST, FIRST), b"a" * 16),
        ((LAST,), b""),
    ],
    ids=["first lost", "middle lost", "last lost", "only a repetition", "only the last"],
)
def test_what_is_lost_leaves_the_rest_incomplete(parts: tuple[Fragment, ...], beginning: bytes):
    assert taken(*parts) == []
    (rest,) = left(*parts)
    assert rest.beginning == beginning
    assert rest.fragments == len(set(parts))


@pytest.mark.parametrize(
    "wrong",
    [
        part(8, b"x" * 16),
        part(8, b"x" * 40),
        part(16, b"x" * 8, last=True),
        part(40, b"x" * 8),
        part(40, b"x" * 8, last=True),
        part(32, b""),
        part(65_528, b"x" * 8),
    ],
    ids=["overlaps two", "covers one", "ends before the end", "beyond the end", "another end", "empty", "too long"],
)
def test_a_fragment_that_contradicts_the_others_costs_the_packet(wrong: Fragment):
    have = (FIRST, LAST)
    assert taken(*have, wrong, MIDDLE) == []
    assert len(left(*have, wrong)) == 1


def test_a_repetition_across_two_fragments_that_have_come_adds_nothing():
    assert taken(FIRST, MIDDLE, part(8, b"?" * 16), LAST) == [WHOLE], "the first ones count, as for Linux"


def test_a_fragment_that_is_not_the_last_counts_in_eights():
    assert taken(part(0, b"a" * 16 + b"!!!"), MIDDLE, LAST) == [WHOLE]


def test_one_identification_is_one_packet_for_each_pair_of_addresses_and_protocol():
    others = [part(0, b"z" * 16, source="198.18.0.3"), FIRST._replace(protocol=6), FIRST._replace(destination=A)]
    assert taken(FIRST, *others, MIDDLE, LAST) == [WHOLE]


def test_an_identification_may_be_used_again_when_its_packet_is_whole():
    assert taken(FIRST, MIDDLE, LAST, FIRST, MIDDLE, LAST) == [WHOLE, WHOLE]


@pytest.mark.parametrize(("later_s", "whole"), [(TIMEOUT_S, 1), (TIMEOUT_S + 1, 0)])
def test_the_rest_may_be_late_for_as_long_as_linux_waits(later_s: float, whole: int):
    assert len(taken(part(0, b"a" * 8), part(8, b"b", last=True), every_s=later_s)) == whole


@pytest.mark.parametrize(("between", "whole"), [(MOST_BETWEEN - 1, 1), (MOST_BETWEEN, 0)])
def test_an_identification_that_may_have_been_used_again_is_not_believed(between: int, whole: int):
    others = [part(0, b"o" * 8, number=1000 + number) for number in range(between)]
    assert len(taken(part(0, b"a" * 8), *others, part(8, b"b", last=True))) == whole


@given(
    st.lists(
        st.builds(
            part,
            st.integers(0, 8191).map(lambda units: units * 8) | st.integers(0, 8).map(lambda units: units * 8),
            st.binary(max_size=40),
            last=st.booleans(),
            number=st.integers(0, 2),
        ),
        max_size=60,
    )
)
def test_any_fragments_raise_nothing_and_each_is_in_one_packet(parts: list[Fragment]):
    reassembler = Reassembler()
    whole = [one for one in (reassembler.take_untrusted(0.0, each) for each in parts) if one is not None]
    for one in whole:
        assert one.is_whole
        assert one.fragments <= len(parts)
    assert sum(one.fragments for one in (*whole, *reassembler.incomplete())) <= len(parts)
    assert all(not one.is_whole for one in reassembler.incomplete())


def test_what_never_becomes_whole_is_given_up_when_it_is_much(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fragments, "MOST_HELD_BYTES", 20_000)
    reassembler = Reassembler()
    for number in range(100):
        reassembler.take_untrusted(0.0, Fragment(17, "a", "b", number, 0, False, bytes(1000)))
    assert reassembler.forget_given_up() == 100 - 11, "each costs its data and 768 bytes, and the oldest ones go"
    last = reassembler.take_untrusted(0.0, Fragment(17, "a", "b", 99, 1000, True, b"end"))
    assert last is not None


def test_senders_of_whom_nothing_is_open_are_forgotten(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fragments, "MOST_SENDERS", 10)
    reassembler = Reassembler()
    parts = [part(0, b"a" * 16), part(16, b"b", last=True)]
    assert taken(parts[0], reassembler=reassembler) == []
    for number in range(100):
        sender = f"198.18.1.{number}"
        assert taken(*(one._replace(source=sender) for one in parts), reassembler=reassembler) == [b"a" * 16 + b"b"]
    assert len(reassembler._from) <= 12
    assert taken(parts[1], reassembler=reassembler) == [b"a" * 16 + b"b"], "what is open stays"
