"""What the RTP numbers of the allowed datagrams say: holes, repetitions, and which frames a window's end cut. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

from flume.lab.evidence.facts import Endpoint, MediaDatagram
from flume.lab.trial.flows import Flow
from flume.lab.trial.frames import follows, frames_sent

_NUMBERS = 1 << 16
"""RTP's sequence numbers wrap here (RFC 3550)."""


Lost = Mapping[int, int]
"""A datagram's id() to how many before it a relay had lost already when it sent that one."""
NONE_LOST: Lost = MappingProxyType({})


def holes(datagrams: Sequence[MediaDatagram], refused_s: float = math.inf, lost: Lost = NONE_LOST) -> int:
    """Return how many RTP numbers the server skipped or repeated within one window; 0 for plain transport packets.

    From *refused_s* on the client's host answers that no socket listens: the kernel then refuses the server's sends.
    Over TCP a server may skip to a datagram at which a player can begin, when the connection is slower than the stream.
    A relay may skip the numbers of as many as it *lost*.
    """
    numbered = [datagram for datagram in datagrams if datagram.sequence is not None]
    return sum(
        not follows(b, a) and b.time_s < refused_s and not passed_between(a, b) and not _is_known(a, b, lost)
        for a, b in pairwise(numbered)
    )


def passed_over(flow: Flow, lost: Lost = NONE_LOST) -> int:
    """Return how many datagrams of its windows the server never sent, because the client's connection was too slow.

    Those that a relay *lost* it could not send: they do not count.
    """
    return sum(
        max(0, passed_between(a, b) - lost.get(id(b), 0))
        for datagrams in flow.allowed
        for a, b in pairwise(d for d in datagrams if d.sequence is not None)
    )


def _is_known(earlier: MediaDatagram, later: MediaDatagram, lost: Lost) -> bool:
    """Whether between the two just as many numbers are missing as a relay has lost."""
    skipped = lost.get(id(later), 0)
    return skipped > 0 and later.ssrc == earlier.ssrc and _gap(earlier, later) == skipped


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


class FramesBegun(NamedTuple):
    """Video frames begun in one client's windows."""

    due: int
    """Surely sent in full, and arrived in full."""
    cut: int
    """The others: on the way when a window ended, or a datagram of them did not arrive. Some are complete, others are
    displayed in part, with errors, or not at all."""


def frames_begun(flow: Flow, missing: Iterable[MediaDatagram] = ()) -> FramesBegun:
    """Count the video frames of the windows; *missing*: the datagrams of *flow* that did not arrive.

    A window's end cuts its last frame, unless the next window goes on with the very next datagram: the frame was then
    only delayed. A frame may end in the datagram in which the next one begins; so without that one it is not due.
    """
    gone = {id(datagram) for datagram in missing}
    frames = frames_sent(flow)
    due = sum(frame.is_whole and all(id(one) not in gone for one in frame.datagrams) for frame in frames)
    return FramesBegun(due, len(frames) - due)


def passed_between(earlier: MediaDatagram, later: MediaDatagram) -> int:
    """Return how many datagrams the server passed over between two of one connection; 0 where it may not."""
    if later.offset is None or not later.is_entry or later.ssrc != earlier.ssrc:
        return 0
    gap = _gap(earlier, later)
    return gap if gap < _NUMBERS // 2 else 0


def _gap(earlier: MediaDatagram, later: MediaDatagram) -> int:
    return ((later.sequence or 0) - (earlier.sequence or 0) - 1) % _NUMBERS
