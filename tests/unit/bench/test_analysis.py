"""Computes figures from counters and arrival times."""

import pytest

from bench.analysis import (
    Arrival,
    Spread,
    largest_silence_ns,
    lateness,
    lateness_ns,
    memory_per_client,
    percentile,
    spread,
    wire_datagrams,
)

PCR_HZ = 27_000_000
MS = 1_000_000
DATAGRAM_MS = 7
"""A datagram is seven packets, each one millisecond of stream time."""


def stream(count: int, *, every: int = 3, start_ms: float = 0, delay_ms: float = 0) -> list[Arrival]:
    """Return *count* datagrams that arrive *delay_ms* after their stream time; *every*'th carries a PCR."""
    arrivals = []
    for number in range(count):
        stream_ms = start_ms + number * DATAGRAM_MS
        # The PCR is in the third packet, two milliseconds of stream time after the first.
        pcr = round((stream_ms + 2) * PCR_HZ / 1000) if number % every == 0 else None
        arrivals.append(Arrival(round((number * DATAGRAM_MS + delay_ms) * MS), 12 + 7 * 188, pcr, 2))
    return arrivals


def test_a_steady_stream_is_never_late() -> None:
    late = lateness_ns(stream(31, start_ms=500))
    assert len(late) > 20
    assert max(late) < 1000


def test_a_datagram_that_comes_later_is_late_by_that() -> None:
    arrivals = stream(31)
    arrivals[10] = arrivals[10]._replace(time_ns=arrivals[10].time_ns + 40 * MS)
    late = lateness_ns(arrivals)
    assert max(late) == pytest.approx(40 * MS, abs=1000)
    assert sorted(late)[-2] < 1000


def test_a_stream_that_falls_behind_becomes_later_and_later() -> None:
    arrivals = [each._replace(time_ns=each.time_ns * 2) for each in stream(31)]
    late = lateness_ns(arrivals)
    assert late == sorted(late)
    assert late[-1] > 100 * MS


def test_a_clip_that_begins_again_is_measured_against_itself() -> None:
    first = stream(31, start_ms=60_000)
    gap_ms = 31 * DATAGRAM_MS + 300
    again = [each._replace(time_ns=each.time_ns + gap_ms * MS) for each in stream(31)]
    late = lateness_ns([*first, *again])
    assert len(late) > 45
    assert max(late) < 1000


def test_raw_transport_packets_and_rtp_have_the_same_positions() -> None:
    raw_ts = [each._replace(length=7 * 188) for each in stream(31)]
    assert lateness_ns(raw_ts) == lateness_ns(stream(31))


def test_without_two_pcrs_nothing_is_known() -> None:
    assert lateness([stream(3)]) is None
    assert lateness([]) is None


def test_each_client_is_measured_against_its_own_earliest_datagram() -> None:
    seen = lateness([stream(31), stream(31, delay_ms=80)])
    assert seen is not None
    assert seen.max_ms < 0.01


@pytest.mark.parametrize(("percent", "value"), [(50, 5), (99, 10), (100, 10), (1, 1), (10, 1)])
def test_percentile_is_the_nearest_rank(percent: float, value: float) -> None:
    assert percentile(list(range(1, 11)), percent) == value


def test_a_batch_on_the_wire_counts_as_its_datagrams() -> None:
    batch = 28 + 8 * 1328
    assert wire_datagrams(1, batch, rtp=True) == 8
    assert wire_datagrams(8, 8 * (28 + 1316), rtp=False) == 8


def test_silence_includes_the_one_that_had_not_ended() -> None:
    assert largest_silence_ns([(5, 95), (7, 99)], 0, 100) == 7
    assert largest_silence_ns([(5, 95), (7, 60)], 0, 100) == 40


def test_who_hears_nothing_is_silent_all_the_time() -> None:
    assert largest_silence_ns([(0, 0)], 1000, 1300) == 300
    assert largest_silence_ns([], 1000, 1300) == 300


def test_spread_and_memory() -> None:
    assert spread([]) is None
    assert spread([3, 1, 2]) == Spread(2, 1, 3, 3)
    assert memory_per_client(10, 30, 21) == 1
    assert memory_per_client(10, 30, 1) is None
