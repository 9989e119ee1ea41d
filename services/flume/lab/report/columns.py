"""The time lines of a client in as many columns as a page can carry. Pure arithmetic.

A run of an hour has 36 000 bins a line, and fifty clients have nine lines each: more than a page of 5 MB holds.
Columns join neighbouring bins: counts are added, of rates the mean is taken, of delays the greatest and of qualities
the least, so that no peak vanishes.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from flume.lab.report.states import bands
from flume.lab.trial.verdict import ClientReport

MOST_VALUES = 400_000
"""Values in the time lines of one page: of about 5 characters, so 2 MB."""
LEAST_COLUMNS = 400
"""As many as a screen can show; also with hundreds of clients."""
LINES = 9
SHOWN_BIN_S = 1.0
"""Frames are counted by the second: in a tenth of one, 25 frames a second are now two and now three."""

Values = Sequence[float | None]


def columns_for(clients: int) -> int:
    """Return how many columns each time line of a page with *clients* may have.

    >>> columns_for(5), columns_for(50), columns_for(2000)
    (8888, 888, 400)
    """
    return max(LEAST_COLUMNS, MOST_VALUES // (LINES * max(1, clients)))


def join(values: Values, group: int, how: Callable[[list[float]], float]) -> list[float | None]:
    """Return one value for each *group* of *values*, made by *how* of those that are there; None where none is.

    >>> join([1, 2, None, 4, None, None], 2, sum)
    [3, 4, None]
    """
    if group == 1:
        return list(values)
    joined: list[float | None] = []
    for start in range(0, len(values), group):
        present = [value for value in values[start : start + group] if value is not None]
        joined.append(how(present) if present else None)
    return joined


def mean(values: Sequence[float]) -> float:
    """Return the mean of *values*, of which there is at least one."""
    return sum(values) / len(values)


def chart_data(client: ClientReport, duration_s: float, most_columns: int) -> dict[str, Any]:
    """Return what the page's program draws of *client*: numbers and names only, ready for JSON.

    ``charts`` has a group of lines a column width: ``{"bin": seconds, "lines": {name: values}}``.
    """
    measures = client.measures
    freezes = measures.playback.freezes if measures.playback else []
    return {
        "name": client.name,
        "duration": duration_s,
        "bands": [(round(b.start_s, 3), round(b.end_s, 3), b.state) for b in bands(client, duration_s)],
        "commands": [(c.time_s, c.command, c.answer) for c in client.commands if c.command != "status"],
        "freezes": [(round(f.start_s, 3), round(f.duration_s, 3)) for f in freezes],
        "worst": None if measures.pictures is None else measures.pictures.worst_s,
        "charts": _charts(client, most_columns),
    }


def _charts(client: ClientReport, most_columns: int) -> dict[str, Any]:
    timeline, series = client.timeline, client.measures.series
    sent = {"sent": timeline.sent}
    if client.datagrams_leaked:
        sent["leaked"] = timeline.leaked
    charts = {"sent": _chart(timeline.bin_s, sent, most_columns, sum)}
    if series is None:
        return charts
    lost = {"upstream": series.lost_upstream} if series.lost_upstream else {}
    lost |= {
        "link": series.lost_link,
        "queue": series.lost_queue,
        "host": series.lost_host,
        "beyond": series.lost_beyond,
    }
    charts["rate"] = _chart(series.bin_s, {"rate": series.rate_kbit}, most_columns, mean)
    charts["lost"] = _chart(series.bin_s, lost, most_columns, sum)
    if client.measures.wire is None or client.measures.wire.clock_bound_ms is not None:
        charts["delay"] = _chart(series.bin_s, {"delay": series.delay_ms}, most_columns, max, digits=2)
    if client.measures.playback is not None:
        by_second = max(1, round(SHOWN_BIN_S / series.bin_s))
        shown = join(series.shown, by_second, sum)
        charts["shown"] = _chart(series.bin_s * by_second, {"shown": shown}, most_columns, sum)
    if any(value is not None for value in series.vmaf):
        charts["vmaf"] = _chart(series.bin_s, {"vmaf": series.vmaf}, most_columns, min, digits=1)
    return charts


def _chart(
    bin_s: float, lines: dict[str, Any], most_columns: int, how: Callable[[list[float]], float], *, digits: int = 0
) -> dict[str, Any]:
    group = _group(max(map(len, lines.values()), default=1), most_columns)
    return {
        "bin": round(bin_s * group, 6),
        "lines": {name: _rounded(join(values, group, how), digits) for name, values in lines.items()},
    }


def _group(count: int, most_columns: int) -> int:
    """Return how many of *count* bins make a column: a round number, because its width stands beside the axis."""
    least = max(1, math.ceil(count / most_columns))
    power = int(10 ** (len(str(least)) - 1))
    return next(digit * power for digit in (1, 2, 5, 10) if digit * power >= least)


def _rounded(values: Iterable[float | None], digits: int) -> list[float | None]:
    return [None if value is None else round(value, digits) if digits else round(value) for value in values]
