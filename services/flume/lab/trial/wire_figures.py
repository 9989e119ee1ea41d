"""The figures of the wire: what the network did to the datagrams of one client's windows. Pure.

Each window is measured by itself, and the results are added: a pause is not loss, not jitter and no silence. A window
begins with a burst, the datagrams since the last keyframe. Jitter and delay factor begin behind it, because the server
makes the burst, and not the network; loss, delay and peak rate include it.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from flume.lab.evidence.facts import MediaDatagram
from flume.lab.trial.case import Case
from flume.lab.trial.measures import Spread, WireFigures
from flume.measures import bursts, delay, rtp
from flume.measures.delivery_index import INTERVAL_S, DeliveryIndex, stamped_delay_factor_ms
from flume.measures.jitter import CLOCK_HZ, InterarrivalJitter, timestamp_step
from flume.measures.rates import PeakRate, longest_silence_s

TS_PACKET_BYTES = 188
_LEAD_S = 0.05
"""A lead within this of the window's greatest one is nearly the end of the burst, which is within this time then. The
lead goes on changing a little, by the sender's grain and clock."""


class Arrived(NamedTuple):
    """A datagram of a window that passed the client's interface."""

    position: int
    """Among the departures of its window."""
    time_s: float
    departure: MediaDatagram


def wire_figures(case: Case) -> WireFigures | None:
    """Return the figures of *case*; None without a capture at the client, or without a datagram for it."""
    if case.matching is None or not case.flow.active:
        return None
    arrival_s = {id(departure): arrival.time_s for departure, arrival in case.matching.arrived}
    jitter, peak = InterarrivalJitter(), PeakRate()
    numbers, gaps = rtp.EMPTY, bursts.NONE
    indices: list[DeliveryIndex] = []
    delays_s: list[float] = []
    silences_s: list[float] = []
    for window in case.flow.allowed:
        arrived = _arrived(window, arrival_s)
        lost = [position for position, one in enumerate(window) if id(one) not in arrival_s]
        behind = set(_behind(arrived))
        numbers += rtp.RtpAccount(len(window), len(arrived), len(lost), 0, len(behind), rtp.loss_runs(lost))
        gaps += bursts.bursts_and_gaps(lost, len(window))
        delays_s += [one.time_s - one.departure.time_s for one in arrived]
        silences_s += [silence] if (silence := longest_silence_s(one.time_s for one in arrived)) is not None else []
        for one in arrived:
            peak.add(one.time_s, one.departure.bytes)
        live_from = _live_from(window)
        _add_jitter(jitter, arrived, live_from)
        indices += _delivery_indices(window, arrived, lost, behind, live_from)
    bound_s, whole_s = case.clocks.bound_s, case.clocks.from_first_s
    spread = None if bound_s is None else delay.spread(1000 * one for one in delays_s)
    density = gaps.burst_density
    return WireFigures(
        expected=numbers.expected,
        received=numbers.received,
        lost=numbers.lost,
        duplicates=case.matching.duplicates,
        reordered=numbers.reordered,
        loss_runs=dict(sorted(numbers.loss_runs.items())),
        longest_run=numbers.longest_run,
        burst_pct=None if density is None else round(100 * density, 3),
        burst_mean=_rounded(gaps.burst_mean),
        gap_mean=_rounded(gaps.gap_mean),
        jitter_ms=_rounded(jitter.jitter_ms),
        jitter_most_ms=_rounded(jitter.most_ms),
        delay_ms=rounded_spread(spread),
        end_to_end_ms=None if whole_s is None else _end_to_end_ms(case),
        end_to_end_bound_ms=_ms_up(whole_s),
        clock_bound_ms=_ms_up(bound_s),
        delay_factor_ms=_rounded(max((one.delay_factor_ms for one in indices), default=None)),
        media_loss_rate=max((one.media_loss_rate for one in indices), default=None),
        longest_silence_ms=_rounded(1000 * max(silences_s)) if silences_s else None,
        peak_kbit=round(peak.peak_kbit, 1),
    )


def _ms_up(bound_s: float | None) -> float | None:
    """Return a bound in milliseconds, rounded up so that it still is one."""
    return None if bound_s is None else math.ceil(1e6 * bound_s) / 1000


def _end_to_end_ms(case: Case) -> Spread | None:
    """Return the delay of the datagrams of all windows from the first server on; None where no relay is between."""
    if case.upstream is None or case.matching is None:
        return None
    origin = case.upstream.origin
    pairs = ((origin.get(id(departure)), arrival) for departure, arrival in case.matching.arrived)
    return rounded_spread(
        delay.spread(1000 * (arrival.time_s - one.time_s) for one, arrival in pairs if one is not None)
    )


def rounded_spread(spread: delay.Spread | None) -> Spread | None:
    """Return *spread* as the report has it, with three digits."""
    if spread is None:
        return None
    values = msgspec.structs.asdict(spread)
    return Spread(count=values.pop("count"), **{name: round(value, 3) for name, value in values.items()})


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _arrived(window: Sequence[MediaDatagram], arrival_s: dict[int, float]) -> list[Arrived]:
    """Return what arrived of *window*, in the order of arrival."""
    arrived = [
        Arrived(position, arrival_s[id(one)], one) for position, one in enumerate(window) if id(one) in arrival_s
    ]
    return sorted(arrived, key=lambda one: (one.time_s, one.position))


def _behind(arrived: Sequence[Arrived]) -> Iterator[int]:
    """Yield the positions of those that came behind a later one (RFC 4737, 3.3)."""
    highest = -1
    for one in arrived:
        if one.position < highest:
            yield one.position
        highest = max(highest, one.position)


def _live_from(window: Sequence[MediaDatagram]) -> int:
    """Return the position in *window* behind the burst with which it begins.

    In the burst the stream's time runs ahead of the clock; the lead has its greatest value when the burst is over.
    """
    first = next((one for one in window if one.timestamp is not None), None)
    if first is None or first.timestamp is None:
        return 0
    leads_s, passed = [], 0
    last = first.timestamp
    for one in window:
        if one.timestamp is not None:
            passed += timestamp_step(one.timestamp, last)
            last = one.timestamp
        leads_s.append(passed / CLOCK_HZ - (one.time_s - first.time_s))
    most_s = max(leads_s)
    nearly = next(position for position, lead_s in enumerate(leads_s) if lead_s >= most_s - _LEAD_S)
    behind_s = window[nearly].time_s + _LEAD_S
    near = [position for position in range(nearly, len(window)) if window[position].time_s <= behind_s]
    return max(near, key=lambda position: leads_s[position])


def _add_jitter(jitter: InterarrivalJitter, arrived: Sequence[Arrived], live_from: int) -> None:
    jitter.pause()
    for one in arrived:
        if one.position >= live_from and one.departure.timestamp is not None:
            jitter.add(one.departure.timestamp, one.time_s)


def _delivery_indices(
    window: Sequence[MediaDatagram], arrived: Sequence[Arrived], lost: Sequence[int], behind: set[int], live_from: int
) -> Iterator[DeliveryIndex]:
    """Yield the delivery index of each second of *window* behind its burst, by when its datagrams left."""
    if live_from >= len(window):
        return
    start_s = window[live_from].time_s
    delays_s: dict[int, list[float]] = defaultdict(list)
    packets: dict[int, int] = defaultdict(int)

    def second(departure: MediaDatagram) -> int:
        return int((departure.time_s - start_s) // INTERVAL_S)

    for one in arrived:
        if one.position >= live_from:
            delays_s[second(one.departure)].append(one.time_s - one.departure.time_s)
    for position in (*lost, *behind):
        if position >= live_from:
            packets[second(window[position])] += window[position].bytes // TS_PACKET_BYTES
    for interval in sorted(delays_s.keys() | packets.keys()):
        factor_ms = stamped_delay_factor_ms(delays_s.get(interval, ()))
        yield DeliveryIndex(start_s + interval * INTERVAL_S, factor_ms, packets.get(interval, 0) / INTERVAL_S)
