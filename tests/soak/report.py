"""What all slices of a soak say together. Pure."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from soak.measures import Sample, Series, Slope, drift_ms, slope, steps_ms, without_steps
from soak.slices import Slice

SETTLE_SHARE, SETTLE_MOST_S = 0.2, 300.0
"""So much of a slice at its beginning is not measured: caches fill."""

MOST_DRIFT_MS = 100.0

QUANTITIES = {
    "memory_mib": "memory, MiB",
    "threads": "threads",
    "descriptors": "descriptors",
    "ahead_ms": "stream ahead of the clock, ms",
}
FLAT = ("memory_mib", "threads", "descriptors")
"""What must not grow."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One slice in the report."""

    began: str
    seconds: float
    revision: str
    drift_ms: float
    """Without the steps of stalls."""
    stalls: int
    """Steps by which the stream fell behind at once, more than 250 ms each: the server got nothing from its source for
    so long, or no CPU."""
    stalls_ms: float
    """By how much in all."""
    stalls_counted: int | None
    """As the server counts them."""
    server_cpu_percent: float
    """Of one core."""
    clients_cpu_percent: float
    is_whole: bool
    """Whether it came to its end: one that was killed lacks the counts of the sessions that were open."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """``soak.json``: what was seen in all slices together, and each of them."""

    seconds: float
    wanted_s: float
    clients: int
    loss: float
    counts: dict[str, int]
    memory_mib: Slope
    threads: Slope
    descriptors: Slope
    ahead_ms: Slope
    slices: list[Part]
    faults: list[str]


def measured(one: Slice) -> list[Sample]:
    """Return the samples of a slice that count: not those from before it has settled."""
    settle_s = min(SETTLE_SHARE * one.seconds, SETTLE_MOST_S)
    return [each for each in without_steps(one.samples) if each.time_s > settle_s]


def series(slices: Sequence[Slice], name: str) -> list[Series]:
    """Return the quantity *name* over the time of each slice that has it."""
    found = []
    for one in slices:
        known = [(each.time_s, getattr(each, name)) for each in measured(one) if getattr(each, name) is not None]
        if known:
            times_s, values = zip(*known, strict=True)
            found.append(Series(times_s, values))
    return found


def report(slices: Sequence[Slice]) -> Report:
    """Return the report on *slices*, at least one."""
    counts: Counter[str] = Counter()
    for one in slices:
        counts.update(one.counts)
    slopes = {name: slope(series(slices, name)) for name in QUANTITIES}
    seconds = sum(one.seconds for one in slices)
    parts = [_part(one) for one in slices]
    first = slices[-1].start
    return Report(
        seconds=round(seconds, 1),
        wanted_s=first.wanted_s,
        clients=first.clients,
        loss=first.loss,
        counts=dict(sorted(counts.items())),
        slices=parts,
        faults=[*_faults(counts, parts, slopes, seconds / 3600), *_ends(slices)],
        **slopes,
    )


def _part(one: Slice) -> Part:
    samples, steps = measured(one), steps_ms(one.samples)
    return Part(
        began=one.start.began,
        seconds=round(one.seconds, 1),
        revision=one.start.revision,
        drift_ms=round(drift_ms(samples), 1),
        stalls=len(steps),
        stalls_ms=round(-sum(steps), 1),
        stalls_counted=max((each.stalls for each in one.samples if each.stalls is not None), default=None),
        server_cpu_percent=_cpu_percent(samples, "server_cpu_s"),
        clients_cpu_percent=_cpu_percent(samples, "clients_cpu_s"),
        is_whole=one.end is not None,
    )


def _cpu_percent(samples: Sequence[Sample], name: str) -> float:
    if len(samples) < 2:
        return 0.0
    used_s = getattr(samples[-1], name) - getattr(samples[0], name)
    return float(round(used_s / (samples[-1].time_s - samples[0].time_s) * 100, 1))


def _faults(counts: Counter[str], parts: Sequence[Part], slopes: dict[str, Slope], hours: float) -> list[str]:
    found = [f"{counts['leaked']} datagrams leaked"] if counts["leaked"] else []
    if counts["unanswered"]:
        found.append(f"{counts['unanswered']} commands were not answered")
    found += [f"{name} grows: {slopes[name]}" for name in FLAT if slopes[name].grows(hours)]
    for number, part in enumerate(parts, start=1):
        if abs(part.drift_ms) > MOST_DRIFT_MS:
            found.append(f"slice {number}: the stream drifted by {part.drift_ms:+.0f} ms from the clock")
        if part.stalls_counted is not None and part.stalls > part.stalls_counted:
            found.append(f"slice {number}: the stream stalled {part.stalls} times, counted {part.stalls_counted}")
    if not counts["datagrams"]:
        found.append("no client received anything")
    return found


def _ends(slices: Sequence[Slice]) -> list[str]:
    found = []
    for number, one in enumerate(slices, start=1):
        if one.end is not None and one.end.failure:
            found.append(f"slice {number} broke off: {one.end.failure}")
        if one.end is not None and one.end.status:
            found.append(f"slice {number}: the server ended with status {one.end.status}")
    return found


def title(made: Report, name: str) -> str:
    """Return what a quantity is and how it grows; the origin of the stream's time is any, so its mean says nothing."""
    measured: Slope = getattr(made, name)
    return f"{QUANTITIES[name]}: {measured if name in FLAT else measured.growth}"


def lines(made: Report) -> list[str]:
    """Return *made* for people."""
    found = [f"{made.seconds / 3600:.2f} of {made.wanted_s / 3600:.2f} hours, {made.clients} clients"]
    for number, part in enumerate(made.slices, start=1):
        end = "" if part.is_whole else "; killed: the sessions that were open then are not in the counts"
        found.append(
            f"slice {number}: {part.began}, {part.seconds / 60:.1f} min, {part.revision or 'revision unknown'}; "
            f"drift {part.drift_ms:+.1f} ms beside {part.stalls} stalls of {part.stalls_ms:.0f} ms in all; "
            f"CPU of a core: server {part.server_cpu_percent:.1f} %, clients {part.clients_cpu_percent:.1f} %{end}"
        )
    found += [title(made, name) for name in QUANTITIES]
    found.append(", ".join(f"{name} {count:,}" for name, count in made.counts.items()))
    return found
