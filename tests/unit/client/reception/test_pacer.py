"""The pacer stretches bursts and adds nothing to a steady stream."""

from hypothesis import given
from hypothesis import strategies as st

from flume.client.reception.pacer import SPEED, PlayoutPacer

STEP = 900  # 10 ms


def drain(pacer: PlayoutPacer[int], now_s: float) -> list[tuple[float, int]]:
    out = []
    while (due_s := pacer.deadline_s()) is not None:
        now_s = max(now_s, due_s)
        out += [(now_s, item) for item in pacer.take(now_s)]
    return out


def test_a_burst_leaves_at_the_stream_s_speed() -> None:
    pacer = PlayoutPacer[int](capacity=1000)
    for number in range(100):  # a second of stream, within 50 ms
        pacer.push(number * STEP, number, number * 0.0005)
    left = drain(pacer, 0.05)
    assert [item for _, item in left] == list(range(100))
    assert abs(left[-1][0] - 0.99 / SPEED) < 0.02


def test_a_steady_stream_is_not_delayed() -> None:
    pacer = PlayoutPacer[int](capacity=1000)
    for number in range(1000):
        now_s = number * 0.01 + 1e-6
        pacer.push(number * STEP, number, now_s)
        assert pacer.take(now_s + 0.0102), "at most the one per cent by which it runs ahead"


def test_a_backlog_is_worked_off() -> None:
    pacer = PlayoutPacer[int](capacity=10_000)
    for number in range(50):
        pacer.push(number * STEP, number, 0.0)
    for number in range(50, 7000):
        now_s = (number - 50) * 0.01
        pacer.push(number * STEP, number, now_s)
        pacer.take(now_s)
    assert len(pacer) <= 2


def test_pauses_jumps_and_the_wrap_are_new_beginnings() -> None:
    pacer = PlayoutPacer[int](capacity=1000)
    pacer.push(0xFFFF_FF00, 1, 0.0)
    pacer.push(0xFFFF_FF00 + STEP & 0xFFFF_FFFF, 2, 0.0)  # over the wrap: 10 ms later
    assert [item for _, item in drain(pacer, 0.0)] == [1, 2]
    pacer.push(2_000_000_000, 3, 5.0)
    assert pacer.take(5.0) == [3]
    pacer.push(1_000, 4, 5.1)
    assert pacer.take(5.1) == [4]


def test_over_capacity_the_oldest_leave_early() -> None:
    pacer = PlayoutPacer[int](capacity=3)
    for number in range(6):
        pacer.push(number * STEP * 10, number, 0.0)
    assert pacer.take(0.0) == [0, 1, 2]
    assert len(pacer) == 3


@given(st.lists(st.tuples(st.integers(0, 0xFFFF_FFFF), st.floats(0, 1)), max_size=50))
def test_every_item_leaves_once_and_in_order_whatever_the_timestamps(pushes: list[tuple[int, float]]) -> None:
    pacer = PlayoutPacer[int](capacity=20)
    now_s, left = 0.0, []
    for number, (timestamp, wait_s) in enumerate(pushes):
        now_s += wait_s
        pacer.push(timestamp, number, now_s)
        left += pacer.take(now_s)
    left += [item for _, item in drain(pacer, now_s)]
    assert left == list(range(len(pushes)))
