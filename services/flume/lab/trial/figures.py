"""The figures of one client that are compared, tabled and expected: each with a name, a unit and a direction. Pure.

A report holds more than these; they are the ones by which two runs, or two networks, differ for a viewer. Comparison
(``flume lab compare``), studies (``flume lab study``) and the expectations of a scenario use the same names.

>>> FIGURES["loss_pct"].unit, FIGURES["vmaf"].worse
('%', 'lower')
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from flume.lab.trial.verdict import ClientReport


class Figure(NamedTuple):
    """One figure of a client. *read* returns None where the run did not measure it."""

    key: str
    title: str
    unit: str
    """Empty for a count."""
    digits: int
    """Decimals that are shown."""
    worse: Literal["higher", "lower"]
    """Which values a viewer would rather not have."""
    read: Callable[[ClientReport], float | None]
    meaning: str
    """One sentence for the reader of a table."""


def _loss_pct(client: ClientReport) -> float | None:
    wire, upstream = client.measures.wire, client.datagrams_lost_upstream
    if wire is None:
        return client.loss_pct
    expected = wire.expected + upstream
    return 100 * (wire.lost + upstream) / expected if expected else None


def _longest_run(client: ClientReport) -> float | None:
    return None if client.measures.wire is None else client.measures.wire.longest_run


def _delay_p50_ms(client: ClientReport) -> float | None:
    wire = client.measures.wire
    return None if wire is None or wire.delay_ms is None else wire.delay_ms.median


def _delay_p95_ms(client: ClientReport) -> float | None:
    wire = client.measures.wire
    return None if wire is None or wire.delay_ms is None else wire.delay_ms.p95


def _jitter_ms(client: ClientReport) -> float | None:
    return None if client.measures.wire is None else client.measures.wire.jitter_ms


def _delay_factor_ms(client: ClientReport) -> float | None:
    return None if client.measures.wire is None else client.measures.wire.delay_factor_ms


def _join_ms(client: ClientReport) -> float | None:
    playback = client.measures.playback
    return client.join_ms if playback is None else playback.join_ms


def _resume_ms(client: ClientReport) -> float | None:
    playback = client.measures.playback
    return None if playback is None or not playback.resume_ms else sum(playback.resume_ms) / len(playback.resume_ms)


def _missing_pct(client: ClientReport) -> float | None:
    playback = client.measures.playback
    if playback is None or not playback.frames_due:
        return None
    return 100 * (playback.frames_due - playback.frames_shown) / playback.frames_due


def _freezes(client: ClientReport) -> float | None:
    return None if client.measures.playback is None else len(client.measures.playback.freezes)


def _longest_freeze_ms(client: ClientReport) -> float | None:
    playback = client.measures.playback
    return None if playback is None else 1000 * max((one.duration_s for one in playback.freezes), default=0.0)


def _frozen_pct(client: ClientReport) -> float | None:
    return None if client.measures.playback is None else client.measures.playback.frozen_pct


def _glass_ms(client: ClientReport) -> float | None:
    playback = client.measures.playback
    return None if playback is None or playback.glass_to_glass_ms is None else playback.glass_to_glass_ms.median


def _stream_errors(client: ClientReport) -> float | None:
    return None if client.measures.stream is None else sum(client.measures.stream.counts.values())


def _undecodable_pct(client: ClientReport) -> float | None:
    pictures = client.measures.pictures
    if pictures is None or not (sent := pictures.compared + pictures.not_decodable):
        return None
    return 100 * pictures.not_decodable / sent


def _quality(name: str, point: str) -> Callable[[ClientReport], float | None]:
    def read(client: ClientReport) -> float | None:
        quality = getattr(client.measures.pictures, name, None)
        return None if quality is None else float(getattr(quality, point))

    return read


_ALL = (
    Figure("loss_pct", "loss", "%", 2, "higher", _loss_pct, "Datagrams of its windows that did not reach the client."),
    Figure("longest_run", "longest loss", "", 0, "higher", _longest_run, "The longest run of datagrams lost in a row."),
    Figure("delay_p50_ms", "delay", "ms", 1, "higher", _delay_p50_ms, "Median one-way delay, server to client."),
    Figure("delay_p95_ms", "delay p95", "ms", 1, "higher", _delay_p95_ms, "95th percentile of the one-way delay."),
    Figure("jitter_ms", "jitter", "ms", 1, "higher", _jitter_ms, "Interarrival jitter at the end (RFC 3550)."),
    Figure(
        "delay_factor_ms", "delay factor", "ms", 0, "higher", _delay_factor_ms, "Greatest in one second (RFC 4445)."
    ),
    Figure("join_ms", "join", "ms", 0, "higher", _join_ms, "From the command connect to the first frame."),
    Figure(
        "resume_ms", "resume", "ms", 0, "higher", _resume_ms, "From continue to the first frame after it; the mean."
    ),
    Figure("missing_pct", "frames missing", "%", 1, "higher", _missing_pct, "Frames due and not shown, of those due."),
    Figure("freezes", "freezes", "", 1, "higher", _freezes, "How often the picture stood still while frames were due."),
    Figure("longest_freeze_ms", "longest freeze", "ms", 0, "higher", _longest_freeze_ms, "0 where it never froze."),
    Figure(
        "frozen_pct", "frozen", "%", 1, "higher", _frozen_pct, "Share of the watched time that the picture stood still."
    ),
    Figure(
        "glass_ms", "glass to glass", "ms", 0, "higher", _glass_ms, "Median, by the counter burnt into the picture."
    ),
    Figure(
        "stream_errors", "stream errors", "", 0, "higher", _stream_errors, "Findings of ETSI TR 101 290 on arrival."
    ),
    Figure(
        "undecodable_pct",
        "not decodable",
        "%",
        1,
        "higher",
        _undecodable_pct,
        "Frames sent that could not be decoded from what arrived; they are part of no quality below.",
    ),
    Figure("vmaf", "VMAF", "", 1, "lower", _quality("vmaf", "mean"), "Mean of the frames compared; 100 is untouched."),
    Figure("vmaf_p5", "VMAF p5", "", 1, "lower", _quality("vmaf", "p5"), "One frame in twenty was worse than this."),
    Figure("ssim", "SSIM", "", 4, "lower", _quality("ssim", "mean"), "Mean of the frames compared; 1 is identical."),
    Figure("psnr_db", "PSNR", "dB", 1, "lower", _quality("psnr_db", "mean"), "Mean; identical frames count as 100 dB."),
    Figure("xpsnr_db", "XPSNR", "dB", 1, "lower", _quality("xpsnr_db", "mean"), "Mean; identical frames as 100 dB."),
)

FIGURES: Mapping[str, Figure] = MappingProxyType({figure.key: figure for figure in _ALL})
"""By name, in the order of tables: the wire, the player, the picture."""

OF_A_PLAYER = frozenset(
    {"join_ms", "resume_ms", "missing_pct", "freezes", "longest_freeze_ms", "frozen_pct", "glass_ms"}
)
"""Those that a client without a player cannot have."""

OF_PICTURES = frozenset({"undecodable_pct", "vmaf", "vmaf_p5", "ssim", "psnr_db", "xpsnr_db"})
"""Those of :mod:`flume.lab.pictures`, which measures after the verdict: no scenario can expect them."""
