"""Names why each leaked datagram should not have left. Pure."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from flume.lab.evidence.facts import Endpoint, MediaDatagram
from flume.lab.trial.window_index import WindowIndex
from flume.lab.trial.windows import ActiveWindow, CommandOutcome

TAIL_S = 0.25
"""Leaks that end this soon after the acknowledgement mean that it was sent too early; longer ones that the server
keeps streaming. 25 ticks of 10 ms. Both are leaks: only the name differs."""

_REASONS = {
    "interrupt": ("after_interrupt", "while_interrupted"),
    "disconnect": ("after_disconnect", "while_disconnected"),
    "closed": ("after_close", "while_closed"),
    "connection": ("after_connection_end", "after_connection_end"),
    "consent": ("consent_expired", "consent_expired"),
}
"""What ended the window before: the name of a short tail of datagrams, and of a long one."""

_Gap = tuple[Endpoint, bool, int | None]
"""A path (endpoint, and whether over TCP) after the window at this position; None: before the first one."""


def leak_reasons(
    leaked: Iterable[MediaDatagram], index: WindowIndex, commands: Iterable[CommandOutcome]
) -> dict[str, int]:
    """Return how many of the *leaked* datagrams, in the order of time, there are for each reason.

    *index* has the windows of the host they went to, and *commands* are the commands of that host.
    """
    connects = [c.time_s for c in commands if c.command == "connect" and c.answer in {"ok", None}]
    gaps: dict[_Gap, list[MediaDatagram]] = defaultdict(list)
    for datagram in leaked:
        gaps[datagram.destination, datagram.offset is not None, index.latest(datagram)].append(datagram)
    reasons: Counter[str] = Counter()
    for (_, _, position), datagrams in gaps.items():
        before = None if position is None else index.windows[position]
        tail = "" if before is None else _tail(datagrams, before)
        reasons.update(_reason(datagram, before, tail, index.windows, connects) for datagram in datagrams)
    return dict(reasons)


def _tail(datagrams: Sequence[MediaDatagram], before: ActiveWindow) -> str:
    """Return the name of datagrams that follow the end of the window *before*."""
    short, long = _REASONS.get(before.closed_by, ("", ""))
    return long if datagrams[-1].time_s - before.closed_s > TAIL_S else short


def _reason(
    datagram: MediaDatagram,
    before: ActiveWindow | None,
    tail: str,
    windows: Sequence[ActiveWindow],
    connects: Sequence[float],
) -> str:
    """Name why *datagram* should not have left; *connects* are the times of the host's granted connects."""
    rank = bisect_right(connects, datagram.time_s) - 1
    if before is not None and datagram.offset is None and datagram.time_s <= before.limit_s:
        return "wrong_address"  # the window goes on, but at another endpoint
    if before is not None and (rank < 0 or connects[rank] <= before.closed_s or before.closed_by == "connection"):
        return tail
    if rank < 0:
        return "never_connected"
    if any(connects[rank] <= window.opened_s <= datagram.time_s for window in windows):
        return "wrong_address"
    return "before_consent"
