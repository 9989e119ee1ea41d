"""A rate that is absurd for an item is never sent, and a normal film is never touched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.media.datagrams import PAYLOAD_BYTES
from flume.media.mpegts import PCR_HZ
from flume.media.packetizer import Packetizer
from flume.media.rate_guard import LEAST_LIMIT, PEAK_FACTOR, RateGuard
from support.media.ts_stream import item

BITS = 8 * PAYLOAD_BYTES


def sent(guard: RateGuard, *, rate: int, seconds: float, start: int = 0) -> list[int]:
    """Return when datagrams at *rate* bit/s are sent."""
    return [guard.delay(start + number * BITS * PCR_HZ // rate) for number in range(int(seconds * rate / BITS))]


def peak(times: list[int]) -> float:
    """Return the most bits in one second."""
    return BITS * max(sum(at <= other < at + PCR_HZ for other in times[:20_000]) for at in times[:20_000:50])


def test_a_film_of_99_kbit_is_not_sent_at_28_mbit() -> None:
    guard = RateGuard()
    guard.begin_item(bit_rate=99_000)
    times = sent(guard, rate=28_700_000, seconds=4)
    assert peak(times) <= 2.01 * LEAST_LIMIT
    assert times[-1] / PCR_HZ == pytest.approx(4 * 28.7 / 10 - 1, abs=0.1)
    assert guard.limited > 0.9 * len(times) - 1000


@pytest.mark.parametrize(
    ("promised", "rate", "seconds"),
    [(5_000_000, 35_000_000, 60), (60_000_000, 400_000_000, 3), (100_000, 9_000_000, 20), (8_000, 100_000, 60)],
)
def test_high_rates_of_normal_films_are_not_touched(promised: int, rate: int, seconds: int) -> None:
    guard = RateGuard()
    guard.begin_item(bit_rate=promised)
    times = sent(guard, rate=rate, seconds=seconds)
    assert times == [number * BITS * PCR_HZ // rate for number in range(len(times))]
    assert guard.limited == 0


def test_a_large_keyframe_may_come_at_once() -> None:
    guard = RateGuard()
    guard.begin_item(bit_rate=400_000)
    for second in range(10):
        assert {guard.delay(second * 4 * PCR_HZ) for _ in range(900)} == {second * 4 * PCR_HZ}, "1.2 MB"
    assert guard.limited == 0


def test_without_a_promise_nothing_is_limited() -> None:
    guard = RateGuard()
    guard.begin_item(bit_rate=99_000)
    sent(guard, rate=50_000_000, seconds=3)
    limited = guard.limited
    assert limited > 0
    guard.begin_item(bit_rate=None)
    assert {guard.delay(10 * PCR_HZ) for _ in range(10_000)} == {10 * PCR_HZ}
    assert guard.limited == limited


@given(steps=st.lists(st.integers(0, PCR_HZ), max_size=300), promised=st.integers(1, 10**9))
def test_nothing_is_sent_early_or_out_of_order(steps: list[int], promised: int) -> None:
    guard = RateGuard()
    guard.begin_item(bit_rate=promised)
    at, last = 0, 0
    for step in steps:
        at = max(at + step, last)
        last = guard.delay(at)
        assert last >= at


def test_the_packetizer_limits_counts_and_keeps_every_datagram() -> None:
    packetizer = Packetizer()
    packetizer.begin_item(trusted_clock=True, bit_rate=100_000)
    data = item(frames=200, frame_bytes=60_000, step=90)  # 1 ms each: 500 Mbit/s
    datagrams = packetizer.feed_untrusted(data) + packetizer.end_item()
    assert packetizer.statistics().rate_limited_datagrams > 5000
    due = [datagram.due_s for datagram in datagrams]
    assert due == sorted(due)
    assert due[-1] == pytest.approx(len(datagrams) * BITS / max(LEAST_LIMIT, PEAK_FACTOR * 100_000) - 1, abs=0.1)
