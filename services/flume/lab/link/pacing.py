"""Steps of a link whose rate changes with time: from traces, and with the token buckets that make the rate. Pure."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from flume.errors import SettingsError
from flume.lab.link.profile import (
    FRAME_BYTES,
    MIN_QUEUE_BYTES,
    MIN_RATE_KBIT,
    MIN_TOKEN_KBIT,
    Bucket,
    Direction,
    Profile,
    Step,
)
from flume.lab.link.trace import Span, Trace, mean, windows

FRAME_BYTES_MAX = MIN_QUEUE_BYTES
"""A full Ethernet frame. A token bucket smaller than that never lets it pass."""

LATE_S = 0.010
"""A bucket holds a full frame and what its rate sends in this time: a timer that is later than that loses rate.
Measured: with a bucket of one frame a link of 3 Mbit/s on a busy host passed 2.2 Mbit/s."""

WAKE_S = 0.1
"""A datagram that waits when a step ends is looked at by then, even if no other datagram comes. tc-tbf decides when it
looks next by its rate at that time."""


class TracedLink(NamedTuple):
    """A link that traces change: its period, the link at rest, and the steps."""

    period_s: float
    down: Direction
    up: Direction
    steps: tuple[Step, ...]


def traced(down: Direction, up: Direction, traces: Mapping[str, Trace]) -> TracedLink:
    """Return the link that *traces* (direction → trace) make of *down* and *up*, which are the link at rest.

    The period is the longer trace; the shorter one begins again meanwhile. Raises :class:`SettingsError` with the line
    of a trace whose figures do not fit those of the link.
    """
    period_s = max(trace.length_s for trace in traces.values())
    (down, downs), (up, ups) = (
        _changes(base, traces[name], period_s) if name in traces else (base, {0.0: base})
        for name, base in (("down", down), ("up", up))
    )
    steps = []
    at_down, at_up = downs[0.0], ups[0.0]
    for at_s in sorted(downs.keys() | ups.keys()):
        at_down, at_up = downs.get(at_s, at_down), ups.get(at_s, at_up)
        steps.append(Step(at_s=at_s, down=at_down, up=at_up))
    return TracedLink(period_s, down, up, tuple(steps))


def _changes(base: Direction, trace: Trace, period_s: float) -> tuple[Direction, dict[float, Direction]]:
    """Return one direction at rest, and seconds of the period → direction from then on."""
    spans = [
        Span(same[0].start_s, same[-1].end_s, same[0].figures, same[0].line)
        for _, group in itertools.groupby(_pooled(windows(trace, length_s=period_s)), lambda span: span.figures)
        for same in [list(group)]
    ]
    paces = len({span.figures.get("rate_kbit") for span in spans}) > 1
    found = {span.start_s: _direction(base, span, trace.file, paces=paces) for span in spans}
    return (_with_bucket(base, None) if paces else base), found


def _pooled(spans: Sequence[Span]) -> list[Span]:
    """Join neighbours that pass less than a full frame each: an outage is one span, in which one frame passes.

    netem and tc-tbf have no rate of 0.
    """
    found: list[Span] = []
    for silent, group in itertools.groupby(spans, lambda span: _bytes(span) < FRAME_BYTES_MAX):
        several = list(group)
        if not silent:
            found += several
            continue
        start_s, end_s = several[0].start_s, several[-1].end_s
        frames = max(FRAME_BYTES_MAX, sum(map(_bytes, several)))
        rate_kbit = max(MIN_TOKEN_KBIT, 8 * frames / (end_s - start_s) / 1000)
        figures = {**mean(several), "rate_kbit": round(rate_kbit, 6)}
        found.append(Span(start_s, end_s, figures, several[0].line))
    return found


def _bytes(span: Span) -> float:
    """Return the bytes that can pass in *span*; without a rate that is no limit."""
    if "rate_kbit" not in span.figures:
        return float("inf")
    return span.figures["rate_kbit"] * 125 * (span.end_s - span.start_s)


def _direction(base: Direction, span: Span, file: str, *, paces: bool) -> Direction:
    figures: dict[str, Any] = dict(span.figures)
    if base.loss_burst_datagrams is not None and not 0 < span.figures.get("loss_pct", base.loss_pct) < 100:
        figures["loss_burst_datagrams"] = None
    if "rate_kbit" in figures:
        # The bottleneck's memory stays as large as it is, whatever its rate.
        figures |= {"queue_bytes": base.queue_room_bytes, "queue_ms": None}
    if paces:
        figures["bucket"] = _bucket(figures["rate_kbit"], base.queue_room_bytes, span.end_s - span.start_s)
    try:
        return replace(base, **figures)
    except SettingsError as error:
        raise SettingsError(f"{file}: line {span.line}: {error.key}", error.value, error.allowed) from None


def paced(profile: Profile) -> Profile:
    """Return *profile* with token buckets in each direction whose rate changes with time.

    >>> slow, fast = (Direction(rate_kbit=rate, queue_bytes=60_000) for rate in (1000, 9000))
    >>> steps = (Step(at_s=0, down=slow, up=slow), Step(at_s=1, down=fast, up=slow))
    >>> link = paced(Profile(name="a", description="", down=slow, up=slow, period_s=2, steps=steps))
    >>> link.steps[1].down.bucket, link.steps[1].up.bucket
    (Bucket(burst_bytes=12764, token_kbit=8903.368), None)
    """
    (down, downs), (up, ups) = (_with_buckets(profile, name) for name in ("down", "up"))
    if (down, up) == (profile.down, profile.up):
        return profile
    pairs = zip(profile.timeline(), downs, ups, strict=True)
    steps = tuple(replace(step, down=new_down, up=new_up) for step, new_down, new_up in pairs)
    return replace(profile, down=down, up=up, steps=steps)


def _with_buckets(profile: Profile, name: str) -> tuple[Direction, list[Direction]]:
    """Return one direction at rest and in each step of the timeline."""
    rest: Direction = getattr(profile, name)
    values: list[Direction] = [getattr(step, name) for step in profile.timeline()]
    rates = {value.rate_kbit for value in values}
    if len(rates) == 1 or None in rates or profile.period_s is None:
        return rest, values
    changes = profile.changes(name)
    ends_s = [*(at_s for at_s, _ in changes[1:]), profile.period_s]
    made = [_with_bucket(value, end_s - at_s) for (at_s, value), end_s in zip(changes, ends_s, strict=True)]
    at, found = -1, []
    for step in profile.timeline():
        at += at + 1 < len(changes) and changes[at + 1][0] <= step.at_s
        found.append(made[at])
    return _with_bucket(rest, None), found


def _with_bucket(value: Direction, length_s: float | None) -> Direction:
    return replace(value, bucket=_bucket(value.rate_kbit or MIN_RATE_KBIT, value.queue_room_bytes, length_s))


def _bucket(rate_kbit: float, room_bytes: int, length_s: float | None) -> Bucket:
    """Return the bucket for *rate_kbit* during a step of *length_s* (None: it holds for long)."""
    rate_bytes = rate_kbit * 125
    burst = min(room_bytes, FRAME_BYTES_MAX + rate_bytes * LATE_S)
    if length_s is None:
        return Bucket(burst_bytes=max(FRAME_BYTES_MAX, round(burst)), token_kbit=rate_kbit)
    passes = rate_bytes * length_s
    burst = max(FRAME_BYTES_MAX, round(min(burst, passes)))
    # What is less than a frame at the end of a step is lost with the step: on average half a frame.
    tokens = (passes + FRAME_BYTES / 2 - burst) / length_s / 125
    least = FRAME_BYTES_MAX / (length_s + WAKE_S) / 125
    return Bucket(burst_bytes=burst, token_kbit=round(max(tokens, least, MIN_TOKEN_KBIT), 6))
