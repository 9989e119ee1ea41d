"""The time lines of one client, for the report's graph. Pure."""

import math
from collections.abc import Iterable, Mapping
from statistics import median

from flume.lab.trial.attribution import keeps_record
from flume.lab.trial.case import Case
from flume.lab.trial.fates import Cause
from flume.lab.trial.measures import Series
from flume.lab.trial.verdict import BIN_S
from flume.measures.rates import bins

MOST_BINS = 3000
"""Of each time line: five minutes in tenths of a second. A longer run has wider bins."""


def series(case: Case, by_datagram: Mapping[int, Cause], end_s: float) -> Series | None:
    """Return the time lines of *case* from the run's start to *end_s*; None without a capture at the client."""
    if case.matching is None:
        return None
    started_s, length_s = case.started_s, max(0.0, end_s - case.started_s)
    bin_s = BIN_S * max(1, math.ceil(length_s / BIN_S / MOST_BINS))
    count = int(length_s / bin_s) + 1

    def counted(times_s: Iterable[float]) -> list[int]:
        return [int(value) for value in bins(((time_s - started_s, 1) for time_s in times_s), bin_s, count)]

    lost: dict[str, list[float]] = {}
    for one in case.flow.sent:
        if (cause := by_datagram.get(id(one))) is not None:
            lost.setdefault(cause, []).append(one.time_s)
    beyond = [time_s for cause in ("firewall", "receiver", "late") for time_s in lost.get(cause, ())]
    sizes = ((arrival.time_s - started_s, departure.bytes) for departure, arrival in case.matching.arrived)
    delays: list[list[float]] = [[] for _ in range(count)]
    for departure, arrival in case.matching.arrived if case.clocks.bound_s is not None else ():
        position = int((arrival.time_s - started_s) // bin_s)
        if 0 <= position < count:
            delays[position].append(1000 * (arrival.time_s - departure.time_s))
    record = case.subject.claims.record if keeps_record(case) else None
    return Series(
        bin_s=round(bin_s, 3),
        rate_kbit=[round(8 * value / 1000 / bin_s, 1) for value in bins(sizes, bin_s, count)],
        lost_link=counted(lost.get("link", ())),
        lost_queue=counted(lost.get("queue", ())),
        lost_host=counted(lost.get("host", ())),
        lost_beyond=counted(beyond),
        delay_ms=[round(median(values), 3) if values else None for values in delays],
        shown=counted(one.time_s for one in record.shown) if record is not None else [],
        lost_upstream=[] if case.upstream is None else counted(one.time_s for one in case.upstream.lost),
    )
