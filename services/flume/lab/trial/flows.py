"""The datagrams towards one client: which were allowed, why the others were not, and which arrived.

Pure arithmetic over facts. A datagram is recognised at another tap by the digest of its payload, never by its position.
"""

import math
from bisect import bisect_right
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from flume.lab.evidence.facts import Endpoint, MediaDatagram
from flume.lab.trial.windows import ActiveWindow, CommandOutcome, Sessions

TAIL_S = 0.25
"""Leaks that end this soon after the acknowledgement mean that it was sent too early; longer ones that the server
keeps streaming. 25 ticks of 10 ms. Both are leaks: only the name differs."""

_REASONS = {
    "interrupt": ("after_interrupt", "while_interrupted"),
    "disconnect": ("after_disconnect", "while_disconnected"),
    "closed": ("after_close", "while_closed"),
    "connection": ("after_connection_end", "after_connection_end"),
}


class Flow(NamedTuple):
    """What left the server for one client."""

    sent: tuple[MediaDatagram, ...]
    windows: tuple[ActiveWindow, ...]
    allowed: tuple[tuple[MediaDatagram, ...], ...]
    """One entry for each of *windows*."""
    leaked: tuple[MediaDatagram, ...]
    reasons: dict[str, int]
    unjudged: int
    """Sent while the capture does not say whether the session was active."""

    @property
    def active(self) -> list[MediaDatagram]:
        """All allowed datagrams, in order."""
        return [datagram for window in self.allowed for datagram in window]


class _Stretch(NamedTuple):
    """A part of window *position* in which datagrams may go to one place."""

    from_s: float
    before_s: float
    position: int


_NOWHERE = _Stretch(-math.inf, -math.inf, -1)


class Matching(NamedTuple):
    """What of *sent* appeared at the tap of the client."""

    arrived: tuple[tuple[MediaDatagram, MediaDatagram], ...]
    """Pairs of departure and arrival."""
    missing: tuple[MediaDatagram, ...]
    duplicates: int
    foreign: int
    """Arrived although the server's tap did not see it leave."""


def classify(address: str, sent: Iterable[MediaDatagram], sessions: Sessions) -> Flow:
    """Sort the datagrams *sent* to the host *address* into those allowed and those leaked."""
    windows = tuple(window for window in sessions.windows if window.media[0] == address)
    by_media: dict[tuple[Endpoint, bool], list[_Stretch]] = defaultdict(list)  # and whether over TCP
    for position, window in enumerate(windows):
        for place, from_s, before_s in window.spans:
            by_media[place, window.opened_at is not None].append(_Stretch(from_s, before_s, position))
    for stretches in by_media.values():
        stretches.sort()
    opened = {media: [stretch.from_s for stretch in stretches] for media, stretches in by_media.items()}
    allowed: list[list[MediaDatagram]] = [[] for _ in windows]
    gaps: dict[tuple[tuple[Endpoint, bool], int], list[MediaDatagram]] = defaultdict(list)
    unknown = [interval for interval in sessions.unknown if interval.address == address]
    everything = tuple(sorted(sent, key=lambda datagram: datagram.time_s))
    unjudged = 0
    for datagram in everything:
        media = (datagram.destination, datagram.offset is not None)
        rank = bisect_right(opened.get(media, ()), datagram.time_s) - 1
        while rank >= 0 and _precedes(datagram, windows[by_media[media][rank].position]):
            rank -= 1
        stretch = by_media[media][rank] if rank >= 0 else _NOWHERE
        position = stretch.position
        if position >= 0 and datagram.time_s < stretch.before_s and _is_within(datagram, windows[position]):
            allowed[position].append(datagram)
        elif any(interval.from_s <= datagram.time_s <= interval.to_s for interval in unknown):
            unjudged += 1
        else:
            gaps[media, position].append(datagram)
    commands = [command for command in sessions.commands if command.control[0] == address]
    reasons: Counter[str] = Counter()
    for (_, position), leaked in gaps.items():
        reasons += _reasons(leaked, windows[position] if position >= 0 else None, windows, commands)
    leaked_all = sorted((d for gap in gaps.values() for d in gap), key=lambda datagram: datagram.time_s)
    allowed_all = tuple(tuple(window) for window in allowed)
    return Flow(everything, windows, allowed_all, tuple(leaked_all), dict(reasons), unjudged)


def _precedes(datagram: MediaDatagram, window: ActiveWindow) -> bool:
    """Whether *datagram* came in the segment that opened *window*, and before that line."""
    if datagram.offset is None or window.opened_at is None or datagram.time_s > window.opened_s:
        return False
    return datagram.offset < window.opened_at


def _is_within(datagram: MediaDatagram, window: ActiveWindow) -> bool:
    """Whether *datagram*, which is not from before *window*, is from before its end: over TCP by place."""
    if datagram.time_s > window.limit_s:
        return False
    return datagram.offset is None or window.closed_at is None or datagram.offset < window.closed_at


def _reasons(
    leaked: Sequence[MediaDatagram],
    before: ActiveWindow | None,
    windows: Sequence[ActiveWindow],
    commands: Sequence[CommandOutcome],
) -> Counter[str]:
    """Name why each datagram of one gap should not have left; *before* is the window that the gap follows."""
    connects = [c.time_s for c in commands if c.command == "connect" and c.answer in {"ok", None}]
    short, long = _REASONS.get(before.closed_by if before else "", ("", ""))
    tail = long if before and leaked[-1].time_s - before.closed_s > TAIL_S else short
    reasons: Counter[str] = Counter()
    for datagram in leaked:
        rank = bisect_right(connects, datagram.time_s) - 1
        if before is not None and datagram.offset is None and datagram.time_s <= before.limit_s:
            reasons["wrong_address"] += 1  # the window goes on, but at another place
        elif before is not None and (rank < 0 or connects[rank] <= before.closed_s or before.closed_by == "connection"):
            reasons[tail] += 1
        elif rank < 0:
            reasons["never_connected"] += 1
        elif any(connects[rank] <= window.opened_s <= datagram.time_s for window in windows):
            reasons["wrong_address"] += 1
        else:
            reasons["before_consent"] += 1
    return reasons


def match(sent: Iterable[MediaDatagram], arrivals: Iterable[MediaDatagram]) -> Matching:
    """Pair departures with arrivals by destination and identity, first with first."""
    waiting: dict[tuple[Endpoint, bytes], deque[MediaDatagram]] = defaultdict(deque)
    for datagram in sent:
        waiting[datagram.destination, datagram.identity].append(datagram)
    pairs: list[tuple[MediaDatagram, MediaDatagram]] = []
    duplicates = foreign = 0
    for arrival in arrivals:
        queue = waiting.get((arrival.destination, arrival.identity))
        if queue:
            pairs.append((queue.popleft(), arrival))
        elif queue is None:
            foreign += 1
        else:
            duplicates += 1
    missing = sorted((d for queue in waiting.values() for d in queue), key=lambda datagram: datagram.time_s)
    return Matching(tuple(pairs), tuple(missing), duplicates, foreign)


class Frames(NamedTuple):
    """Video frames begun in one client's windows."""

    due: int
    """Those that were surely sent in full."""
    cut: int
    """Those on the way when a window ended: some are complete, others are shown in part or not at all."""


def frames_begun(flow: Flow) -> Frames:
    """Count the video frames of the windows.

    A window's end cuts its last frame, unless the next window goes on with the very next datagram: then it was
    only delayed.
    """
    due = cut = 0
    last: MediaDatagram | None = None
    on_the_way = False
    for datagrams in flow.allowed:
        if not datagrams:
            continue
        if on_the_way and not (last and _follows(datagrams[0], last)):
            due, cut, on_the_way = due - 1, cut + 1, False
        started = sum(datagram.video_frames_started for datagram in datagrams)
        due, on_the_way, last = due + started, on_the_way or started > 0, datagrams[-1]
    return Frames(due - 1, cut + 1) if on_the_way else Frames(due, cut)


def _follows(later: MediaDatagram, earlier: MediaDatagram) -> bool:
    if later.sequence is None or earlier.sequence is None or later.ssrc != earlier.ssrc:
        return False
    return later.sequence == (earlier.sequence + 1) % 65536


def holes(datagrams: Sequence[MediaDatagram], refused_s: float = math.inf) -> int:
    """Return how many RTP numbers the server skipped or repeated within one window; 0 for plain transport packets.

    From *refused_s* on the client's host answers that nothing listens: then the kernel refuses the server's sends.
    Over TCP a server may go on where a player can begin, when the connection is slower than the stream.
    """
    numbered = [datagram for datagram in datagrams if datagram.sequence is not None]
    return sum(not _follows(b, a) and b.time_s < refused_s and not _passed_between(a, b) for a, b in pairwise(numbered))


def _passed_between(earlier: MediaDatagram, later: MediaDatagram) -> int:
    """Return how many datagrams the server passed over between two of one connection; 0 where it may not."""
    if later.offset is None or not later.is_entry or later.ssrc != earlier.ssrc:
        return 0
    gap = ((later.sequence or 0) - (earlier.sequence or 0) - 1) % 65536
    return gap if gap < 32768 else 0


def passed_over(flow: Flow) -> int:
    """Return how many datagrams of its windows the server never sent, because the client's connection was too slow."""
    return sum(
        _passed_between(a, b)
        for datagrams in flow.allowed
        for a, b in pairwise(d for d in datagrams if d.sequence is not None)
    )


def repeated(flow: Flow) -> int:
    """Return how many numbered datagrams were sent twice within one session.

    A session begins with a window opened by ``connect``: a new one may get the datagrams since the last keyframe again.
    """
    twice = 0
    seen: set[tuple[Endpoint, bytes]] = set()
    for window, datagrams in zip(flow.windows, flow.allowed, strict=True):
        if window.opened_by == "connect":
            seen = set()
        numbered = [(d.destination, d.identity) for d in datagrams if d.sequence is not None]
        twice += len(numbered) - len(set(numbered) - seen)
        seen.update(numbered)
    return twice
