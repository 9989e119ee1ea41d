"""How one client fares at present, from the latest events of its log. Pure; all of it is what the client says.

The verdict and its causes come from captures, after the run; here a person watches while the stream goes on.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from flume.errors import EvidenceError
from flume.lab.evidence.claims import ReportedStatistics, parse_record_untrusted, parse_statistics_untrusted
from flume.measures.freezes import Freeze, freezes
from flume.untrusted_json import decode_untrusted

FRAME_S = 0.04
"""Duration of a frame of the test card; of other videos it is learned from the frames displayed."""

ACTIVE = "active"


class Present(NamedTuple):
    """The figures of one client. ``None``: it does not say."""

    statistics: ReportedStatistics
    """The latest."""
    rate_kbit: float | None
    """Between the two latest, of UDP payloads."""
    freezes: tuple[Freeze, ...] | None
    """In the part of the log that was read, while the stream was on; None: it keeps no record of its frames."""

    @property
    def lost_before(self) -> int:
        """Datagrams that did not reach its host: lost on the link, in a queue, or at a firewall."""
        return max(0, self.statistics.lost - self.statistics.dropped_by_receiver)


def events_of(log: str) -> list[Mapping[str, Any]]:
    """Return the events in *log*, oldest first; lines that are none are left out."""
    found: list[Mapping[str, Any]] = []
    for line in log.splitlines():
        try:
            found.append(decode_untrusted(line, dict[str, Any]))
        except msgspec.DecodeError:
            continue
    return found


def present(events: Sequence[Mapping[str, Any]]) -> Present | None:
    """Return the figures in *events*, the latest of a client's log; None without statistics.

    >>> said = [{"event": "statistics", "state": "active", "time_s": n, "bytes": n * 500_000} for n in (1, 2)]
    >>> present(said).rate_kbit
    4000.0
    """
    reported = [statistics for event in events if (statistics := _statistics(event)) is not None]
    if not reported:
        return None
    return Present(reported[-1], _rate_kbit(reported), _freezes(events))


def _statistics(event: Mapping[str, Any]) -> ReportedStatistics | None:
    if event.get("event") != "statistics":
        return None
    try:
        return parse_statistics_untrusted(event)
    except EvidenceError:
        return None


def _rate_kbit(reported: Sequence[ReportedStatistics]) -> float | None:
    for before, after in reversed(list(pairwise(reported))):
        elapsed_s = after.time_s - before.time_s
        if before.bytes is None or after.bytes is None:
            return None
        if elapsed_s > 0.5:  # a command's own statistics may come right behind others
            return round(max(0, after.bytes - before.bytes) * 8e-3 / elapsed_s, 1)
    return None


def _freezes(events: Sequence[Mapping[str, Any]]) -> tuple[Freeze, ...] | None:
    """Return the freezes of each interval in which the stream was on, as the statistics say."""
    has_record, found, shown_s = False, list[Freeze](), list[float]()
    until_s: float | None = None
    for event in events:
        if event.get("event") == "frames":
            has_record = True
            shown_s += _shown_s(event)
        statistics = _statistics(event)
        if statistics is None:
            continue
        if statistics.state == ACTIVE:
            until_s = statistics.time_s
        elif shown_s:
            found += freezes(shown_s, frame_s=FRAME_S)  # what stands still from here on is a pause
            shown_s, until_s = [], None
    found += freezes(shown_s, frame_s=FRAME_S, until_s=until_s)
    return tuple(found) if has_record else None


def _shown_s(event: Mapping[str, Any]) -> list[float]:
    try:
        fields = {name: event[name] for name in ("shown",) if name in event}
        return [one.time_s for one in parse_record_untrusted([fields]).shown]
    except EvidenceError:
        return []
