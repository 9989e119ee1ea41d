"""A stream as the server sent it, decoded once for all clients."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from flume.errors import LabError
from flume.lab.pictures import decoding, scoring
from flume.lab.pictures.frames import PTS_MODULUS
from flume.lab.pictures.material import Stream
from flume.lab.pictures.scoring import Pair, Scores


class Bench(NamedTuple):
    """Where and with what frames are compared."""

    folder: Path
    """For scratch."""
    have: frozenset[str]
    """ffmpeg's filters."""
    threads: int
    """Of libvmaf."""

    def scores(
        self,
        pair: Pair,
        wanted: set[int],
        order: tuple[Sequence[int], Sequence[int]],
        progress: Callable[[float], None] | None = None,
    ) -> dict[int, Scores]:
        """Return the scores of the frames *wanted*; their neighbours are compared too, and left out.

        *order*: the PTS that both files have, and those of both files, rising. *progress* gets the share that is done.
        """
        common, everything = order
        near = scoring.with_neighbours(wanted, common)
        tell = None if progress is None else lambda done: progress(min(1.0, done / len(near)))
        found = scoring.score(
            pair, near, everything, have=self.have, folder=self.folder, threads=self.threads, progress=tell
        )
        return {pts: found[pts] for pts in wanted}


class SentStream:
    """One stream. PTS count from its first frame, in units of 1/90000 s, and may be below 0."""

    def __init__(self, stream: Stream, path: Path, bench: Bench) -> None:
        """Decode *stream*, whose transport packets are in the file *path*. Raises :class:`LabError`."""
        if stream.pid is None:
            raise LabError("the stream that was sent has no video that its tables name")
        frames = decoding.decode(path, stream.pid, bench.folder, with_motion="vmafmotion" in bench.have)
        if not frames:
            raise LabError("no frame of what was sent can be decoded")
        if len({frame.bytes for frame in frames}) > 1:
            raise LabError("the pictures change their size or format within the stream")
        self.stream, self.path, self.pid = stream, path, stream.pid
        self.base = frames[0].pts
        self.frames = {self.since(frame.pts): frame for frame in frames}
        self.order = tuple(self.frames)
        self._bench = bench
        self._alike: dict[int, float | None] = {}

    def since(self, pts: int) -> int:
        """Return a *pts* of the stream as it counts here.

        >>> half = PTS_MODULUS // 2
        >>> (3 - (PTS_MODULUS - 2) + half) % PTS_MODULUS - half  # 5 units, across the wrap
        5
        """
        half = PTS_MODULUS // 2
        return (pts - self.base + half) % PTS_MODULUS - half

    def pair(self, shown: Path) -> Pair:
        """Return the file *shown*, whose frames have the same PTS, beside this stream."""
        return Pair(shown, self.path, self.pid, self.base)

    def vmaf_alike(self, wanted: set[int]) -> dict[int, float | None]:
        """Return the VMAF of each of the frames *wanted* beside itself; None without libvmaf."""
        if "libvmaf" not in self._bench.have:
            return dict.fromkeys(wanted)
        still = {pts for pts in wanted if pts not in self._alike and self._is_still(pts)}
        found = self._bench.scores(self.pair(self.path), still, (self.order, self.order))
        self._alike |= {pts: scores.vmaf for pts, scores in found.items()}
        return {pts: self._alike.setdefault(pts, 100.0) for pts in wanted}

    def _is_still(self, pts: int) -> bool:
        """Whether a frame has so little motion that its VMAF beside itself may be below 100."""
        at = bisect_left(self.order, pts)
        return min(self.frames[each].motion for each in self.order[at : at + 2]) < scoring.MOTION_OF_100
