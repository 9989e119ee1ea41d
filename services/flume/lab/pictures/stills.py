"""Writes single frames of a stream as picture files, small enough to be embedded in a page."""

from pathlib import Path

from flume.errors import LabError
from flume.lab import ffmpeg
from flume.lab.pictures.decoding import INPUT_OPTIONS
from flume.lab.pictures.frames import PTS_MODULUS

WIDTH = 640
MOST_BYTES = 60_000
SOUGHT_S = 600.0
"""ffmpeg decodes all that comes before the frame, and reports no frame meanwhile: an hour of video at ten times its own
speed takes six minutes."""
_QUALITIES = (3, 5, 8, 12, 18, 31)
"""Of JPEG, by ffmpeg's scale, the best first."""


def write_still(stream: Path, pid: int, pts: int, path: Path) -> None:
    """Write the frame *pts* of the video *pid* in the file *stream* to *path*, as JPEG of at most 60 kB.

    Raises :class:`~flume.errors.LabError`.
    """
    pick = f"select='eq(mod(pts+{PTS_MODULUS},{PTS_MODULUS}),{pts})',scale={WIDTH}:-2"
    arguments = ["-max_error_rate", "1", *INPUT_OPTIONS, "-reinit_filter", "0", "-f", "mpegts", "-i", str(stream)]
    arguments += ["-map", f"0:i:{pid}", "-vf", pick, "-fps_mode", "passthrough", "-frames:v", "1", "-update", "1"]
    lossless = path.with_suffix(".bmp")
    try:
        ffmpeg.run([*arguments, str(lossless)], doing=f"take a frame out of {stream.name}", stalled_s=SOUGHT_S)
        for scale in _QUALITIES:
            jpeg = ["-i", str(lossless), "-pix_fmt", "yuvj420p", "-q:v", str(scale), "-update", "1", str(path)]
            ffmpeg.run(jpeg, doing=f"write {path.name}")
            if path.stat().st_size <= MOST_BYTES:
                return
    except OSError as error:
        raise LabError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        lossless.unlink(missing_ok=True)
    raise LabError(f"{path} has more than {MOST_BYTES} bytes even at the lowest quality")
