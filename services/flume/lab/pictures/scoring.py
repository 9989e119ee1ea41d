"""Compares decoded frames by ffmpeg's filters: VMAF, SSIM, PSNR and XPSNR, of luma alone, as VMAF sees it.

Frames that are equal in every pixel are not compared. Their SSIM is 1, and their PSNR and XPSNR, which are infinite,
count as 100 dB. Their VMAF is what libvmaf gives for the frame beside itself, which is not always 100: with VIF and ADM
at 1 it depends on the motion alone. Measured with vmaf_v0.6.1: 97.43 without motion, 97.48 at a motion of 0.04, 98.08
at 0.47, and 100 from 2 to 24. So equal frames with a motion of 3 and more (by ffmpeg's vmafmotion) count as 100, and
libvmaf compares the others with themselves, once for all clients.
"""

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from flume.errors import LabError
from flume.lab import ffmpeg
from flume.lab.pictures.decoding import INPUT_OPTIONS
from flume.lab.pictures.frames import PTS_MODULUS

DB_MOST = 100.0
"""PSNR and XPSNR of equal frames, and the most that any frame is given."""
MOTION_OF_100 = 3.0
"""From this motion on, to the frame before and to the frame after, a frame beside itself has VMAF 100, see above."""
BEFORE, AFTER = 2, 1
"""Frames that are compared beside those asked for, because their scores depend on them: VMAF takes the motion from the
frame before and to the frame after, XPSNR looks at two frames before."""
_STALLED_S = 600.0
"""Frames that were not asked for are decoded too, without a word of progress."""
_SSIM, _PSNR, _XPSNR = _KEYS = ("lavfi.ssim.Y", "lavfi.psnr.psnr.y", "lavfi.xpsnr.xpsnr.y")
"""What the filters write beside each frame: of luma."""
_PTS = re.compile(r"^frame:\d+\s+pts:(-?\d+)")


class Scores(NamedTuple):
    """How one frame looks beside the one sent; None: this ffmpeg has no such filter."""

    vmaf: float | None
    ssim: float | None
    psnr_db: float | None
    xpsnr_db: float | None


class Pair(NamedTuple):
    """Two files of the same video: the frames shown and the frames sent."""

    shown: Path
    sent: Path
    pid: int
    """Of the video, in both."""
    base: int
    """The PTS from which all others count, in both."""


def with_neighbours(wanted: set[int], common: Sequence[int]) -> set[int]:
    """Return *wanted* and those of *common*, in the order of time, on which the scores of *wanted* depend.

    >>> sorted(with_neighbours({40}, [0, 10, 20, 30, 40, 50, 60]))
    [20, 30, 40, 50]
    """
    near = set(wanted)
    for at, pts in enumerate(common):
        if pts in wanted:
            near.update(common[max(0, at - BEFORE) : at + AFTER + 1])
    return near


def runs(wanted: set[int], everything: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the runs of *wanted* as pairs of first and last PTS; *everything*: all PTS of both files, in order.

    >>> list(runs({10, 20, 40}, [0, 10, 20, 30, 40]))
    [(10, 20), (40, 40)]
    """
    first: int | None = None
    last = 0
    for pts in everything:
        if pts in wanted:
            first = pts if first is None else first
            last = pts
        elif first is not None:
            yield first, last
            first = None
    if first is not None:
        yield first, last


def score(
    pair: Pair,
    wanted: set[int],
    everything: Sequence[int],
    *,
    have: frozenset[str],
    folder: Path,
    threads: int,
    progress: ffmpeg.Progress | None = None,
) -> dict[int, Scores]:
    """Return the scores of the frames *wanted*, which both files have, by PTS.

    All PTS are in units of 1/90000 s. *everything*: those of both files, rising. *have*: ffmpeg's filters. Raises
    :class:`~flume.errors.LabError`, also where ffmpeg paired other frames than these.
    """
    if not wanted:
        return {}
    select = _select(list(runs(wanted, everything)), pair.base)
    (folder / "graph.txt").write_text(_graph(pair.pid, select, have, threads))
    arguments = ["-max_error_rate", "1"]
    for path in (pair.shown, pair.sent):
        arguments += [*INPUT_OPTIONS, "-reinit_filter", "0", "-f", "mpegts", "-i", str(path)]
    arguments += ["-/filter_complex", "graph.txt", "-map", "[out]", "-fps_mode", "passthrough", "-f", "null", "-"]
    if "libvmaf" in have:
        arguments += ["-map", "[vmaf]", "-fps_mode", "passthrough", "-f", "null", "-"]
    outputs = [folder / name for name in ("graph.txt", "scores.txt", "vmaf.json")]
    try:
        ffmpeg.run(
            arguments,
            doing=f"compare {pair.shown.name} with {pair.sent.name}",
            progress=progress,
            folder=folder,
            stalled_s=_STALLED_S,
        )
        found = _by_pts(folder / "scores.txt", pair.base)
        vmaf = _vmaf(folder / "vmaf.json") if "libvmaf" in have else [None] * len(found)
    finally:
        for output in outputs:
            output.unlink(missing_ok=True)
    if set(found) != wanted or len(vmaf) != len(found):
        raise LabError(f"ffmpeg compared {len(found)} frames of {pair.shown.name}, and not the {len(wanted)} asked for")
    return {pts: scores._replace(vmaf=value) for (pts, scores), value in zip(found.items(), vmaf, strict=True)}


def _select(ranges: Sequence[tuple[int, int]], base: int) -> str:
    """Return the filter that lets the frames of *ranges* pass, each once; they count from *base*, modulo 2^33."""
    half = PTS_MODULUS // 2
    since = f"st(0,mod(pts-{base}+{half},{PTS_MODULUS})-{half})*0"
    rising = "(isnan(prev_selected_pts)+gt(pts,prev_selected_pts))"
    inside = "+".join(f"between(ld(0),{first},{last})" for first, last in ranges)
    return f"select='{since}+{rising}*({inside})'"


def _graph(pid: int, select: str, have: frozenset[str], threads: int) -> str:
    chain = [name for name in ("psnr", "ssim", "xpsnr") if name in have]
    vmaf = "libvmaf" in have
    lines = [
        f"[0:i:{pid}]{select},split={1 + vmaf}[shown]{'[shown_vmaf]' * vmaf}",
        f"[1:i:{pid}]{select},split={len(chain) + vmaf}{''.join(f'[sent_{n}]' for n in chain)}{'[sent_vmaf]' * vmaf}",
    ]
    last = "shown"
    for name in chain:
        lines.append(f"[{last}][sent_{name}]{name}=eof_action=endall[{name}]")
        last = name
    lines.append(f"[{last}]metadata=print:file=scores.txt[out]")
    if vmaf:
        options = f"log_path=vmaf.json:log_fmt=json:n_threads={threads}:eof_action=endall"
        lines.append(f"[shown_vmaf][sent_vmaf]libvmaf={options}[vmaf]")
    return ";\n".join(lines)


def _by_pts(path: Path, base: int) -> dict[int, Scores]:
    found: dict[int, dict[str, float]] = {}
    current: dict[str, float] = {}
    half = PTS_MODULUS // 2
    with path.open() as lines:
        for line in lines:
            if (match := _PTS.match(line)) is not None:
                current = found.setdefault((int(match[1]) - base + half) % PTS_MODULUS - half, {})
            else:
                key, _, value = line.strip().partition("=")
                if key in _KEYS:  # a frame may have others of its own, such as a time code
                    current[key] = float(value)
    return {
        pts: Scores(None, values.get(_SSIM), _db(values, _PSNR), _db(values, _XPSNR)) for pts, values in found.items()
    }


def _db(values: dict[str, float], key: str) -> float | None:
    value = values.get(key)
    return None if value is None else min(DB_MOST, DB_MOST if math.isnan(value) else value)


class _Metrics(msgspec.Struct):
    vmaf: float


class _Frame(msgspec.Struct):
    metrics: _Metrics


class _Log(msgspec.Struct):
    frames: list[_Frame]


def _vmaf(path: Path) -> list[float | None]:
    try:
        return [frame.metrics.vmaf for frame in msgspec.json.decode(path.read_bytes(), type=_Log).frames]
    except (OSError, msgspec.DecodeError) as error:
        raise LabError(f"libvmaf wrote no log that can be read: {error}") from error
