"""What an entry of the catalogue says: how the input is made, how it is served, and what must arrive."""

import contextlib
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

from support.media.recipes import Step

Kind = str
"""``works``, or the kind of fault that the input showed: ``F1`` to ``F13``."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """A stretch of the expected stream, by a file that holds exactly that: all of *file* unless the fields say less.

    Times are compared inside a part, so a part's clock may be anything.
    """

    file: str
    video: str | None = "0:V:0"
    """ffmpeg's name of the track whose pictures are expected; ``None``: none is."""
    audio: tuple[str, ...] | None = None
    """The audio tracks in order; ``None``: all of the file."""
    options: tuple[str, ...] = ()
    """Options for ffmpeg before the file."""
    rate: float | None = None
    """The times of pictures by their rate, for files without timestamps."""
    still_s: float | None = None
    """How long the one picture of the file stays."""
    times: bool = True
    """Whether the file's timestamps can be compared."""
    offset: bool = True
    """Whether the distance from the first picture to the first audio frame can be compared."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Late:
    """A client that joins *at_s* after the first, and must show the film's own pictures *within_s* from then on."""

    at_s: float
    within_s: float = 3.0
    notice: str | None = None
    """Instead of a picture: a regular expression of what the client, or the log, must say."""


Serving = Callable[[Path], contextlib.AbstractContextManager[list[str]]]
"""Makes the sources that ``flume serve`` is given, from the recipe's folder."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One input."""

    name: str
    kind: Kind
    steps: tuple[Step, ...]
    play: tuple[str | bytes, ...] = ("film.mp4",)
    """The sources to serve, relative to the recipe's folder."""
    options: tuple[str, ...] = ()
    """Options of ``flume serve``."""
    serving: Serving | None = None
    """What provides the sources, where they are no files."""
    parts: tuple[Part, ...] | None = None
    """What must arrive, in order; ``None``: all of the first source."""
    loops: int = 1
    """How often everything must arrive; more than once: the server repeats it."""
    loop_s: float | None = None
    """How long one loop plays, where the parts do not say it."""
    transcoded: frozenset[str] = frozenset()
    """Kinds of tracks whose frames are encoded anew: their number and time is compared, not their content."""
    left_out: tuple[str, ...] = ()
    """What may be missing, each as a regular expression that a line of the log must match."""
    counted: tuple[str, ...] = ()
    """Regular expressions of names in ``source_counts``: one must match each."""
    carried: tuple[str, ...] = ()
    """Kinds of tracks beside video and audio that must arrive with as many packets: subtitle, data."""
    languages: tuple[str, ...] | None = None
    """The languages of the audio tracks, as the PMT must say them."""
    late: Late | None = None
    videos: int = 1
    """How many video tracks may come; the first one is compared."""
    pictures: int | None = None
    """How many pictures the parts must hold: a recipe that makes none would pass."""
    exit_status: int = 0
    time_ms: float | None = None
    """How much a picture's or audio frame's time may differ; by default 1 ms, and 25 ms of transcoded tracks."""
    audio_ms: float | None = None
    """The same of audio frames alone."""

    def expected(self) -> tuple[Part, ...]:
        """Return the parts of one loop."""
        if self.parts is not None:
            return self.parts
        return (Part(file=str(self.play[0])),)

    def says(self, log: str) -> list[str]:
        """Return which of :attr:`left_out` no line of *log* matches."""
        return [each for each in self.left_out if not re.search(each, log, re.IGNORECASE)]


def entry(name: str, *steps: Step, kind: Kind, **fields: object) -> Entry:
    """Return an entry; *transcoded* may be words, ``"video audio"``."""
    transcoded = fields.pop("transcoded", "")
    chosen = frozenset(transcoded.split()) if isinstance(transcoded, str) else transcoded
    return Entry(name=name, kind=kind, steps=steps, transcoded=chosen, **fields)  # type: ignore[arg-type]
