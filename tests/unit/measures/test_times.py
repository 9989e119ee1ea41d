"""Jitter, delay, rates, the delivery index and freezes: known errors give exactly the known figures."""

import pytest

from flume.measures import rates
from flume.measures.delay import Spread, percentile, spread
from flume.measures.delivery_index import DeliveryIndexMeter, delay_factor_ms
from flume.measures.freezes import freezes, threshold_s
from flume.measures.jitter import InterarrivalJitter
from flume.measures.rates import PeakRate, bins, longest_silence_s

TS_BYTES = 1316


def jitter_of(arrivals: list[tuple[int, float]]) -> InterarrivalJitter:
    jitter = InterarrivalJitter()
    for timestamp, arrival_s in arrivals:
        jitter.add(timestamp, arrival_s)
    return jitter


def test_a_steady_stream_has_no_jitter() -> None:
    steady = [(n * 900 % 2**32, 50.0 + n * 0.01) for n in range(1000)]
    assert jitter_of(steady).most_ms == pytest.approx(0, abs=1e-9)


def test_jitter_after_one_late_datagram() -> None:
    # 8 ms late, then in time: |D| is 8 ms twice, and J = 0.5, then 0.5 + (8 - 0.5)/16 (RFC 3550, A.8).
    assert jitter_of([(0, 0.0), (900, 0.018), (1800, 0.02)]).jitter_ms == pytest.approx(0.96875)


def test_jitter_passes_the_wrap_of_time_stamps_and_forgets_a_pause() -> None:
    jitter = jitter_of([(2**32 - 900, 0.0), (0, 0.01)])
    jitter.pause()
    jitter.add(450_000, 900.0)
    jitter.add(450_900, 900.01)
    assert jitter.most_ms == pytest.approx(0, abs=1e-9)


def test_percentiles_are_values_that_were_seen() -> None:
    assert spread([]) is None
    assert spread([7.0]) == Spread(1, 7, 7, 7, 7, 7)
    assert spread([*[1.0] * 94, *[2.0] * 5, 9.0]) == Spread(100, 1, 1, 2, 2, 9)
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_delay_factor_of_a_steady_stream_and_of_one_held_back() -> None:
    rate = TS_BYTES * 100
    steady = [(0.01 * n, TS_BYTES) for n in range(100)]
    assert delay_factor_ms(steady, rate) == pytest.approx(10)
    # From the 40th on all wait for 200 ms, then come at once: the buffer ran 200 ms below, and is full again.
    held = [(max(time_s, 0.6) if time_s >= 0.4 else time_s, size) for time_s, size in steady]
    assert delay_factor_ms(held, rate) == pytest.approx(210)
    assert delay_factor_ms([], rate) == 0
    with pytest.raises(ValueError, match="above 0"):
        delay_factor_ms(steady, 0)


def test_media_loss_rate_counts_transport_packets_of_each_second() -> None:
    meter = DeliveryIndexMeter(start_s=10.0)
    for n in range(300):
        meter.add(10 + n / 100, TS_BYTES, is_late=n == 250)
    meter.lost(11.5, packets=14)
    meter.lost(13.2, packets=7)  # a second in which nothing came
    indices = meter.measure(TS_BYTES * 100)
    assert [index.media_loss_rate for index in indices] == [0, 14, 7, 7]
    assert [index.start_s for index in indices] == [10, 11, 12, 13]
    assert [round(index.delay_factor_ms, 6) for index in indices] == [10, 10, 10, 0]


def test_an_interval_has_its_own_rate_where_none_is_given() -> None:
    meter = DeliveryIndexMeter()
    for n in range(100):
        meter.add(n / 100, TS_BYTES)
    assert [round(index.delay_factor_ms, 6) for index in meter.measure()] == [10]


def test_bins_and_peak() -> None:
    assert bins([(-0.1, 9), (0.0, 1), (0.49, 1), (0.5, 2), (1.5, 9)], 0.5, 3) == [2, 2, 0]
    peak = PeakRate()
    for n in range(100):
        peak.add(0.01 * n + (0.5 if n >= 50 else 0), 1250)  # 1 Mbit/s in each 100 ms
    for _ in range(10):
        peak.add(2.0, 1250)
    assert peak.peak_kbit == pytest.approx(1000)
    peak.add(2.05, 1250)
    assert peak.peak_kbit == pytest.approx(1100)
    assert PeakRate().peak_kbit == 0


def test_longest_silence() -> None:
    assert longest_silence_s([]) is None
    assert longest_silence_s([1.0]) is None
    assert longest_silence_s([1.0, 1.25, 3.25, 3.5]) == 2.0


def test_a_steady_picture_never_freezes() -> None:
    assert freezes([n * 0.04 for n in range(1000)], frame_s=0.04, until_s=40.1) == []
    assert freezes([], frame_s=0.04, until_s=9.0) == []


def test_a_freeze_lasts_from_one_frame_to_the_next() -> None:
    shown = [*(n * 0.04 for n in range(50)), *(3.0 + n * 0.04 for n in range(50))]
    (one,) = freezes(shown, frame_s=0.04)
    assert one == pytest.approx((1.96, 1.04))


def test_the_threshold_is_that_of_the_w3c() -> None:
    assert threshold_s(0.04) == pytest.approx(0.19)
    steady = [n * 0.04 for n in range(31)]
    assert freezes([*steady, 1.2 + 0.18], frame_s=0.04) == []
    assert len(freezes([*steady, 1.2 + 0.20], frame_s=0.04)) == 1


def test_a_picture_that_stands_still_at_the_end_is_a_freeze() -> None:
    (one,) = freezes([n * 0.04 for n in range(50)], frame_s=0.04, until_s=10.0)
    assert one == pytest.approx((1.96, 8.04))


def test_the_peak_of_a_flood_holds_a_bounded_number_of_datagrams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "_MOST_HELD", 10)
    peak = PeakRate()
    for number in range(1000):
        peak.add(1e-6 * number, 125)
    assert len(peak._recent) == 10
    assert peak.peak_kbit == 1000 * 125 * 8 / 1000 / 0.1
