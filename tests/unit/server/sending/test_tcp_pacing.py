"""How far clients over TCP are served, on a ring and a clock of the test. A stream of 100 datagrams a second."""

from typing import NamedTuple

import pytest

from flume.media.datagrams import PAYLOAD_BYTES, Datagram
from flume.media.ring import Ring
from flume.server.limits.catch_up import AT_ONCE_IN_ALL, PER_ADDRESS, CatchUpBudget
from flume.server.sending.join_pacing import JoinPacing
from flume.server.sending.tcp_pacing import TcpPacing

PER_S, TICK_S = 1000, 0.01
DUE = 10
"""Datagrams a tick."""


class Member:
    def __init__(self, cursor: int, payer: str) -> None:
        self.payer, self.cursor, self.allowed = payer, cursor, cursor


class Given(NamedTuple):
    """What a round let one client have."""

    now: int
    in_all: int


class Rounds:
    """A stream whose ring has *past_s* seconds since its keyframe, and rounds of one tick."""

    def __init__(self, *, past_s: float, budget: CatchUpBudget | None = None) -> None:
        self.ring = Ring(ssrc=1, first_sequence=0)
        self.now_s = 100.0
        self.pace = JoinPacing(factor=4.0, tick_s=TICK_S)
        self.pacing = TcpPacing(self.ring, self.pace, budget)
        self.members: list[Member] = []
        self._fill(round(past_s * PER_S))
        for _ in range(2000):
            self.pace.observe(DUE)

    def _fill(self, count: int) -> None:
        first = self.ring.next_index
        self.ring.extend(Datagram(bytes(PAYLOAD_BYTES), at / PER_S, at == 0) for at in range(first, first + count))

    def join(self, payer: str = "192.0.2.1", *, cursor: int = 0) -> Member:
        member = Member(cursor, payer)
        self.pacing.begin(member, self.now_s, is_first=not self.members)
        self.members.append(member)
        return member

    def round(self, *, due: int = DUE, ticks: float = 1.0) -> bool:
        self._fill(due)
        self.now_s += TICK_S * ticks
        return self.pacing.advance(self.members, self.now_s)


def test_the_first_second_comes_at_once_and_the_rest_at_four_times_the_rate():
    rounds = Rounds(past_s=5)
    member = rounds.join()
    assert member.allowed == PER_S
    steps, before = [], member.allowed
    while rounds.round():
        steps.append(member.allowed - before)
        before = member.allowed
    assert set(steps) == {4 * DUE}
    assert len(steps) == pytest.approx(4 * PER_S / (3 * DUE), abs=2)
    rounds.round(due=500)
    assert member.allowed == rounds.ring.next_index, "at the live edge nothing waits"


def test_what_lacks_less_than_a_second_comes_at_once():
    rounds = Rounds(past_s=0.8)
    assert rounds.join().allowed == rounds.ring.next_index
    assert rounds.join(cursor=rounds.ring.next_index).allowed == rounds.ring.next_index


def test_a_crowd_of_many_addresses_shares_the_surplus_and_none_is_slower_than_the_stream():
    rounds = Rounds(past_s=5)
    members = [rounds.join(f"192.0.2.{number}") for number in range(240)]
    before = [member.allowed for member in members]
    rounds.round()
    assert {member.allowed - was for member, was in zip(members, before, strict=True)} == {2 * DUE}


def test_connecting_again_and_again_draws_a_budget_and_then_nothing_at_once():
    rounds = Rounds(past_s=5)
    drawn = 0
    for _ in range(1000):
        drawn += rounds.join().allowed
        rounds.members.clear()
    assert drawn == pytest.approx(PER_ADDRESS.burst * PER_S, abs=2)
    rounds.now_s += 1.0
    assert sum(rounds.join(f"192.0.2.{number}").allowed for number in (1, 2)) == 2 * PER_S, "others are not concerned"


def test_what_all_addresses_together_draw_at_once_is_bounded():
    rounds = Rounds(past_s=5)
    drawn = 0
    for number in range(1000):
        drawn += rounds.join(f"192.0.2.{number}").allowed
        rounds.members.clear()
    assert drawn == pytest.approx(AT_ONCE_IN_ALL.burst * PER_S, abs=2)


def test_without_a_budget_one_gets_the_stream_as_it_comes():
    budget = CatchUpBudget()
    rounds = Rounds(past_s=5, budget=budget)
    member = rounds.join()
    for _ in range(100):
        budget.take(member.payer, 1_000_000, per_s=PER_S, now_s=rounds.now_s + TICK_S)
        before = member.allowed
        assert rounds.round()
        assert member.allowed - before == DUE


def test_many_looks_within_a_tick_give_no_more_than_one():
    rounds = Rounds(past_s=5)
    member = rounds.join()
    rounds.round()
    before = member.allowed
    for _ in range(100):
        rounds.round(due=0, ticks=0.001)
    assert member.allowed == before


def test_an_event_loop_that_was_late_gives_ten_ticks_at_most():
    rounds = Rounds(past_s=15)
    member = rounds.join()
    before = member.allowed
    rounds.round(due=1000, ticks=100)
    assert member.allowed - before == 1000 + 10 * 3 * DUE


def test_a_stream_whose_rate_is_not_known_yet_moves():
    rounds = Rounds(past_s=5)
    rounds.pace.rate = 0.0
    member = rounds.join()
    assert member.allowed == 100
    while rounds.round(due=0):
        pass
    assert member.allowed == rounds.ring.next_index


def test_a_pause_without_clients_is_not_given_to_the_next_one():
    rounds = Rounds(past_s=5)
    rounds.join()
    rounds.round()
    rounds.members.clear()
    rounds._fill(2000)
    late = rounds.join()
    rounds.round()
    assert late.allowed == PER_S + 4 * DUE


def test_at_the_end_of_the_stream_all_of_it_is_due():
    rounds = Rounds(past_s=5)
    member = rounds.join()
    rounds.pacing.release(rounds.members)
    assert member.allowed == rounds.ring.next_index
    assert not rounds.round(due=0)
