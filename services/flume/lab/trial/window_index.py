"""Finds the active window of a datagram. Pure."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from flume.lab.evidence.facts import Endpoint, MediaDatagram
from flume.lab.trial.windows import ActiveWindow, Span

_Path = tuple[Endpoint, bool]
"""Where a datagram goes, and whether over TCP: media over TCP do not excuse datagrams to the same endpoint."""


class _Entry(NamedTuple):
    span: Span
    position: int


class WindowIndex:
    """The windows of one host, by position in :attr:`windows`.

    Over UDP the time decides, because one tap stamps datagrams and replies alike. Over TCP the position in the
    server's bytes decides, because frames and messages of one segment share a time.

    >>> window = ActiveWindow(("h", 1), ("h", 2), 1.0, 5.0, 0.0, "connect", "interrupt")
    >>> index = WindowIndex([window])
    >>> index.find(MediaDatagram(3.0, ("s", 5004), ("h", 2), b"", 7, 1, 1328, 0))
    0
    """

    def __init__(self, windows: Iterable[ActiveWindow]) -> None:
        """Index *windows*, which are in the order of time."""
        self.windows = tuple(windows)
        self._entries: dict[_Path, list[_Entry]] = defaultdict(list)
        for position, window in enumerate(self.windows):
            for span in window.spans:
                self._entries[span.media, window.opened_at is not None].append(_Entry(span, position))
        for entries in self._entries.values():
            entries.sort(key=lambda entry: (entry.span.from_s, entry.span.before_s, entry.position))
        self._starts_s = {path: [entry.span.from_s for entry in entries] for path, entries in self._entries.items()}

    def find(self, datagram: MediaDatagram) -> int | None:
        """Return the position of the window that allows *datagram*; None where no window does."""
        entry = self._latest(datagram)
        if entry is None or datagram.time_s >= entry.span.before_s:
            return None
        return entry.position if _is_before_end(datagram, self.windows[entry.position]) else None

    def latest(self, datagram: MediaDatagram) -> int | None:
        """Return the position of the last window that opened before *datagram* and for its path, ended or not."""
        entry = self._latest(datagram)
        return None if entry is None else entry.position

    def _latest(self, datagram: MediaDatagram) -> _Entry | None:
        path = (datagram.destination, datagram.offset is not None)
        rank = bisect_right(self._starts_s.get(path, ()), datagram.time_s)
        for entry in reversed(self._entries.get(path, ())[:rank]):
            if not _is_before_begin(datagram, self.windows[entry.position]):
                return entry
        return None


def _is_before_begin(datagram: MediaDatagram, window: ActiveWindow) -> bool:
    """Whether *datagram* came in the segment that opened *window*, and before the message that did."""
    if datagram.offset is None or window.opened_at is None or datagram.time_s > window.opened_s:
        return False
    return datagram.offset < window.opened_at


def _is_before_end(datagram: MediaDatagram, window: ActiveWindow) -> bool:
    """Whether *datagram*, which came after the begin of *window*, came before its end: over TCP by position."""
    if datagram.time_s > window.limit_s:
        return False
    return datagram.offset is None or window.closed_at is None or datagram.offset < window.closed_at
