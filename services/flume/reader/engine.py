"""What an engine of the reader offers: it plays one item as MPEG-TS into a sink."""

from typing import Protocol

from flume.reader.messages import Ended, Play, Promise


class UnplayableError(Exception):
    """The item cannot be played, or broke off. The text is for people: what was seen, and what to try.

    *unreadable*: the engine does not know this kind of item, so another engine may.
    """

    def __init__(self, reason: str, *, unreadable: bool = False) -> None:
        """Say *reason* in one line."""
        super().__init__(reason)
        self.unreadable = unreadable


class Sink(Protocol):
    """Where an engine puts an item. Each call may wait, for as long as the server does not read."""

    def open(self, promise: Promise) -> None:
        """The item plays, and promises this; once, before the first :meth:`write`."""

    def write(self, data: bytes) -> None:
        """The next bytes of its MPEG-TS, in pieces of any length."""


class Engine(Protocol):
    """Plays items, one after another, in the main thread of the reader."""

    def play(self, item: Play, sink: Sink) -> Ended:
        """Play *item* to its end. Raises :class:`UnplayableError`."""
