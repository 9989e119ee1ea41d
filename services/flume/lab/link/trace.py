"""Traces: recorded figures of a link over time, to windows of 100 ms that a link can follow. Pure.

There are two formats. A **mahimahi** trace has on each line a whole number of milliseconds, at which one packet of 1500
bytes may leave; it begins again after its last line (``mm-link(1)``; mahimahi, USENIX ATC 2015). A **CSV** trace has a
header that names columns with their units, and a row wherever a figure changes::

    time_s,rate_kbit,delay_ms,loss_pct            one direction, or both alike
    time_s,down_rate_kbit,up_rate_kbit,delay_ms   columns with a prefix are of that direction alone

Every mistake raises :class:`~flume.errors.SettingsError` with the line of the file.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from flume.errors import SettingsError
from flume.lab.link.profile import MAX_DELAY_MS, MAX_RATE_KBIT
from flume.settings import check

WINDOW_MS = 100
"""A link changes at most this often: setting all links of a lab takes tens of milliseconds."""

OPPORTUNITY_BYTES = 1500 + 14
"""What one line of a mahimahi trace lets pass: an IP packet of 1500 bytes. netem counts its Ethernet header as well."""

MIN_LENGTH_S, MAX_LENGTH_S = 0.1, 1800.0
"""The steps of half an hour fit into the arguments of one command, 2 MiB."""

_TIME = "time_s"
_COLUMNS = {
    "rate_kbit": (MAX_RATE_KBIT, "kbit/s"),
    "delay_ms": (MAX_DELAY_MS, "ms"),
    "loss_pct": (100.0, "percent"),
}
"""Column → its largest value and its unit; the smallest is 0."""
_PREFIXES = ("down_", "up_")

Figures = Mapping[str, float]
"""``rate_kbit``, ``delay_ms``, ``loss_pct``: those that the trace has."""


class Span(NamedTuple):
    """Figures that hold from *start_s* to *end_s*; *line* of the file is where they begin."""

    start_s: float
    end_s: float
    figures: Figures
    line: int


class Trace(NamedTuple):
    """What *file* says of one direction."""

    file: str
    spans: tuple[Span, ...]
    """Without a gap; the first begins at 0 s."""

    @property
    def length_s(self) -> float:
        """After this time the trace begins again."""
        return self.spans[-1].end_s


def read_trace(text: str, *, file: str) -> dict[str, Trace]:
    """Return direction (``down``, ``up``) → its trace. *file* ends in ``.csv`` for CSV; any other name is mahimahi's.

    >>> trace = read_trace("time_s,rate_kbit\\n0,8000\\n0.5,2000\\n", file="t.csv")["down"]
    >>> [(span.start_s, span.end_s, span.figures["rate_kbit"]) for span in trace.spans]
    [(0.0, 0.5, 8000.0), (0.5, 1.0, 2000.0)]
    """
    lines = text.removesuffix("\n").split("\n")
    if file.lower().endswith(".csv"):
        found = _read_csv(lines, file)
    else:
        found = dict.fromkeys(("down", "up"), _read_mahimahi(lines, file))
    for spans in found.values():
        length_s, allowed = spans[-1].end_s, f"{MIN_LENGTH_S:g} to {MAX_LENGTH_S:g} s"
        check(MIN_LENGTH_S <= length_s <= MAX_LENGTH_S, f"{file}: its length", length_s, allowed)
    return {direction: Trace(file, spans) for direction, spans in found.items()}


def mean(spans: Sequence[Span]) -> dict[str, float]:
    """Return the mean of each figure over all *spans*."""
    return _mean(spans, spans[0].start_s, spans[-1].end_s)


def windows(trace: Trace, *, length_s: float) -> list[Span]:
    """Return *trace* in windows of 100 ms, each with the mean of its figures; begun again until *length_s* are full.

    The end may make one window longer or shorter than the others, by at most half of it.

    >>> trace = read_trace("time_s,delay_ms\\n0,10\\n0.05,30\\n0.1,40\\n", file="t.csv")["up"]
    >>> [(span.start_s, span.figures["delay_ms"]) for span in windows(trace, length_s=0.3)]
    [(0.0, 20.0), (0.1, 25.0), (0.2, 35.0)]
    """
    spans = list(_repeated(trace, length_s))
    count = max(1, math.floor(1000 * length_s / WINDOW_MS + 0.5))
    starts_s = [at * WINDOW_MS / 1000 for at in range(count)]
    found, first = [], 0
    for start_s, end_s in zip(starts_s, [*starts_s[1:], length_s], strict=True):
        while spans[first].end_s <= start_s:
            first += 1
        last = first
        while spans[last].end_s < end_s and last + 1 < len(spans):
            last += 1
        inside = spans[first : last + 1]
        found.append(Span(start_s, end_s, _mean(inside, start_s, end_s), inside[0].line))
    return found


def _repeated(trace: Trace, length_s: float) -> Iterator[Span]:
    begun_s = 0.0
    while begun_s < length_s:
        for span in trace.spans:
            if begun_s + span.start_s < length_s:
                yield span._replace(start_s=begun_s + span.start_s, end_s=min(length_s, begun_s + span.end_s))
        begun_s += trace.length_s


def _mean(spans: Sequence[Span], start_s: float, end_s: float) -> dict[str, float]:
    """Return the means over the time from *start_s* to *end_s*, which *spans* cover."""
    if len(spans) == 1:
        return dict(spans[0].figures)
    shares = [max(0.0, min(end_s, span.end_s) - max(start_s, span.start_s)) for span in spans]
    total = sum(shares)
    return {
        name: round(sum(share * span.figures[name] for share, span in zip(shares, spans, strict=True)) / total, 6)
        for name in spans[0].figures
    }


# --- mahimahi --------------------------------------------------------------------------------------------------------


def _read_mahimahi(lines: Sequence[str], file: str) -> tuple[Span, ...]:
    """Return the opportunities in windows of 100 ms; the last one is at the end of the last window."""
    times_ms: list[int] = []
    for number, line in enumerate(lines, 1):
        at_ms = int(line) if line.isascii() and line.isdecimal() else -1
        allowed = "a whole number of milliseconds (mahimahi; the name of a CSV trace ends in .csv)"
        check(at_ms >= 0, f"{file}: line {number}", line, allowed)
        check(not times_ms or at_ms >= times_ms[-1], f"{file}: line {number}", at_ms, "not before the line above it")
        times_ms.append(at_ms)
    length_ms = times_ms[-1]
    check(length_ms > 0, f"{file}: line {len(lines)}", length_ms, "above 0: it is the length of the trace")
    if length_ms < WINDOW_MS:  # "1" alone is a link of one packet each millisecond
        rounds = math.ceil(WINDOW_MS / length_ms)
        times_ms = [turn * length_ms + at_ms for turn in range(rounds) for at_ms in times_ms]
        length_ms *= rounds
    starts_ms = list(range(0, length_ms, WINDOW_MS))
    counts = [0] * len(starts_ms)
    first = [0] * len(starts_ms)
    for number, at_ms in enumerate(times_ms, 1):
        # An opportunity at the end of the trace is not one at its beginning as well.
        window = min(at_ms // WINDOW_MS, len(starts_ms) - 1)
        counts[window] += 1
        first[window] = first[window] or min(number, len(lines))
    spans = []
    for at, (start_ms, count) in enumerate(zip(starts_ms, counts, strict=True)):
        end_ms = min(start_ms + WINDOW_MS, length_ms)
        rate_kbit = 8 * OPPORTUNITY_BYTES * count / (end_ms - start_ms)
        spans.append(Span(start_ms / 1000, end_ms / 1000, {"rate_kbit": rate_kbit}, first[at] or 1))
    return tuple(spans)


# --- CSV -------------------------------------------------------------------------------------------------------------


def _read_csv(lines: Sequence[str], file: str) -> dict[str, tuple[Span, ...]]:
    """Return the spans of each direction that has a column."""
    rows = [
        (number, [cell.strip() for cell in line.split(",")])
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.startswith("#")
    ]
    allowed = "at least two below the header: the last row lasts as long as the one above it"
    check(len(rows) > 2, f"{file}: rows", max(0, len(rows) - 1), allowed)
    (header_line, names), *body = rows
    _check_header(names, f"{file}: line {header_line}")
    values = [_read_row(names, cells, f"{file}: line {number}") for number, cells in body]
    times_s = [row[_TIME] for row in values]
    for (number, _), before_s, at_s in zip(body, [-math.inf, *times_s], times_s, strict=False):
        check(at_s > before_s, f"{file}: line {number}: {_TIME}", at_s, "later than in the row above it")
    check(times_s[0] == 0, f"{file}: line {body[0][0]}: {_TIME}", times_s[0], "0 in the first row")
    ends_s = [*times_s[1:], round(2 * times_s[-1] - times_s[-2], 6)]
    found = {}
    for direction in ("down", "up"):
        columns = _columns_of(direction, names)
        if columns:
            found[direction] = tuple(
                Span(start_s, end_s, {name: row[column] for name, column in columns.items()}, number)
                for start_s, end_s, row, (number, _) in zip(times_s, ends_s, values, body, strict=True)
            )
    return found


def _columns_of(direction: str, names: Sequence[str]) -> dict[str, str]:
    """Return figure → column for one direction; a column without a prefix is of both."""
    own = {name: f"{direction}_{name}" for name in _COLUMNS if f"{direction}_{name}" in names}
    return {name: name for name in _COLUMNS if name in names} | own


def _figure_of(name: str) -> str:
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


def _check_header(names: Sequence[str], place: str) -> None:
    check(names[0] == _TIME, place, names[0], f"a header that begins with {_TIME}, the seconds since the beginning")
    known = f"a column of {', '.join(_COLUMNS)}, where down_ or up_ before it means that direction alone"
    for at, name in enumerate(names[1:], 1):
        bare = _figure_of(name)
        for column in _COLUMNS:
            if bare != column and bare.partition("_")[0] == column.partition("_")[0]:
                raise SettingsError(place, name, f"the unit is part of the name: write {column}")
        check(bare in _COLUMNS, place, name, known)
        check(name not in names[:at], place, name, "given once")
        check(bare == name or bare not in names, place, name, f"absent beside {bare}, which is of both directions")
    check(len(names) > 1, place, names[0], f"{_TIME} and at least one column more: {known}")


def _read_row(names: Sequence[str], cells: Sequence[str], place: str) -> dict[str, float]:
    check(len(cells) == len(names), place, ",".join(cells), f"{len(names)} values, as the header has columns")
    values = {}
    for name, cell in zip(names, cells, strict=True):
        most, unit = _COLUMNS.get(_figure_of(name), (MAX_LENGTH_S, "s"))
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        check(0 <= value <= most, f"{place}: {name}", cell, f"a number from 0 to {most:g} {unit}")
        values[name] = value
    return values
