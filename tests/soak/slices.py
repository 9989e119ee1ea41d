"""The slices of a soak: a run that is stopped and continued. Each is a file of lines in JSON.

The first line says what ran and when it began, the next ones are samples, and the last one is how it ended. Each line
is written at once, so a slice that was killed keeps its samples.
"""

import fcntl
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import msgspec

from flume.errors import FlumeError
from soak.measures import Sample

LEAST_S = 12.0
"""A slice that is shorter shows nothing; so little is not run to fill up a soak."""


class SliceError(FlumeError):
    """A folder of slices that cannot be used."""


class Start(msgspec.Struct, frozen=True, kw_only=True, tag="start"):
    """What runs in a slice."""

    version: int = 1
    began: str
    """ISO 8601, with the offset of the time zone."""
    wanted_s: float
    """How long all slices together will be."""
    clients: int
    seed: int
    loss: float
    revision: str
    """Of the code under test, as git names it; empty where that is not known."""


class End(msgspec.Struct, frozen=True, kw_only=True, tag="end"):
    """How a slice ended."""

    seconds: float
    counts: dict[str, int]
    status: int
    """The server's exit status."""
    failure: str = ""
    """What ended it before its time."""


class Slice(NamedTuple):
    """One slice, as far as it came."""

    start: Start
    samples: Sequence[Sample]
    end: End | None = None
    """``None``: it was killed."""

    @property
    def seconds(self) -> float:
        """How long it ran."""
        if self.end is not None:
            return self.end.seconds
        return self.samples[-1].time_s if self.samples else 0.0

    @property
    def counts(self) -> dict[str, int]:
        """What was counted; of a slice that was killed, what had been counted at its last sample."""
        if self.end is not None:
            return self.end.counts
        return self.samples[-1].counts if self.samples else {}


_decoder = msgspec.json.Decoder(Start | Sample | End)


def parse(text: bytes) -> Slice:
    """Return the slice in *text*; a last line that was not written in full is left out.

    Raises :class:`SliceError`.
    """
    *lines, unfinished = text.split(b"\n")
    try:
        found = [_decoder.decode(line) for line in lines]
    except msgspec.MsgspecError as error:
        raise SliceError(f"line {error}") from error
    if not found or not isinstance(found[0], Start):
        raise SliceError("it does not begin with what ran" if found or unfinished else "it is empty")
    ends = [line for line in found if isinstance(line, End)]
    return Slice(found[0], [line for line in found if isinstance(line, Sample)], ends[0] if ends else None)


def read(folder: Path) -> list[Slice]:
    """Return the slices in *folder*, the oldest first. Raises :class:`SliceError`."""
    slices = []
    for path in sorted(folder.glob("slice-*.jsonl")):
        try:
            slices.append(parse(path.read_bytes()))
        except SliceError as error:
            raise SliceError(f"{path} is no slice of a soak ({error}): move it elsewhere") from error
    return slices


class Keeper:
    """Writes one slice into *folder*, line by line. Use ``with``.

    Raises :class:`SliceError` if another soak writes there.
    """

    def __init__(self, folder: Path) -> None:
        """Open nothing; ``with`` opens the slice."""
        self._folder = folder

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self._folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise SliceError(f"another soak runs in {self._folder}: wait for its end, or use another folder") from error
        number = len(list(self._folder.glob("slice-*.jsonl"))) + 1
        self._file = (self._folder / f"slice-{number:03}.jsonl").open("xb")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self._lock.close()

    def keep(self, line: Start | Sample | End) -> None:
        """Write *line*."""
        self._file.write(msgspec.json.encode(line) + b"\n")
        self._file.flush()


def seconds_left(slices: Sequence[Slice], wanted_s: float) -> float:
    """Return how long the next slice has to be; 0.0: the soak is complete."""
    left_s = wanted_s - sum(one.seconds for one in slices)
    return left_s if left_s >= LEAST_S or not slices else 0.0


def unfinished(folders: Sequence[Path], wanted_s: float, clients: int) -> Path | None:
    """Return the newest of *folders*, in ascending order, if it has a soak of these settings that is not complete."""
    for folder in reversed(folders):
        slices = read(folder)
        if slices:
            same = (slices[-1].start.wanted_s, slices[-1].start.clients) == (wanted_s, clients)
            return folder if same and seconds_left(slices, wanted_s) else None
    return None
