"""The measures by name, as thresholds and ``docs/inspect.md`` use them. Pure."""

from collections.abc import Callable
from typing import NamedTuple

from flume.inspect.values import Stream
from flume.measures.ts.values import INDICATORS


class Measure(NamedTuple):
    """One figure of a stream."""

    unit: str
    meaning: str
    value: Callable[[Stream], float | None]
    """None: the stream does not have it."""


def _of(part: str, field: str) -> Callable[[Stream], float | None]:
    def value(stream: Stream) -> float | None:
        figures = getattr(stream, part)
        found: float | None = None if figures is None else getattr(figures, field)
        return found

    return value


def _errors(prefix: str) -> Callable[[Stream], float | None]:
    def value(stream: Stream) -> float | None:
        if stream.ts is None:
            return None
        return sum(count for indicator, count in stream.ts.counts.items() if indicator.startswith(prefix))

    return value


def _longest_pcr(stream: Stream) -> float | None:
    found = [pcr.longest_ms for pcr in (stream.ts.pcrs if stream.ts else ()) if pcr.longest_ms is not None]
    return max(found, default=None)


_ARRIVAL = {
    "datagrams": ("", "datagrams that arrived"),
    "rate_kbit": ("kbit/s", "mean rate of UDP payloads"),
    "peak_kbit": ("kbit/s", "highest rate over 100 ms"),
    "longest_silence_ms": ("ms", "longest time between two datagrams"),
    "delay_factor_ms": ("ms", "greatest delay factor of a second (RFC 4445)"),
    "media_loss_rate": ("packets/s", "most transport packets lost or late in a second (RFC 4445); RTP alone"),
}
_RTP = {
    "lost": ("", "datagrams that are missing by their numbers"),
    "loss_pct": ("%", "the same, of those expected"),
    "duplicates": ("", "datagrams that came again"),
    "reordered": ("", "datagrams behind one with a higher number (RFC 4737)"),
    "jumps": ("", "how often the numbers went on at another place"),
    "strays": ("", "single datagrams with a number far from all others"),
    "longest_run": ("", "most datagrams missing in a row"),
    "burst_pct": ("%", "share of datagrams in bursts that were lost (RFC 3611)"),
    "burst_mean": ("", "mean length of a burst in datagrams (RFC 3611)"),
    "gap_mean": ("", "mean length of a gap between bursts in datagrams (RFC 3611)"),
    "jitter_ms": ("ms", "interarrival jitter at the end (RFC 3550)"),
    "jitter_most_ms": ("ms", "the highest value of it"),
}
MEASURES: dict[str, Measure] = {
    **{name: Measure(*texts, _of("arrival", name)) for name, texts in _ARRIVAL.items()},
    **{name: Measure(*texts, _of("rtp", name)) for name, texts in _RTP.items()},
    "ts_packets": Measure("", "transport packets", _of("ts", "packets")),
    "ts_rate_kbit": Measure("kbit/s", "mean rate of transport packets", _of("ts", "rate_kbit")),
    "pcr_longest_ms": Measure("ms", "longest time between two PCRs of a PID", _longest_pcr),
    "priority_1": Measure("", "errors of the first priority of TR 101 290", _errors("1.")),
    "priority_2": Measure("", "errors of the second priority of TR 101 290", _errors("2.")),
}


def _indicator(number: str) -> Callable[[Stream], float | None]:
    def value(stream: Stream) -> float | None:
        return None if stream.ts is None else stream.ts.counts.get(number)

    return value


MEASURES |= {
    name.lower(): Measure("", f"TR 101 290, {number}", _indicator(number)) for number, name in INDICATORS.items()
}


def table() -> str:
    """Return all measures as a table in Markdown."""
    rows = [f"| `{name}` | {measure.unit or '–'} | {measure.meaning} |" for name, measure in MEASURES.items()]
    return "\n".join(["| measure | unit | what it is |", "|---|---|---|", *rows])
