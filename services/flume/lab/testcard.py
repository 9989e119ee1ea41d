"""Makes the test card: a moving picture with its frame number burnt in, and a tone.

Each frame shows its number twice: as a barcode for programs (:mod:`flume.barcode`), and as seven-segment digits for
people. The digits are drawn from boxes, so no font is needed. The bit rate is constant; by default each second begins
with a keyframe.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from flume import barcode
from flume.errors import SetupError
from flume.lab import ffmpeg
from flume.lab.progress import Say, task
from flume.settings import check

DIGITS = 5
_SEGMENTS = {
    # The digits that light a segment, and its left, top, width and height, in units of a digit that is 4 wide, 7 high.
    "023567890": (0.5, 0, 3, 1),
    "045689": (0, 0.5, 1, 3),
    "01234789": (3, 0.5, 1, 3),
    "2345689": (0.5, 3, 3, 1),
    "0268": (0, 3.5, 1, 3),
    "013456789": (3, 3.5, 1, 3),
    "0235689": (0.5, 6, 3, 1),
}
_DIGIT_WIDTH, _DIGIT_PITCH = 1 / 20, 1 / 16
"""Shares of the frame's width. The digits are centred below the barcode."""

AUDIO_KBIT = 128


def _box(x: float, y: float, width: float, height: float, color: str, enable: str | None = None) -> str:  # noqa: PLR0917 - as drawbox orders them
    """Return the filter for a filled box; lengths in pixels, *enable* an expression of the frame number n."""
    place = f"x={round(x)}:y={round(y)}:w={round(width)}:h={round(height)}"
    when = f":enable='{enable}'" if enable else ""
    return f"drawbox={place}:color={color}:t=fill{when}"


def _bit(position: int) -> str:
    return f"mod(floor(n/{1 << position}),2)"


def _cell_conditions() -> Iterator[str]:
    """Yield, cell by cell, the expression of the frame number n that is 1 if the cell is."""
    for position in reversed(range(barcode.NUMBER_BITS)):
        yield _bit(position)
    for cell in range(barcode.PARITY_BITS):
        bits = [_bit(position) for position in range(cell, barcode.NUMBER_BITS, barcode.PARITY_BITS)]
        yield f"mod({'+'.join(bits)}+{int(barcode.PARITY_INVERTED[cell])},2)"


def _barcode_boxes(width: int, height: int) -> Iterator[str]:
    left, top = barcode.LEFT * width, barcode.TOP * height
    cell, half = barcode.CELL_WIDTH * width, barcode.HALF_HEIGHT * height
    # First all cells as 0, then the cells that are 1 over them: half as many conditions.
    yield _box(left, top, cell * barcode.CELLS, half, "black")
    yield _box(left, top + half, cell * barcode.CELLS, half, "white")
    for index, condition in enumerate(_cell_conditions()):
        yield _box(left + index * cell, top, cell, half, "white", condition)
        yield _box(left + index * cell, top + half, cell, half, "black", condition)


def _digit_boxes(width: int, height: int) -> Iterator[str]:
    unit, pitch = _DIGIT_WIDTH * width / 4, _DIGIT_PITCH * width
    left, top = (width - DIGITS * pitch) / 2, (barcode.TOP + 3 * barcode.HALF_HEIGHT) * height
    yield _box(left - unit, top - unit, DIGITS * pitch + unit, 9 * unit, "black")
    for place in range(DIGITS):
        value = f"mod(floor(n/{10 ** (DIGITS - 1 - place)}),10)"
        for digits, (x, y, across, down) in _SEGMENTS.items():
            lit = "+".join(f"eq({value},{digit})" for digit in digits)
            yield _box(left + place * pitch + x * unit, top + y * unit, across * unit, down * unit, "white", lit)


def _arguments(
    *, frames: int, width: int, height: int, fps: int, bitrate_kbit: int, gop_s: float, container: str
) -> list[str]:
    filters = ",".join([*_barcode_boxes(width, height), *_digit_boxes(width, height)])
    gop = max(1, round(gop_s * fps))
    rate = f"{bitrate_kbit}k"
    frames_in = ["-f", "lavfi", "-i", f"testsrc2=size={width}x{height}:rate={fps},{filters},format=yuv420p"]
    tone_in = ["-f", "lavfi", "-i", "sine=frequency=440:beep_factor=4:sample_rate=48000"]
    video = ["-c:v", "libx264", "-preset", "superfast", "-bf", "0", "-profile:v", "main"]
    # A rate-control buffer of 0.5 s limits the size of a keyframe, so the rate is constant over each 0.5 s.
    video += ["-b:v", rate, "-minrate", rate, "-maxrate", rate, "-bufsize", f"{bitrate_kbit // 2}k"]
    video += ["-x264-params", f"nal-hrd=cbr:keyint={gop}:min-keyint={gop}:scenecut=0:open-gop=0"]
    audio = ["-c:a", "aac", "-b:a", f"{AUDIO_KBIT}k", "-ac", "2"]
    length = ["-frames:v", str(frames), "-t", f"{frames / fps:.6f}"]
    if container == "mpegts":
        muxrate = f"{round((bitrate_kbit + AUDIO_KBIT) * 1.08) + 100}k"  # packet headers, tables, PCR
        output = ["-f", "mpegts", "-muxrate", muxrate, "-pcr_period", "20", "-pat_period", "0.1", "-muxdelay", "0"]
    else:
        output = ["-f", "mp4", "-movflags", "+faststart"]
    return [*frames_in, *tone_in, *length, *video, *audio, *output]


def generate(
    path: Path,
    *,
    duration_s: float = 60.0,
    width: int = 1280,
    height: int = 720,
    fps: int = 25,
    bitrate_kbit: int = 4000,
    gop_s: float = 1.0,
    progress: Callable[[float], None] | None = None,
) -> Path:
    """Write the test card to *path* (.ts or .mp4) and return *path*; *progress* is called with the share done, 0 to 1.

    The file appears when it is complete, never in part. It has one frame more than *duration_s* asks for: libvlc's
    multiplexer loses the last frame of a file, so a loop shows every number from 0 to the end.

    Raises :class:`~flume.errors.SettingsError` for a value out of range, and :class:`~flume.errors.SetupError` with
    ffmpeg's last line if ffmpeg fails.

    Example::

        generate(Path("card.ts"), duration_s=20, bitrate_kbit=8000)
    """
    check(0 < duration_s <= 86_400, "duration_s", duration_s, "above 0, at most 86400 seconds")
    check(160 <= width <= 7680 and width % 2 == 0, "width", width, "an even number from 160 to 7680 pixels")
    check(90 <= height <= 4320 and height % 2 == 0, "height", height, "an even number from 90 to 4320 pixels")
    check(1 <= fps <= 240, "fps", fps, "1 to 240 frames a second")
    check(100 <= bitrate_kbit <= 200_000, "bitrate_kbit", bitrate_kbit, "100 to 200000 kbit/s")
    check(0 < gop_s <= 60, "gop_s", gop_s, "above 0, at most 60 seconds")
    frames = round(duration_s * fps) + 1
    container = "mpegts" if path.suffix.lower() in {".ts", ".m2ts"} else "mp4"
    arguments = _arguments(
        frames=frames,
        width=width,
        height=height,
        fps=fps,
        bitrate_kbit=bitrate_kbit,
        gop_s=gop_s,
        container=container,
    )
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        ffmpeg.run([*arguments, str(partial)], doing="make the test card", progress=_share_of(frames, progress))
        partial.replace(path)
    except ffmpeg.FfmpegError as error:
        raise SetupError(str(error)) from error
    except OSError as error:
        raise SetupError(f"the test card {path} cannot be written: {error}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    if progress is not None:
        progress(1.0)
    return path


def _share_of(frames: int, progress: Callable[[float], None] | None) -> ffmpeg.Progress | None:
    return None if progress is None else lambda done: progress(min(1.0, done / frames))


TEST_CARD_S = 60.0
"""Length of the card that a run streams, in a loop."""


class TestCard(NamedTuple):
    """The picture of a test card; its frame rate is 25 a second."""

    width: int
    height: int
    bitrate_kbit: int
    gop_s: float = 1.0
    """From one keyframe to the next."""

    @property
    def name(self) -> str:
        """A name for files and messages: ``720p25-4000k``; ``720p25-4000k-gop2s`` where a keyframe comes every 2 s."""
        gop = "" if self.gop_s == 1.0 else f"-gop{self.gop_s:g}s"
        return f"{self.height}p25-{self.bitrate_kbit}k{gop}"


CARD = TestCard(1280, 720, 4000)


def ensure_test_card(cache: Path, *, say: Say, interactive: bool, card: TestCard = CARD) -> Path:
    """Return the path of *card* in the folder *cache*; make the file first where there is none.

    MP4, because libvlc reads that format to its very last frame, so that a loop shows every frame number.
    Raises :class:`~flume.errors.SetupError`.
    """
    path = cache / f"test-card-{card.name}-{TEST_CARD_S:g}s.mp4"
    if not path.exists():
        say(f"Making the test card {card.name}: a burnt-in frame counter and a tone (once).")
        with task("test card", total=1.0, interactive=interactive) as bar:
            generate(
                path,
                duration_s=TEST_CARD_S,
                width=card.width,
                height=card.height,
                bitrate_kbit=card.bitrate_kbit,
                gop_s=card.gop_s,
                progress=lambda share: bar.update(completed=share),
            )
    return path
