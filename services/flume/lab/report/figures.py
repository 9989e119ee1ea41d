"""The figures of a client, in groups, as people read them. Pure."""

from collections.abc import Iterator
from typing import NamedTuple

from flume.lab.report.sentences import grouped, seconds
from flume.lab.trial.measures import (
    Attribution,
    Measures,
    PictureFigures,
    PlaybackFigures,
    Quality,
    Spread,
    WireFigures,
)
from flume.measures.ts.values import INDICATORS, StreamFigures

_CAUSES = {
    "upstream": "before its relay",
    "link": "link",
    "queue": "full queue of the link",
    "host": "engine's host",
    "firewall": "firewall",
    "receiver": "client's kernel",
    "late": "too late for the player",
    "decoder": "decoder",
}
"""Fields of :class:`Attribution` to what a person calls them."""


class Row(NamedTuple):
    """A name and its value, with its unit."""

    name: str
    value: str


class Group(NamedTuple):
    """Figures that belong together; without rows they were not measured. *reason*: why all or some were not."""

    title: str
    rows: list[Row]
    reason: str | None


def groups(measures: Measures) -> list[Group]:
    """Return the figures of *measures*: a group for each part, also of those that were not measured."""
    bound = "" if measures.wire is None else _bound(measures.wire.end_to_end_bound_ms)
    parts = (
        ("wire", "On the wire", None if measures.wire is None else _wire(measures.wire)),
        ("attribution", "Missing frames", None if measures.attribution is None else _attribution(measures.attribution)),
        ("playback", "At the player", None if measures.playback is None else _playback(measures.playback, bound)),
        ("pictures", "Picture quality", None if measures.pictures is None else _pictures(measures.pictures)),
        ("stream", "Transport stream", None if measures.stream is None else _stream(measures.stream)),
    )
    reasons = measures.not_measured
    return [Group(title, [] if rows is None else list(rows), reasons.get(field)) for field, title, rows in parts]


def spread(value: Spread | None) -> str:
    """Return a distribution in milliseconds as its median, the 95th percentile and the most."""
    if value is None:
        return "–"
    return f"{value.median:.1f} / {value.p95:.1f} / {value.most:.1f} ms"


def _bound(clock_bound_ms: float | None) -> str:
    """Return what stands behind a delay between two clocks; nothing where there is one clock.

    >>> _bound(0.42), _bound(0.0)
    (' (clocks within 0.42 ms)', '')
    """
    return f" (clocks within {clock_bound_ms:.3g} ms)" if clock_bound_ms else ""


def _optional(name: str, value: float | None, unit: str, digits: int = 1) -> Iterator[Row]:
    if value is not None:
        number = f"{value:,.{digits}f}".replace(",", " ")
        yield Row(name, f"{number} {unit}".strip())


def _wire(wire: WireFigures) -> Iterator[Row]:
    yield Row("received / expected", f"{grouped(wire.received)} / {grouped(wire.expected)} datagrams")
    yield Row("lost", f"{grouped(wire.lost)} datagrams ({100 * wire.lost / max(1, wire.expected):.2f} %)")
    if wire.lost:
        yield Row("longest loss in a row", f"{grouped(wire.longest_run)} datagrams")
    yield Row("duplicates, reordered", f"{grouped(wire.duplicates)}, {grouped(wire.reordered)}")
    yield from _optional("lost within bursts", wire.burst_pct, "%")
    yield from _optional("mean burst", wire.burst_mean, "datagrams")
    yield from _optional("mean gap", wire.gap_mean, "datagrams")
    if wire.delay_ms is not None:
        yield Row("delay: median / 95 % / most", spread(wire.delay_ms) + _bound(wire.clock_bound_ms))
    elif wire.clock_bound_ms is None:
        yield Row("delay: median / 95 % / most", "not measured")
    if wire.end_to_end_ms is not None:
        yield Row("delay from the first server on", spread(wire.end_to_end_ms) + _bound(wire.end_to_end_bound_ms))
    yield from _optional("jitter at the end (RFC 3550)", wire.jitter_ms, "ms", 2)
    yield from _optional("jitter at most", wire.jitter_most_ms, "ms", 2)
    yield from _optional("delay factor at most (RFC 4445)", wire.delay_factor_ms, "ms")
    yield from _optional("media loss rate at most (RFC 4445)", wire.media_loss_rate, "packets/s", 0)
    yield from _optional("longest silence", wire.longest_silence_ms, "ms")
    yield from _optional("highest rate over 0.1 s", wire.peak_kbit, "kbit/s", 0)


def _attribution(attribution: Attribution) -> Iterator[Row]:
    yield Row("missing in all", f"{grouped(attribution.missing)} frames")
    for field, name in _CAUSES.items():
        count = getattr(attribution, field)
        if count:
            yield Row(name, f"{grouped(count)} frames")
    if attribution.by == "counts":
        yield Row("told apart", "by counts only")
    if attribution.unclear:
        yield Row("placed by their time, as their number is unreadable", f"{grouped(attribution.unclear)} pictures")


def _playback(playback: PlaybackFigures, bound: str) -> Iterator[Row]:
    yield Row("frames shown / due", f"{grouped(playback.frames_shown)} / {grouped(playback.frames_due)}")
    yield from _optional("shown late", playback.frames_late, "frames", 0)
    longest = max((freeze.duration_s for freeze in playback.freezes), default=None)
    yield Row("freezes", grouped(len(playback.freezes)) + ("" if longest is None else f", longest {seconds(longest)}"))
    yield Row("frozen", f"{playback.frozen_pct:.1f} % of the time")
    yield from _optional("connect to first frame", playback.join_ms, "ms", 0)
    if playback.resume_ms:
        times = ", ".join(grouped(round(value)) for value in playback.resume_ms)
        yield Row("continue to first frame", f"{times} ms")
    if playback.glass_to_glass_ms is not None:
        yield Row("server to screen: median / 95 % / most", spread(playback.glass_to_glass_ms) + bound)


def _pictures(pictures: PictureFigures) -> Iterator[Row]:
    yield Row("compared", f"{grouped(pictures.compared)} frames, {grouped(pictures.identical)} of them identical")
    yield Row("not decodable", f"{grouped(pictures.not_decodable)} frames")
    if pictures.counters_read:
        differ = f"{grouped(pictures.counters_differ)} of {grouped(pictures.counters_read)} readable"
        yield Row("an older picture in their place", differ)
    for name, quality, unit, digits in (
        ("VMAF: mean / 5 % / least", pictures.vmaf, "", 1),
        ("SSIM: mean / 5 % / least", pictures.ssim, "", 3),
        ("PSNR: mean / 5 % / least", pictures.psnr_db, " dB", 1),
        ("XPSNR: mean / 5 % / least", pictures.xpsnr_db, " dB", 1),
    ):
        if quality is not None:
            yield Row(name, _quality(quality, digits) + unit)


def _quality(quality: Quality, digits: int) -> str:
    return " / ".join(f"{value:.{digits}f}" for value in (quality.mean, quality.p5, quality.least))


def _stream(stream: StreamFigures) -> Iterator[Row]:
    yield Row("transport packets", grouped(stream.packets))
    found = {indicator: count for indicator, count in stream.counts.items() if count}
    for indicator, count in sorted(found.items()):
        yield Row(f"{indicator} {INDICATORS.get(indicator, '')}".strip(), grouped(count))
    if not found:
        yield Row("errors (TR 101 290)", f"none of {len(stream.counts)} kinds")
    for indicator, reason in sorted(stream.not_examined.items()):
        yield Row(f"{indicator} {INDICATORS.get(indicator, '')} not examined".replace("  ", " "), reason)
