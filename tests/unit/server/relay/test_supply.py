"""What the sender thread of a relay gets: join points, times, holes, and nothing of a stream that was stopped."""

import math
import time

import pytest

from flume.media.datagrams import Datagram
from flume.media.mpegts import NULL_PACKET
from flume.server.relay.order import MOST_PASSED_OVER, Relayed
from flume.server.relay.supply import GATHER_S, LONGEST_SLEEP_S, LOOK_ROUNDS, MOST_WAITING, RelaySupply
from flume.server.sources.lead import Lead
from support.media.synthetic import TsWriter

FRAME = TsWriter().frame()
ENTRY = FRAME[: 7 * 188]
OTHER = NULL_PACKET * 7


def supply() -> RelaySupply:
    return RelaySupply(payload_bytes=len(OTHER))


def relayed(timestamp: int, payload: bytes = OTHER, *, passed_over: int = 0, begins: bool = False) -> Relayed:
    return Relayed(timestamp % (1 << 32), payload, passed_over, begins)


def taken(made: RelaySupply) -> list[Datagram]:
    """Return what the sender gets in as many ticks as it takes."""
    found: list[Datagram] = []
    while made.head_s() is not None:
        found += made.take(math.inf)
    return found


def test_join_points_are_found_and_holes_and_times_are_kept():
    made = supply()
    made.push([relayed(900, ENTRY, begins=True), relayed(1800), relayed(2700, passed_over=3)], 5.0)
    first, second, third = taken(made)
    assert (first.random_access, second.random_access) == (True, False)
    assert [one.passed_over for one in (first, second, third)] == [0, 0, 3]
    assert round((third.due_s - first.due_s) * 90_000) == 1800


def test_the_time_runs_on_across_the_wrap_of_the_timestamp():
    made = supply()
    made.push([relayed(-90, begins=True), relayed(90)], 5.0)
    first, second = taken(made)
    assert round((second.due_s - first.due_s) * 90_000) == 180


def test_another_stream_continues_the_time_by_the_clock_and_begins_an_epoch():
    made = supply()
    made.push([relayed(90_000, ENTRY, begins=True)], 5.0)
    taken(made)
    epoch = made.epoch
    made.push([relayed(7, ENTRY, begins=True)], 8.0)
    assert made.take(math.inf) == [], "the sender learns of the epoch first"
    assert made.epoch != epoch
    [one] = made.take(math.inf)
    assert one.due_s == 3.0


def test_what_comes_after_the_rest_is_not_sent_before_another_beginning():
    said: list[int] = []
    made = supply()
    made.start(lambda: said.append(1))
    made.push([relayed(0, ENTRY, begins=True)], 1.0)
    epoch = made.epoch
    made.rest()
    assert (made.head_s(), len(said)) == (None, 1)
    assert made.epoch != epoch
    made.push([relayed(900)], 1.1)
    made.write(is_last=False)
    assert (made.head_s(), len(said)) == (None, 1)
    made.push([relayed(0, ENTRY, begins=True)], 2.0)
    made.write(is_last=False)
    assert made.head_s() is not None
    assert len(said) == 2


def test_what_is_added_while_the_rest_begins_is_thrown_away_too(monkeypatch: pytest.MonkeyPatch):
    made = supply()
    made.push([relayed(0, ENTRY, begins=True)], 1.0)
    extend = Lead.extend

    def rest_first(lead: Lead, datagrams: list[Datagram]) -> None:
        made.rest()  # the steering thread, after the datagrams were looked at
        extend(lead, datagrams)

    monkeypatch.setattr(Lead, "extend", rest_first)
    made.push([relayed(900, ENTRY)], 1.0)
    assert made.head_s() is None


def test_no_sleep_is_longer_than_the_buffer_of_the_socket_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "monotonic", lambda: 100.0 + sum(slept))
    monkeypatch.setattr(time, "sleep", slept.append)
    made = RelaySupply(payload_bytes=len(OTHER), tick_s=0.5)
    for round_ in range(3):
        made.gather(lambda: None)
        made.push([relayed(round_, begins=not round_)], 100.0)
    assert max(slept) == pytest.approx(LONGEST_SLEEP_S)


def test_datagrams_of_another_size_are_counted_and_left_out():
    made = supply()
    made.push([relayed(0, begins=True), relayed(1, OTHER[188:], passed_over=2)], 1.0)
    assert (made.dropped, made.other_size) == (1, 6 * 188)
    made.push([relayed(2)], 1.0)
    assert [(len(one.payload), one.passed_over) for one in taken(made)] == [(len(OTHER), 0), (len(OTHER), 3)]
    assert made.other_size is None


def test_while_the_sender_takes_nothing_what_waits_is_bounded():
    made = supply()
    made.push([relayed(0, begins=True)], 1.0)
    for at in range(MOST_WAITING + 10):
        made.push([relayed(at)], 1.0)
    assert made.dropped == MOST_WAITING
    left = taken(made)
    assert len(left) + made.dropped == MOST_WAITING + 11
    assert left[0].passed_over == made.dropped, "a hole of the size of what was thrown away"


def test_what_was_thrown_away_is_a_hole_of_its_numbers_or_a_beginning_if_that_is_too_long():
    for own, size in ((0, MOST_WAITING), (1, None)):
        made = supply()
        made.push([relayed(0, begins=True)], 1.0)
        taken(made)
        made.push([relayed(at, passed_over=own) for at in range(MOST_WAITING)], 1.0)
        made.push([relayed(MOST_WAITING)], 1.0)
        [one] = taken(made)
        assert (one.passed_over, one.new_tables) == (size or 0, size is None)


def test_a_beginning_that_is_thrown_away_is_passed_on_to_what_follows():
    made = supply()
    made.push([relayed(at, begins=not at) for at in range(MOST_WAITING)], 1.0)
    made.push([relayed(MOST_WAITING)], 1.0)
    [one] = taken(made)
    assert one.new_tables


def test_holes_before_and_after_what_has_another_size_are_together_no_longer_than_one_may_be():
    made = supply()
    made.push([relayed(0, begins=True)], 1.0)
    taken(made)
    for at in range(2):
        made.push([relayed(at, OTHER[188:], passed_over=MOST_PASSED_OVER)], 1.0)
    made.push([relayed(2, passed_over=MOST_PASSED_OVER)], 1.0)
    assert [one.passed_over for one in taken(made)] == [MOST_PASSED_OVER]


def test_bursts_that_come_a_tick_apart_are_not_waited_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    monkeypatch.setattr(time, "sleep", sleep)
    made = supply()
    for round_ in range(2 * LOOK_ROUNDS):
        made.gather(lambda: waits.append(now_s))
        made.push([relayed(round_, begins=not round_)], now_s)
    assert len(waits) == 2, "the first, and one of sixteen"
    assert round(now_s - 100.0, 6) == round((2 * LOOK_ROUNDS - 2) * 0.01 + 2 * GATHER_S, 6)
    made.gather(lambda: waits.append(now_s))
    made.gather(lambda: waits.append(now_s))
    assert len(waits) == 4, "the third time of sixteen, and after a round that brought nothing"
