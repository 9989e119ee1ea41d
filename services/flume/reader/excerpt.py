"""The part of an item that a playlist asks for, by the options ``start-time`` and ``stop-time``. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from flume.reader.messages import Promise


class Excerpt(NamedTuple):
    """From *start_s* to *stop_s*, both from the beginning of the item; ``None``: to its end."""

    start_s: float = 0.0
    stop_s: float | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole item."""
        return not self.start_s and self.stop_s is None

    def of_promise(self, promise: Promise) -> Promise:
        """Return what this part of an item promises that promised *promise* as a whole."""
        if self.is_whole:
            return promise
        tracks = tuple(
            msgspec.structs.replace(track, seconds=self.seconds_of(track.seconds), frames=None)
            for track in promise.tracks
        )
        return msgspec.structs.replace(promise, seconds=self.seconds_of(promise.seconds), tracks=tracks)

    def seconds_of(self, seconds: float | None) -> float | None:
        """Return how much of *seconds* plays.

        >>> Excerpt(2.0, 5.0).seconds_of(4.0)
        2.0
        """
        if seconds is None:
            return None
        return max(0.0, min(seconds, self.stop_s if self.stop_s is not None else seconds) - self.start_s)


def excerpt_of(options: Sequence[str]) -> Excerpt:
    """Return the part that the *options* of an item name, as ``name=value``; the server has checked the values.

    >>> excerpt_of(("http-user-agent=TV", "start-time=10.5"))
    Excerpt(start_s=10.5, stop_s=None)
    """
    values = dict(option.split("=", 1) for option in options)
    stop = values.get("stop-time")
    return Excerpt(float(values.get("start-time", "0")), None if stop is None else float(stop))
