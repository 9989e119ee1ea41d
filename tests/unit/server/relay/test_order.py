"""What a relay passes on of what its upstream sends: order, holes, windows, and streams that begin anew."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.media import rtp
from flume.server.relay.order import JUMP_TICKS, MOST_EARLY, MOST_PASSED_OVER, ORDER_S, Relayed, UpstreamOrder

SSRC = 0xF1AE


def packet(number: int, *, timestamp: int | None = None, ssrc: int = SSRC) -> bytes:
    """Return a datagram whose payload is its number, and whose timestamp is ten times that, if nothing else is said."""
    stamp = number * 10 if timestamp is None else timestamp
    header = rtp.HEADER.pack(*rtp.FIRST_BYTES, number % 65_536, stamp % (1 << 32), ssrc)
    return header + number.to_bytes(4, "big", signed=True)


def opened(first: int = 100) -> UpstreamOrder:
    order = UpstreamOrder()
    order.begin_session(SSRC, 0.0)
    order.begin_window(first % 65_536, 0.0)
    return order


def push(order: UpstreamOrder, *numbers: int, at_s: float = 0.0) -> None:
    for number in numbers:
        assert order.push_untrusted(packet(number), at_s)


def seen(relayed: list[Relayed]) -> list[tuple[int, int]]:
    """Return the number of each datagram, with how many are missing before it."""
    return [(int.from_bytes(one.payload, "big", signed=True), one.passed_over) for one in relayed]


def test_what_comes_in_order_goes_on_at_once_and_only_the_first_begins():
    order = opened()
    push(order, 100, 101)
    first = order.take(0.0)
    assert seen(first) == [(100, 0), (101, 0)]
    assert [one.begins for one in first] == [True, False]
    assert order.deadline_s() is None
    push(order, 102)
    assert seen(order.take(0.0)) == [(102, 0)]


def test_a_hole_is_waited_for_and_passed_on_with_its_size():
    order = opened()
    push(order, 100, 103, 104, at_s=1.0)
    assert seen(order.take(1.0)) == [(100, 0)]
    assert order.deadline_s() == pytest.approx(1.0 + ORDER_S)
    assert seen(order.take(1.0 + ORDER_S)) == [(103, 2), (104, 0)]
    assert order.statistics().lost == 2


def test_a_datagram_that_was_overtaken_is_put_in_its_place():
    order = opened()
    push(order, 100, 102, at_s=1.0)
    order.take(1.0)
    push(order, 101, at_s=1.01)
    assert seen(order.take(1.01)) == [(101, 0), (102, 0)]
    assert (order.statistics().lost, order.statistics().reordered) == (0, 1)


def test_what_comes_after_its_place_was_passed_over_is_not_passed_on():
    order = opened()
    push(order, 100, 102)
    assert seen(order.take(1.0)) == [(100, 0), (102, 1)]
    push(order, 101, at_s=1.1)
    assert order.take(2.0) == []
    assert (order.statistics().lost, order.statistics().late, order.statistics().duplicates) == (1, 1, 0)


class CountedNumber(int):
    """A number that counts how often it is compared with another by order."""

    compared = 0

    def __lt__(self, other: int) -> bool:
        CountedNumber.compared += 1
        return super().__lt__(other)

    def __gt__(self, other: int) -> bool:
        CountedNumber.compared += 1
        return super().__gt__(other)

    __hash__ = int.__hash__


def test_a_hole_before_each_datagram_is_not_looked_for_among_all_that_wait(monkeypatch: pytest.MonkeyPatch):
    extend = rtp.extend_sequence
    monkeypatch.setattr(rtp, "extend_sequence", lambda sequence, near: CountedNumber(extend(sequence, near)))
    monkeypatch.setattr(CountedNumber, "compared", 0)
    order, count = opened(0), 1000
    push(order, *range(2, 2 * count + 2, 2))
    assert order.deadline_s() is not None
    relayed = order.take(1.0)
    assert [passed_over for _, passed_over in seen(relayed)] == [2] + [1] * (count - 1)
    assert 0 < CountedNumber.compared < 20 * count


def test_duplicates_are_dropped_before_and_after_they_were_passed_on():
    order = opened()
    push(order, 100, 100, 102, 102, 101, 102)
    assert seen(order.take(0.0)) == [(100, 0), (101, 0), (102, 0)]
    push(order, 101)
    assert order.take(1.0) == []
    assert order.statistics().duplicates == 4


def test_numbers_wrap_at_16_bits_with_a_hole_across_the_wrap():
    order = opened(65_534)
    push(order, 65_534, 65_537, 65_538)
    assert seen(order.take(1.0)) == [(65_534, 0), (65_537, 2), (65_538, 0)]


def test_what_is_lost_at_the_beginning_of_a_window_is_a_hole_too():
    order = opened(100)
    push(order, 102)
    relayed = order.take(1.0)
    assert seen(relayed) == [(102, 2)]
    assert relayed[0].begins


def test_datagrams_that_come_before_the_message_that_announces_them_are_kept():
    order = UpstreamOrder()
    order.begin_session(SSRC, 0.0)
    push(order, 99, 100, 101)
    assert order.take(1.0) == []
    order.begin_window(100, 1.0)
    assert seen(order.take(1.0)) == [(100, 0), (101, 0)]


def test_what_comes_without_a_window_is_bounded():
    order = UpstreamOrder()
    order.begin_session(SSRC, 0.0)
    push(order, *range(3 * MOST_EARLY))
    order.begin_window(0, 1.0)
    order.take(2.0)
    assert order.statistics().unexpected == 2 * MOST_EARLY


def test_a_window_without_a_number_begins_with_what_comes():
    order = UpstreamOrder()
    order.begin_session(SSRC, 0.0)
    order.begin_window(None, 0.0)
    push(order, 70, 71)
    assert seen(order.take(0.0)) == [(70, 0), (71, 0)]


def test_the_end_of_a_window_releases_what_waits():
    order = opened()
    push(order, 100, 105)
    order.take(0.0)
    order.abandon_window(0.0)
    assert seen(order.take(0.0)) == [(105, 4)]
    assert order.deadline_s() is None


def test_what_the_end_of_a_window_overtook_is_passed_on():
    order = opened(65_534)
    push(order, 65_534)
    order.take(0.0)
    order.end_window(1, 4, 0.0)
    assert order.deadline_s() == ORDER_S
    push(order, 65_535, 65_537, at_s=0.01)
    assert seen(order.take(0.01)) == [(65_535, 0)]
    push(order, 65_536, at_s=0.015)
    assert seen(order.take(0.015)) == [(65_536, 0), (65_537, 0)]
    assert order.deadline_s() is None, "the last number has come"
    push(order, 65_538, at_s=0.016)
    assert order.take(1.0) == [], "it is of a window that is not announced"
    assert order.statistics().lost == 0


def test_what_is_missing_at_the_end_of_a_window_is_waited_for_no_longer_than_elsewhere():
    order = opened()
    push(order, 100)
    order.take(0.0)
    order.end_window(103, 4, 0.0)
    push(order, 102, at_s=0.01)
    assert order.take(0.01) == []
    assert seen(order.take(ORDER_S)) == [(102, 1)]
    assert order.deadline_s() is None
    push(order, 103, at_s=0.03)
    assert order.take(1.0) == []


def test_what_comes_beyond_the_end_of_a_window_is_of_the_next_one():
    order = opened()
    push(order, 100)
    order.take(0.0)
    order.end_window(101, 2, 0.0)
    push(order, 102, 103, at_s=0.001)
    assert order.take(0.001) == []
    order.begin_window(102, 0.002)
    assert seen(order.take(0.002)) == [(102, 1), (103, 0)]


def test_what_still_comes_of_a_window_after_a_rest_is_no_beginning():
    order = opened()
    push(order, 100)
    order.take(0.0)
    order.end_window(102, 3, 0.0)
    order.rest()
    push(order, 101, at_s=0.001)
    assert order.take(1.0) == []


def test_after_a_loss_of_the_upstream_the_same_stream_goes_on_with_the_hole_that_it_left():
    order = opened()
    push(order, *range(100, 110))
    order.take(0.0)
    order.abandon_window(0.1)
    order.begin_session(SSRC, 5.0)
    order.begin_window(200, 5.0)
    push(order, 200, 201, at_s=5.0)
    relayed = order.take(5.0)
    assert seen(relayed) == [(200, 90), (201, 0)]
    assert not any(one.begins for one in relayed)
    assert order.statistics().lost == 90


def test_what_a_new_session_sends_again_is_passed_on_once():
    order = opened()
    push(order, *range(100, 110))
    order.take(0.0)
    order.begin_session(SSRC, 1.0)
    order.begin_window(95, 1.0)
    push(order, *range(95, 113), at_s=1.0)
    assert seen(order.take(1.0)) == [(110, 0), (111, 0), (112, 0)]
    assert (order.statistics().lost, order.statistics().duplicates) == (0, 15)


def test_numbers_that_wrapped_while_the_upstream_was_lost_are_not_taken_for_those_of_the_past():
    order = opened(40_000)
    push(order, 40_000)
    order.take(0.0)
    order.begin_session(SSRC, 600.0)
    order.begin_window(39_000, 600.0)  # 64,535 numbers later
    assert order.push_untrusted(packet(39_000, timestamp=600 * rtp.CLOCK_HZ), 600.0)
    [one] = order.take(600.0)
    assert one.begins
    assert one.passed_over == 0, "a hole of that size would be taken for a step back"


def test_the_longest_hole_is_passed_on_and_a_longer_one_begins_anew():
    for size, passed_over in ((MOST_PASSED_OVER, MOST_PASSED_OVER), (MOST_PASSED_OVER + 1, 0)):
        order = opened(0)
        push(order, 0, size + 1)
        last = order.take(1.0)[-1]
        assert (last.passed_over, last.begins) == (passed_over, passed_over == 0)


def test_a_silence_of_more_than_half_of_the_numbers_is_no_end():
    order = opened(0)
    push(order, 0)
    order.take(0.0)
    assert order.push_untrusted(packet(40_000, timestamp=2 * JUMP_TICKS), 50.0)
    assert order.push_untrusted(packet(40_001, timestamp=2 * JUMP_TICKS), 50.0)
    relayed = order.take(50.0)
    assert [one.begins for one in relayed] == [True, False]


def test_another_stream_begins_anew_and_what_is_left_of_the_old_one_is_not_its():
    order = opened()
    push(order, 100)
    order.take(0.0)
    order.begin_session(7, 1.0)
    order.begin_window(5, 1.0)
    assert not order.push_untrusted(packet(101), 1.0)
    assert order.push_untrusted(packet(5, ssrc=7), 1.0)
    [one] = order.take(1.0)
    assert (one.begins, one.passed_over) == (True, 0)


def test_after_a_rest_the_same_stream_begins_anew_though_it_sends_the_same_again():
    order = opened()
    push(order, *range(100, 110))
    order.take(0.0)
    order.end_window(109, 10, 1.0)
    order.rest()
    order.begin_session(SSRC, 9.0)
    order.begin_window(105, 9.0)
    push(order, 105, 106, at_s=9.0)
    relayed = order.take(9.0)
    assert seen(relayed) == [(105, 0), (106, 0)]
    assert [one.begins for one in relayed] == [True, False]


@pytest.mark.parametrize("data", [b"", b"\x80\x21", bytes(40), packet(100, ssrc=8)])
def test_what_is_not_of_the_stream_is_left_to_others(data: bytes):
    assert not opened().push_untrusted(data, 0.0)


@given(st.lists(st.integers(0, 60), max_size=120), st.integers(0, 65_535))
def test_whatever_comes_each_number_goes_on_once_in_order_with_the_holes_between(offsets: list[int], first: int):
    order = opened(first)
    relayed: list[Relayed] = []
    for time, offset in enumerate(offsets):
        push(order, first + offset, at_s=time * 0.004)
        relayed += order.take(time * 0.004)
    relayed += order.take(10.0)
    numbers = [number for number, _ in seen(relayed)]
    assert numbers == sorted(set(numbers))
    assert set(numbers) <= {first + offset for offset in offsets}
    at = first - 1
    for number, passed_over in seen(relayed):
        assert number == at + 1 + passed_over
        at = number
    assert order.statistics().lost == sum(passed_over for _, passed_over in seen(relayed))
