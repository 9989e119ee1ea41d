"""In which order datagrams belong, and which of them came too late for a jitter buffer. Pure."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

_NUMBERS = 1 << 16
_TIMES = 1 << 32


class Numbered(NamedTuple):
    """What gives a datagram its place in the stream, in RTP (RFC 3550); both None: plain transport packets."""

    identity: bytes
    sequence: int | None
    timestamp: int | None


def _distance(newer: int, older: int, modulus: int) -> int:
    """Return how far *newer* is ahead of *older* in numbers that wrap at *modulus*, negative when it is behind."""
    return (newer - older + modulus // 2) % modulus - modulus // 2


def in_order(datagrams: Iterable[Numbered]) -> list[Numbered]:
    """Return the *datagrams* of one stream in its order.

    Timestamps come first, because sequence numbers wrap within a pause of two minutes; the numbers give the order
    within one timestamp. Plain transport packets keep the order in which they were first seen.

    >>> [d.identity for d in in_order([Numbered(b"b", 0, 7), Numbered(b"c", 1, 9), Numbered(b"a", 65535, 7)])]
    [b'a', b'b', b'c']
    """
    listed = list(datagrams)
    first = next((one.timestamp for one in listed if one.timestamp is not None), None)
    if first is None:
        return listed
    listed.sort(key=lambda one: _distance(one.timestamp or 0, first, _TIMES))
    ordered: list[Numbered] = []
    for _, group in groupby(listed, key=lambda one: one.timestamp):
        same = list(group)
        anchor = same[0].sequence or 0
        ordered += sorted(same, key=lambda one: _distance(one.sequence or 0, anchor, _NUMBERS))
    return ordered


def follows(later: Numbered, earlier: Numbered) -> bool:
    """Whether *later* is the very next datagram after *earlier*; plain transport packets always count as that."""
    if later.sequence is None or earlier.sequence is None:
        return True
    return _distance(later.sequence, earlier.sequence, _NUMBERS) == 1


def in_time(arrivals: Sequence[tuple[int, float]], *, first: int, wait_s: float) -> list[bool]:
    """Return for each of *arrivals* whether a jitter buffer of *wait_s* still takes it.

    An arrival is its place in the stream and its time in seconds, in the order of time; *first* is the first place of
    the window. The buffer hands out place after place. For a missing one it waits *wait_s* from the arrival that has
    waited longest behind it, and then goes on without it.

    >>> in_time([(0, 0.0), (2, 0.1), (1, 0.25), (3, 0.3)], first=0, wait_s=0.1)
    [True, True, False, True]
    """
    taken: list[bool] = []
    waiting: dict[int, float] = {}  # in the order of arrival
    following = first
    for place, time_s in arrivals:
        while waiting and time_s - next(iter(waiting.values())) >= wait_s:
            following = min(waiting)
            following = _hand_out(waiting, following)
        taken.append(place >= following)
        if place >= following:
            waiting.setdefault(place, time_s)
            following = _hand_out(waiting, following)
    return taken


def _hand_out(waiting: dict[int, float], following: int) -> int:
    while waiting.pop(following, None) is not None:
        following += 1
    return following
