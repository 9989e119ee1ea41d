"""The video frames that were sent to one client: which datagrams carry each, and whether all of them left. Pure."""

from collections.abc import Iterator
from typing import NamedTuple

from flume.lab.evidence.facts import MediaDatagram
from flume.lab.trial.flows import Flow

_NUMBERS = 1 << 16
"""RTP's sequence numbers wrap here (RFC 3550)."""


class Frame(NamedTuple):
    """One video frame, begun within a window."""

    window: int
    """In which of the flow's windows it begins."""
    datagrams: tuple[MediaDatagram, ...]
    """From the one in which it begins to the one in which the next frame begins: a frame may end there."""
    order: int
    """How many frames begin in the first of *datagrams* before this one."""
    is_whole: bool
    """Whether all of it was sent: the next frame begins, in this window or in one that goes on without a hole."""

    @property
    def begun_s(self) -> float:
        """When its first datagram left."""
        return self.datagrams[0].time_s


def frames_sent(flow: Flow) -> list[Frame]:
    """Return the frames of all windows of *flow*, in the order in which they were sent.

    A window's end cuts its last frame, unless the next window goes on with the very next datagram: the frame was then
    only delayed.
    """
    return list(_frames(flow))


def _frames(flow: Flow) -> Iterator[Frame]:
    begun: tuple[int, int] | None = None
    """Window and order of the frame that is on the way."""
    carried: list[MediaDatagram] = []
    last: MediaDatagram | None = None
    for window, datagrams in enumerate(flow.allowed):
        if datagrams and begun is not None and not (last and follows(datagrams[0], last)):
            yield Frame(begun[0], tuple(carried), begun[1], is_whole=False)
            begun = None
        for datagram in datagrams:
            carried.append(datagram)
            for order in range(datagram.video_frames_started):
                if begun is not None:
                    yield Frame(begun[0], tuple(carried), begun[1], is_whole=True)
                begun, carried = (window, order), [datagram]
            last = datagram
    if begun is not None:
        yield Frame(begun[0], tuple(carried), begun[1], is_whole=False)


def follows(later: MediaDatagram, earlier: MediaDatagram) -> bool:
    """Whether *later* is the very next datagram of the stream after *earlier*."""
    if later.sequence is None or earlier.sequence is None or later.ssrc != earlier.ssrc:
        return False
    return later.sequence == (earlier.sequence + 1) % _NUMBERS
