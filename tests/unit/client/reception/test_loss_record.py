"""The record of what the jitter buffer gave up, and of what came after that."""

from flume.client.reception.jitter import JitterBuffer
from flume.client.reception.loss_record import MOST_ENTRIES, GivenUp, LossRecord, TooLate


def buffer(record: LossRecord) -> JitterBuffer[int]:
    made = JitterBuffer[int](reorder_ms=60, capacity=64, record=record)
    made.begin_window(65534, 0.0)
    return made


def test_a_clean_window_records_nothing() -> None:
    record = LossRecord()
    window = buffer(record)
    for at in range(10):
        window.push((65534 + at) % 65536, at, at / 100)
        window.take(at / 100)
    window.end_window(7, 0.1)
    assert window.take(9.0) == []
    assert record.take() == ([], [])


def test_what_is_given_up_and_what_comes_after_that() -> None:
    record = LossRecord()
    window = buffer(record)
    window.push(65534, 0, 1.00)
    window.push(2, 4, 1.01)  # 65535, 0 and 1 are missing
    assert window.take(1.06) == [0]
    assert record.take() == ([], []), "the wait is not over"
    assert window.take(1.08) == [4]
    window.push(0, 2, 1.10)
    window.push(0, 2, 1.11)  # a duplicate of what came too late
    assert record.take() == ([GivenUp(1.08, 65535, 1)], [TooLate(1.10, 0)])
    assert record.take() == ([], []), "taken once"


def test_what_a_window_lacks_at_its_end_is_given_up() -> None:
    record = LossRecord()
    window = buffer(record)
    window.end_window(1, 5.0)
    window.take(6.0)
    assert record.take() == ([GivenUp(6.0, 65534, 1)], [])


def test_a_new_session_gives_up_at_once() -> None:
    record = LossRecord()
    window = buffer(record)
    window.push(65535, 1, 2.0)
    window.reset(2.01)
    assert record.take() == ([GivenUp(2.01, 65534, 65534)], [])


def test_it_is_bounded() -> None:
    record = LossRecord()
    for at in range(MOST_ENTRIES + 10):
        record.give_up(range(at, at + 1), float(at))
        record.too_late(at, float(at))
    given_up, late = record.take()
    assert (len(given_up), len(late)) == (MOST_ENTRIES, MOST_ENTRIES)
    assert late[-1].time_s == MOST_ENTRIES + 9, "the oldest are forgotten"
