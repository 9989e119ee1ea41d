"""The time line of a client as a table: for readers that hear it, print it, or want the numbers. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from flume.lab.report.columns import mean
from flume.lab.report.states import Band, bands, state_between
from flume.lab.trial.measures import Freeze
from flume.lab.trial.verdict import ClientReport

MOST_ROWS = 20
_STEPS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)


class Interval(NamedTuple):
    """A row. A value is None where it was not measured, or where nothing arrived."""

    start_s: float
    end_s: float
    state: str
    sent: int
    leaked: int
    rate_kbit: float | None
    lost_upstream: int | None
    """Before the client's relay; None where its server is no relay."""
    lost_link: int | None
    lost_queue: int | None
    lost_host: int | None
    lost_beyond: int | None
    delay_ms: float | None
    """The greatest of the medians of its bins."""
    shown: int | None
    frozen_s: float | None
    vmaf: float | None
    """The least."""


def step_s(duration_s: float) -> float:
    """Return the length of a row: a round one, so that there are at most :data:`MOST_ROWS`.

    >>> step_s(13.8), step_s(60), step_s(3600)
    (1, 5, 300)
    """
    longest = _STEPS_S[-1]
    beyond = -(-duration_s // MOST_ROWS // longest) * longest
    return next((step for step in _STEPS_S if duration_s / step <= MOST_ROWS), beyond)


def intervals(client: ClientReport, duration_s: float) -> list[Interval]:
    """Return the rows of *client* from 0 to *duration_s*; each of its bins is in the row in which it begins."""
    step, found = step_s(duration_s), bands(client, duration_s)
    count = max(1, int(-(-duration_s // step)))
    last = count - 1
    return [
        _interval(client, found, _Span(n * step, min((n + 1) * step, duration_s), is_last=n == last))
        for n in range(count)
    ]


class _Span(NamedTuple):
    """The time of a row. To the last one belong all bins that are left."""

    start_s: float
    end_s: float
    is_last: bool

    def part(self, values: Sequence[float | None], bin_s: float) -> list[float]:
        """Return the values of the bins that begin in this span and are there."""
        end = len(values) if self.is_last else round(self.end_s / bin_s)
        return [value for value in values[round(self.start_s / bin_s) : end] if value is not None]

    def frozen_s(self, freezes: Sequence[Freeze]) -> float:
        """Return how long the picture stood still in this span."""
        overlaps = (min(f.start_s + f.duration_s, self.end_s) - max(f.start_s, self.start_s) for f in freezes)
        return sum(overlap for overlap in overlaps if overlap > 0)


def _interval(client: ClientReport, found: Sequence[Band], span: _Span) -> Interval:
    timeline, series, playback = client.timeline, client.measures.series, client.measures.playback

    def measured(line: str) -> list[float]:
        return [] if series is None else span.part(getattr(series, line), series.bin_s)

    def total(line: str) -> int | None:
        return None if series is None else round(sum(measured(line)))

    rates = measured("rate_kbit")
    return Interval(
        start_s=span.start_s,
        end_s=span.end_s,
        state=state_between(found, span.start_s, span.end_s),
        sent=round(sum(span.part(timeline.sent, timeline.bin_s))),
        leaked=round(sum(span.part(timeline.leaked, timeline.bin_s))),
        rate_kbit=mean(rates) if rates else None,
        lost_upstream=None if series is None or not series.lost_upstream else total("lost_upstream"),
        lost_link=total("lost_link"),
        lost_queue=total("lost_queue"),
        lost_host=total("lost_host"),
        lost_beyond=total("lost_beyond"),
        delay_ms=max(measured("delay_ms"), default=None),
        shown=None if playback is None else total("shown"),
        frozen_s=None if playback is None else span.frozen_s(playback.freezes),
        vmaf=min(measured("vmaf"), default=None),
    )
