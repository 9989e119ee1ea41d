"""Decodes a stream by ffmpeg: of each frame its PTS, a digest of its pixels and the counter burnt into it.

One decoder thread, as libvlc has in the lab's clients: with more, what is concealed in a damaged frame depends on the
threads' order. Damaged frames are given out, as libvlc does; libvlc's concealment may differ slightly, where it sets
the decoder up differently.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from flume import barcode
from flume.errors import LabError
from flume.lab import ffmpeg
from flume.lab.pictures.frames import PTS_MODULUS

SECOND = 90_000
"""Units of a PTS."""
INPUT_OPTIONS = ("-threads", "1", "-copyts", "-flags", "+output_corrupt")
_COUNTER_WIDTH, _COUNTER_HEIGHT = 320, 180
"""The burnt-in counter is read from pictures of this size: its cells have 10 pixels."""
_NOTHING = (
    "does not contain any stream",
    "matches no streams",
    "Invalid data found",
    "could not find codec parameters",
    "Nothing was written",
    "received no packets",
)
"""ffmpeg's words for an input in which there is no frame at all."""


class Frame(NamedTuple):
    """One decoded frame."""

    pts: int
    """In units of 1/90000 s, modulo 2^33."""
    digest: str
    bytes: int
    """Of all its pixels."""
    counter: int | None
    """The number burnt into it; None without one that can be read."""
    motion: float = 0.0
    """From the frame before, by ffmpeg's vmafmotion; 0 where it was not asked for."""


def decode(
    stream: Path, pid: int, folder: Path, *, with_motion: bool = False, progress: ffmpeg.Progress | None = None
) -> list[Frame]:
    """Return the frames of the video *pid* in the file *stream*, in the order of their display; scratch in *folder*.

    *with_motion*: measure the motion, which takes as long as the decoding. A frame with a PTS that is not above those
    before is left out: it has no time of its own. A stream without any frame gives none, and is no error. Raises
    :class:`~flume.errors.LabError`.
    """
    hashes, counters, motions = (folder / f"{stream.stem}.{kind}" for kind in ("hash", "gray", "motion"))
    scale = f"scale={_COUNTER_WIDTH}:{_COUNTER_HEIGHT}:flags=area,format=gray"
    passthrough = ["-map", f"0:i:{pid}", "-fps_mode", "passthrough"]
    arguments = ["-max_error_rate", "1", *INPUT_OPTIONS, "-f", "mpegts", "-i", str(stream)]
    arguments += [*passthrough, "-enc_time_base", f"1:{SECOND}", "-f", "framehash", "-hash", "murmur3", str(hashes)]
    arguments += [*passthrough, "-vf", scale, "-f", "rawvideo", str(counters)]
    if with_motion:
        arguments += [*passthrough, "-vf", f"vmafmotion=stats_file={motions.name}", "-f", "null", "-"]
    try:
        ffmpeg.run(arguments, doing=f"decode {stream.name}", progress=progress, folder=folder)
        lines = motions.read_text().splitlines() if with_motion else []
        motion = [float(line.rsplit(":", 1)[1]) for line in lines]
        return list(_rising(_frames(hashes, counters, motion)))
    except ffmpeg.FfmpegError as error:
        if any(text in str(error) for text in _NOTHING):
            return []
        raise
    finally:
        for path in (hashes, counters, motions):
            path.unlink(missing_ok=True)


def _frames(hashes: Path, counters: Path, motion: Sequence[float]) -> Iterator[Frame]:
    size = _COUNTER_WIDTH * _COUNTER_HEIGHT
    with hashes.open() as lines, counters.open("rb") as planes:
        for number, line in enumerate(line for line in lines if not line.startswith("#")):
            _, _, pts, _, bytes_, digest = (word.strip() for word in line.split(","))
            plane = planes.read(size)
            if len(plane) < size:
                raise LabError(f"ffmpeg wrote fewer pictures to {counters.name} than to {hashes.name}")
            counter = barcode.decode(plane, _COUNTER_WIDTH, _COUNTER_HEIGHT, _COUNTER_WIDTH)
            yield Frame(int(pts), digest, int(bytes_), counter, motion[number] if motion else 0.0)


def _rising(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Yield those of *frames* whose PTS is above all before, modulo 2^33."""
    highest: int | None = None
    for frame in frames:
        if highest is None or frame.pts > highest:
            highest = frame.pts
            yield frame._replace(pts=frame.pts % PTS_MODULUS)
