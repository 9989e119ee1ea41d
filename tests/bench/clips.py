"""The clips: one constant-rate transport stream for each bit rate, made once with ffmpeg and kept in .cache.

The ffmpeg is the one of the package imageio-ffmpeg. Debian's takes 481 MB, and only the sender ``ffmpeg`` needs it.
"""

import hashlib
from pathlib import Path

import imageio_ffmpeg
import msgspec

from bench.build import CACHE, make_once
from bench.values import BenchError
from flume.media.mpegts import NULL_PID, PACKET_BYTES, PCR_HZ, pid_of, read_pcr

CLIP_S = 30
FPS = 25
GOP_S = 2
MAX_NULL_SHARE = 0.02
"""Flume leaves null packets out, other senders send them. With few null packets all senders carry the same load, and a
window at the beginning of the clip has as many datagrams as one at its end."""

_RECIPES = {2: ("640x360", 4, 0.94), 8: ("1280x720", 8, 0.965), 25: ("1920x1080", 12, 0.965)}
"""Rate in Mbit/s → picture size, strength of the noise that fills the rate, and the video's share of the rate. At a low
rate, tables and PCRs take a larger share."""


class Clip(msgspec.Struct, frozen=True):
    """A clip and its constant rate, measured by its own PCRs."""

    path: Path
    bytes_per_s: float
    null_share: float


def clip(rate_mbit: int) -> Clip:
    """Return the clip of *rate_mbit*; make it if it does not exist."""
    recipe = hashlib.sha256(" ".join(_command(rate_mbit, Path())[1:]).encode()).hexdigest()[:8]
    path = CACHE / f"clip-{rate_mbit}mbit-{recipe}.ts"
    what = f"making the clip of {rate_mbit} Mbit/s"
    make_once(path, lambda partial: _command(rate_mbit, partial), what=what, timeout_s=180)
    bytes_per_s, null_share = examine(path.read_bytes())
    if null_share > MAX_NULL_SHARE:
        raise BenchError(
            f"{path.name}: {null_share:.1%} null packets; above {MAX_NULL_SHARE:.0%} the senders cannot be compared"
        )
    return Clip(path, bytes_per_s, null_share)


def _command(rate_mbit: int, target: Path) -> list[str]:
    size, noise, share = _RECIPES[rate_mbit]
    video = round(rate_mbit * 1_000_000 * share)
    gop = GOP_S * FPS
    picture = f"testsrc2=size={size}:rate={FPS},noise=alls={noise}:allf=t"
    return [
        imageio_ffmpeg.get_ffmpeg_exe(),
        *f"-nostdin -v error -y -f lavfi -i {picture} -t {CLIP_S} -pix_fmt yuv420p".split(),
        *f"-c:v libx264 -preset ultrafast -g {gop} -keyint_min {gop} -sc_threshold 0".split(),
        *f"-b:v {video} -minrate {video} -maxrate {video} -bufsize {video // 2} -x264-params nal-hrd=cbr".split(),
        *f"-f mpegts -muxrate {rate_mbit * 1_000_000} -pcr_period 20 -pat_period 0.1 {target}".split(),
    ]


def examine(data: bytes) -> tuple[float, float]:
    """Return the bytes a second of *data* by its first and last PCR, and its share of null packets (0 to 1)."""
    pcrs: list[tuple[int, int]] = []
    nulls = 0
    for start in range(0, len(data) - PACKET_BYTES + 1, PACKET_BYTES):
        packet = data[start : start + PACKET_BYTES]
        nulls += pid_of(packet) == NULL_PID
        pcr = read_pcr(packet)
        if pcr is not None:
            pcrs.append((start, pcr))
    if len(pcrs) < 2 or pcrs[-1][1] <= pcrs[0][1]:
        raise BenchError("a clip needs two PCRs, the second after the first")
    (first, begin), (last, end) = pcrs[0], pcrs[-1]
    return (last - first) * PCR_HZ / (end - begin), nulls * PACKET_BYTES / len(data)
