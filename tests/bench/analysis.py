"""Computes figures from counters and arrival times. Pure: no clock, no file, no socket."""

import statistics
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec

from bench.values import RTP_HEADER_BYTES, TS_BYTES, WIRE_HEADER_BYTES, Lateness
from flume.media.mpegts import PACKET_BYTES, PCR_HZ

MAX_PCR_STEP_S = 0.5
"""A longer step of the PCR, or one back, begins a new timeline: the clip begins again. The standard allows 0.1 s."""


class Arrival(NamedTuple):
    """One datagram of a sample client. Its packet number *pcr_packet*, from 0, carries *pcr* (27 MHz)."""

    time_ns: int
    length: int
    pcr: int | None
    pcr_packet: int


class _Pcr(NamedTuple):
    position: int
    value: int


def lateness_ns(arrivals: Sequence[Arrival]) -> list[float]:
    """Return how much later than its stream time each datagram arrived, relative to the earliest on the same timeline.

    The stream time of a datagram is interpolated between two PCRs by the position of its first packet (ETSI TR 101 290
    judges the PCRs alone). Datagrams before the first PCR or behind the last one have no stream time.
    """
    positions: list[int] = []
    pcrs: list[_Pcr] = []
    position = 0
    for arrival in arrivals:
        positions.append(position)
        if arrival.pcr is not None:
            pcrs.append(_Pcr(position + arrival.pcr_packet, arrival.pcr))
        position += arrival.length // PACKET_BYTES
    late: list[float] = []
    timeline: list[float] = []
    index = 0
    for before, after in pairwise(pcrs):
        step = after.value - before.value
        if not 0 < step <= MAX_PCR_STEP_S * PCR_HZ or after.position == before.position:
            late += _relative(timeline)
            timeline = []
            continue
        while index < len(positions) and positions[index] < before.position:
            index += 1
        ns_per_packet = step / (after.position - before.position) * 1e9 / PCR_HZ
        start_ns = before.value * 1e9 / PCR_HZ
        while index < len(positions) and positions[index] < after.position:
            stream_ns = start_ns + (positions[index] - before.position) * ns_per_packet
            timeline.append(arrivals[index].time_ns - stream_ns)
            index += 1
    return late + _relative(timeline)


def _relative(differences: list[float]) -> list[float]:
    earliest = min(differences, default=0.0)
    return [difference - earliest for difference in differences]


def lateness(clients: Iterable[Sequence[Arrival]]) -> Lateness | None:
    """Return the percentiles over the datagrams of all sample *clients*; ``None`` if none has a stream time."""
    late = sorted(value for arrivals in clients for value in lateness_ns(arrivals))
    if not late:
        return None
    return Lateness(
        p50_ms=percentile(late, 50) / 1e6, p99_ms=percentile(late, 99) / 1e6, max_ms=late[-1] / 1e6, datagrams=len(late)
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the smallest of the *ordered* values that *percent* of them do not exceed (nearest rank).

    >>> percentile([1, 2, 3, 4], 50)
    2
    """
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]


def wire_datagrams(packets: int, size_bytes: int, *, rtp: bool) -> float:
    """Return how many datagrams the drop counter at the ingress hook has counted.

    The counter counts a segmentation batch as one packet with one set of headers. So the datagrams follow from
    *size_bytes*, not from *packets*. A batch of eight RTP datagrams, for example:

    >>> wire_datagrams(1, 28 + 8 * 1328, rtp=True)
    8.0
    """
    return (size_bytes - WIRE_HEADER_BYTES * packets) / (TS_BYTES + (RTP_HEADER_BYTES if rtp else 0))


def largest_silence_ns(silences: Iterable[tuple[int, int]], begin_ns: int, end_ns: int) -> int:
    """Return the longest silence of any client within the window from *begin_ns* to *end_ns*.

    Each entry of *silences* is one client: the largest gap that ended within the window, and the time of its last
    datagram. The silence after that datagram has not ended, and counts too.
    """
    return max(
        (max(gap_ns, end_ns - max(last_ns, begin_ns)) for gap_ns, last_ns in silences), default=end_ns - begin_ns
    )


class Spread(msgspec.Struct, frozen=True):
    """One figure over several repeats; JSON keeps the names of these fields."""

    median: float
    low: float
    high: float
    count: int


def spread(values: Sequence[float]) -> Spread | None:
    """Return median, lowest and highest of *values*; ``None`` if there are none."""
    return Spread(statistics.median(values), min(values), max(values), len(values)) if values else None


def memory_per_client(rss_one: float, rss_many: float, clients: int) -> float | None:
    """Return the memory of each further client, in the unit of the arguments; ``None`` if there is only one client."""
    return (rss_many - rss_one) / (clients - 1) if clients > 1 else None
