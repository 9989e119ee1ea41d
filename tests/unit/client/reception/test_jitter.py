"""The jitter buffer against every order of arrival that hypothesis can think of."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from flume.client.reception.jitter import InterarrivalJitter, JitterBuffer

REORDER_MS = 60.0
SETTLED_S = 1.0


def buffer(*, capacity: int = 4096) -> JitterBuffer[int]:
    return JitterBuffer(reorder_ms=REORDER_MS, capacity=capacity)


class Window(NamedTuple):
    """One window of delivery as it happened: unextended numbers are taken modulo 65536."""

    numbers: range
    lost: frozenset[int]
    order: tuple[int, ...]  # arrivals, duplicates included
    reply_first: bool  # the beginning is announced before the first datagram
    end_first: bool  # the end is announced before the last datagrams
    pause_s: float


@st.composite
def windows(draw: st.DrawFn) -> list[Window]:
    result = []
    number = draw(st.integers(0, 0xFFFF))
    for _ in range(draw(st.integers(1, 4))):
        length = draw(st.integers(0, 40))
        numbers = range(number, number + length)
        lost = draw(st.frozensets(st.sampled_from(numbers), max_size=length)) if length else frozenset()
        order = [each for each in numbers if each not in lost]
        for _ in range(draw(st.integers(0, 5)) if len(order) > 1 else 0):
            here, there = draw(st.tuples(st.integers(0, len(order) - 1), st.integers(0, len(order) - 1)))
            order[here], order[there] = order[there], order[here]
        for _ in range(draw(st.integers(0, 2)) if order else 0):
            order.insert(draw(st.integers(0, len(order))), draw(st.sampled_from(order)))
        pause_s = draw(st.sampled_from([0.2, 2.5, 600.0]))
        result.append(Window(numbers, lost, tuple(order), draw(st.booleans()), draw(st.booleans()), pause_s))
        # The numbers go on for other clients: in a long pause they may go through several cycles.
        gap = draw(st.integers(0, 30_000 if pause_s < 2 else 200_000))
        number += length + gap
    return result


@given(windows())
def test_whatever_the_order_everything_is_accounted_for(happened: list[Window]) -> None:
    subject = buffer()
    now_s, taken, copies = 100.0, [], 0
    for window in happened:
        first, last = window.numbers.start % 65536, (window.numbers.stop - 1) % 65536
        split = len(window.order) // 2 if window.end_first else len(window.order)
        # Both come over one TCP connection: the end is never known before the beginning.
        told_first = window.reply_first or split == 0
        if told_first:
            subject.begin_window(first, now_s)
        for position, number in enumerate(window.order):
            if position == split:
                subject.end_window(last, now_s)
            subject.push(number % 65536, number, now_s)
            if position == 0 and not told_first:
                subject.begin_window(first, now_s)
            taken += subject.take(now_s)
            now_s += 0.0001
        if split == len(window.order):
            subject.end_window(last if window.numbers else None, now_s)
        copies += len(window.order) - len(set(window.order))
        taken += subject.take(now_s + SETTLED_S * 0.1)
        now_s += window.pause_s
    taken += subject.take(now_s + SETTLED_S)

    seen = subject.statistics()
    expected = [number for window in happened for number in window.numbers if number not in window.lost]
    assert taken == expected, "handed out once each, in order, nothing made up and nothing kept back"
    assert seen.datagrams == len(expected) + copies
    assert seen.lost == sum(len(window.lost) for window in happened), "a pause is never loss, a lost tail always is"
    assert (seen.duplicates, seen.late, seen.unexpected) == (copies, 0, 0)
    assert seen.windows == len(happened)
    assert subject.deadline_s() is None


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.floats(0, 3)), max_size=60), st.integers(16, 40))
def test_arbitrary_numbers_never_raise_nor_grow_nor_repeat(arrivals: list[tuple[int, float]], capacity: int) -> None:
    subject = JitterBuffer[int](reorder_ms=REORDER_MS, capacity=capacity)
    now_s, taken = 0.0, []
    for position, (sequence, wait_s) in enumerate(arrivals):
        now_s += wait_s
        if position % 7 == 3:
            subject.begin_window(sequence, now_s)
        elif position % 11 == 5:
            subject.end_window(sequence, now_s)
        subject.push(sequence, position, now_s)
        taken += subject.take(now_s)
        held = position + 1 - len(taken)
        counted = subject.statistics()
        assert held - counted.late - counted.duplicates - counted.unexpected <= capacity + 1
    subject.reset(now_s)
    taken += subject.take(now_s)
    assert len(taken) == len(set(taken)) <= len(arrivals)


def test_a_hole_waits_for_the_late_datagram_and_no_longer() -> None:
    subject = buffer()
    subject.begin_window(10, 0.0)
    subject.push(10, 10, 0.0)
    subject.push(12, 12, 0.010)
    assert subject.take(0.011) == [10]
    assert subject.deadline_s() == 0.010 + REORDER_MS / 1000
    assert subject.take(0.069) == []
    assert subject.take(0.071) == [12]
    subject.push(11, 11, 0.080)
    assert subject.take(1.0) == []
    seen = subject.statistics()
    assert (seen.lost, seen.late, seen.reordered) == (0, 1, 1), "it arrived, but after it was given up"
    assert dict(seen.loss_runs) == {1: 1}


def test_bursts_are_counted_by_length() -> None:
    subject = buffer()
    subject.begin_window(65_530, 0.0)
    for number in range(65_530, 65_560):
        if number not in {65_534, 65_535, 65_536, 65_540}:  # across the wrap
            subject.push(number % 65536, number, 0.0)
    subject.end_window(65_559 % 65536, 0.1)
    subject.take(1.0)
    seen = subject.statistics()
    assert dict(seen.loss_runs) == {3: 1, 1: 1}
    assert (seen.lost, seen.longest_loss_run) == (4, 3)


def test_a_full_buffer_gives_up_the_hole_at_once() -> None:
    subject = buffer(capacity=16)
    subject.begin_window(0, 0.0)
    for number in range(1, 19):
        subject.push(number, number, 0.0)
    assert subject.take(0.0) == list(range(1, 19))
    assert subject.statistics().lost == 1


def test_datagrams_outside_every_window_are_named() -> None:
    subject = buffer()
    subject.begin_window(5, 0.0)
    subject.push(5, 5, 0.0)
    subject.end_window(5, 0.1)
    subject.push(6, 6, 0.2)  # the server went on after its own acknowledgement
    assert subject.take(0.25) == [5]
    assert subject.statistics().unexpected == 1
    subject.begin_window(7, 0.26)
    subject.push(7, 7, 0.27)
    assert subject.take(0.5) == [7]
    assert (subject.statistics().unexpected, subject.statistics().lost) == (1, 0)


def test_without_a_last_number_no_loss_is_made_up() -> None:
    subject = buffer()
    subject.begin_window(1, 0.0)
    subject.push(1, 1, 0.0)
    subject.push(3, 3, 0.0)
    subject.abandon_window(0.1)
    assert subject.take(1.0) == [1, 3]
    assert subject.statistics().lost == 1


def test_a_new_session_may_count_from_anywhere() -> None:
    subject = buffer()
    subject.begin_window(100, 0.0)
    subject.push(100, 100, 0.0)
    subject.reset(0.1)
    subject.push(90, 90, 0.2)
    subject.begin_window(90, 0.2)
    assert subject.take(0.2) == [100, 90]
    assert subject.statistics().lost == 0


def test_jitter_follows_rfc_3550() -> None:
    subject = InterarrivalJitter()
    for position in range(200):
        late_s = 0.004 if position % 2 else 0.0
        subject.add(position * 900 + 0xFFFF_F000 & 0xFFFF_FFFF, position * 0.01 + late_s)
    assert abs(subject.jitter_ms - 4.0) < 0.01, "alternating 4 ms converge to 4 ms, across the timestamp's wrap"
    subject.begin_window()
    before = subject.jitter_ms
    subject.add(5, 1000.0)
    assert subject.jitter_ms == before, "a pause is not jitter"


def test_the_capacity_is_of_all_windows_together() -> None:
    """The end of a window overtook its last datagrams, and the next one begins while they are awaited."""
    subject = buffer(capacity=8)
    for first in (0, 100):
        subject.begin_window(first, 0.0)
        for number in range(first + 1, first + 6):
            subject.push(number, number, 0.0)
        assert subject.take(0.0) == ([] if first == 0 else [1, 2, 3, 4, 5])
        subject.end_window(first + 9, 0.0)
    assert subject.statistics().lost == 1
    assert subject.take(1.0) == [101, 102, 103, 104, 105]
