"""Sorts the datagrams towards one client into those that were allowed and those that leaked. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from flume.lab.evidence.facts import MediaDatagram
from flume.lab.trial.leaks import leak_reasons
from flume.lab.trial.window_index import WindowIndex
from flume.lab.trial.windows import ActiveWindow, Sessions


class Flow(NamedTuple):
    """What left the server for one client."""

    sent: tuple[MediaDatagram, ...]
    windows: tuple[ActiveWindow, ...]
    allowed: tuple[tuple[MediaDatagram, ...], ...]
    """One entry for each of *windows*."""
    leaked: tuple[MediaDatagram, ...]
    reasons: dict[str, int]
    """How many of *leaked* there are for each reason, see :mod:`flume.lab.trial.leaks`."""
    unjudged: int
    """Sent while the capture does not say whether the session was active."""

    @property
    def active(self) -> list[MediaDatagram]:
        """All allowed datagrams, in order."""
        return [datagram for window in self.allowed for datagram in window]


def classify(address: str, sent: Iterable[MediaDatagram], sessions: Sessions) -> Flow:
    """Sort the datagrams *sent* to the host *address* into those allowed and those leaked.

    A datagram is allowed when a window of the host is open for its endpoint at that time. Outside of all windows it is
    leaked, unless the capture does not show the state of the session at that time.
    """
    mine = sessions.of(address)
    index = WindowIndex(mine.windows)
    everything = tuple(sorted(sent, key=lambda datagram: datagram.time_s))
    allowed: list[list[MediaDatagram]] = [[] for _ in mine.windows]
    leaked: list[MediaDatagram] = []
    unjudged = 0
    for datagram in everything:
        position = index.find(datagram)
        if position is not None:
            allowed[position].append(datagram)
        elif any(interval.from_s <= datagram.time_s <= interval.to_s for interval in mine.unknown):
            unjudged += 1
        else:
            leaked.append(datagram)
    reasons = leak_reasons(leaked, index, mine.commands)
    return Flow(everything, mine.windows, tuple(map(tuple, allowed)), tuple(leaked), reasons, unjudged)
