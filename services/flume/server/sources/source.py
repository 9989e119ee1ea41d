"""What the ingest reads from: a stream of events that carry MPEG-TS, item after item.

The seam between the server and whoever produces the video. Values only; libvlc stands behind it in
:mod:`flume.server.sources.libvlc`, and fakes in the tests.
"""

from typing import NamedTuple, Protocol


class ItemStarted(NamedTuple):
    """The bytes that follow belong to the item *name*, which has a multiplexer and a clock of its own."""

    name: str


class TsBytes(NamedTuple):
    """The next piece of the present item's MPEG-TS, of any length above 0."""

    data: bytes


class ItemEnded(NamedTuple):
    """The item played to its end. Only after its :class:`ItemStarted`."""

    name: str


class ItemFailed(NamedTuple):
    """The item cannot be read or carried and is skipped; the server goes on.

    *reason* says what was seen and what to try. May come before :class:`ItemStarted` (nothing of it was sent) or
    after it (then it ends the item).
    """

    name: str
    reason: str


class SourceEnded(NamedTuple):
    """Nothing follows: all was played and it is not repeated, or (*failed*) nothing of it is playable.

    Told again if asked.
    """

    reason: str
    failed: bool = False


SourceEvent = ItemStarted | TsBytes | ItemEnded | ItemFailed | SourceEnded


class Source(Protocol):
    """Read by one thread; :meth:`close` may come from any."""

    @property
    def name(self) -> str:
        """What people call it, for status and logs."""

    @property
    def live(self) -> bool:
        """``True``: goes on without us, so :meth:`stop` it when nobody watches. ``False``: waits while not read."""

    def read(self, *, timeout_s: float) -> SourceEvent | None:
        """Return the next event, or ``None`` when there is none within *timeout_s* or the source was closed.

        The first call, and the first after :meth:`stop`, starts it.
        """

    def stop(self) -> None:
        """Let go of the input; the present item ends without an event. From the reading thread."""

    def close(self) -> None:
        """Stop for good, and make a waiting :meth:`read` return. From any thread, as often as you like."""
