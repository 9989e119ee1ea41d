"""The figures of a report from the scores of frames. Pure."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from flume.lab.pictures.scoring import Scores
from flume.lab.trial.measures import PictureFigures, Quality, Series

PICTURES = "pictures"
"""The key in :attr:`~flume.lab.trial.measures.Measures.not_measured`."""


class Seen(NamedTuple):
    """One frame that was sent to a client in full."""

    sent_s: float
    """When its first datagram left, in seconds from the run's start."""
    scores: Scores | None
    """None: it was not decodable from what arrived."""
    is_identical: bool = False
    counters: tuple[int | None, int | None] = (None, None)
    """The number burnt into the frame sent, and that in the frame shown."""


def quality(values: Sequence[float | None], digits: int) -> Quality | None:
    """Return the quality of frames; None where one was not measured, or there is none.

    The fifth percentile is the greatest value below which at most one frame in twenty lies (nearest rank).

    >>> quality([float(n) for n in range(1, 41)], 2)
    Quality(mean=20.5, p5=2.0, least=1.0)
    """
    known = sorted(value for value in values if value is not None)
    if not known or len(known) < len(values):
        return None
    rank = max(1, math.ceil(0.05 * len(known)))
    mean = math.fsum(known) / len(known)
    return Quality(mean=round(mean, digits), p5=round(known[rank - 1], digits), least=round(known[0], digits))


def figures(frames: Sequence[Seen]) -> PictureFigures:
    """Return the figures of all *frames* of one client; those that were not decodable are part of no mean."""
    scores = [frame.scores for frame in frames if frame.scores is not None]
    read = [frame.counters for frame in frames if frame.scores is not None and None not in frame.counters]
    return PictureFigures(
        compared=len(scores),
        identical=sum(frame.is_identical for frame in frames),
        not_decodable=len(frames) - len(scores),
        counters_read=len(read),
        counters_differ=sum(sent != shown for sent, shown in read),
        vmaf=quality([one.vmaf for one in scores], 2),
        ssim=quality([one.ssim for one in scores], 5),
        psnr_db=quality([one.psnr_db for one in scores], 2),
        xpsnr_db=quality([one.xpsnr_db for one in scores], 2),
    )


def badness(scores: Scores) -> float:
    """Return the value by which the worst frame is the lowest: VMAF, or SSIM where there is no VMAF."""
    return scores.vmaf if scores.vmaf is not None else scores.ssim or 0.0


def with_vmaf(series: Series, frames: Sequence[Seen]) -> Series:
    """Return *series* with the lowest VMAF of the frames sent in each bin."""
    lowest: list[float | None] = [None] * len(series.rate_kbit)
    for frame in frames:
        place = int(frame.sent_s / series.bin_s)
        if frame.scores is not None and frame.scores.vmaf is not None and 0 <= place < len(lowest):
            before = lowest[place]
            vmaf = round(frame.scores.vmaf, 2)
            lowest[place] = vmaf if before is None else min(before, vmaf)
    return msgspec.structs.replace(series, vmaf=lowest)
