"""What one client could see of one session, beside what it was sent."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from flume.lab.pictures import decoding
from flume.lab.pictures.decoding import Frame
from flume.lab.pictures.figures import Seen, badness
from flume.lab.pictures.frames import PTS_MODULUS
from flume.lab.pictures.scoring import DB_MOST, Scores
from flume.lab.pictures.sent import Bench, SentStream

_DECODING_SHARE = 0.3
"""Of the time. The rest is for comparing."""


class Worst(NamedTuple):
    """The worst of the frames that were decodable and are not as they were sent."""

    badness: float
    """The lower, the worse."""
    sent_s: float
    sent: Path
    shown: Path
    pid: int
    pts: int


class Watched(NamedTuple):
    """One session as a viewer saw it."""

    seen: list[Seen]
    worst: Worst | None


def watch(
    sent: SentStream, due: dict[int, float], received: Path, bench: Bench, tell: Callable[[float], None]
) -> Watched:
    """Return how the frames *due*, a PTS with the time in seconds at which it was sent, look in the file *received*.

    A frame that is not decodable even from what was sent is not due. *tell* gets the share that is done. Raises
    :class:`~flume.errors.LabError`.
    """
    due = {pts: sent_s for pts, sent_s in due.items() if pts in sent.frames}
    shown = _decode(sent, received, len(due), bench, tell)
    comparable = [pts for pts in sent.order if pts in shown and shown[pts].bytes == sent.frames[pts].bytes]
    identical = {pts for pts in comparable if pts in due and shown[pts].digest == sent.frames[pts].digest}
    damaged = {pts for pts in comparable if pts in due} - identical
    order = comparable, sorted({*shown, *sent.order})
    scores = bench.scores(
        sent.pair(received), damaged, order, lambda share: tell(_DECODING_SHARE + (1 - _DECODING_SHARE) * share)
    )
    scores |= {pts: Scores(vmaf, 1.0, DB_MOST, DB_MOST) for pts, vmaf in sent.vmaf_alike(identical).items()}
    seen = [
        Seen(
            sent_s,
            scores.get(pts),
            is_identical=pts in identical,
            counters=(sent.frames[pts].counter, shown[pts].counter if pts in shown else None),
        )
        for pts, sent_s in due.items()
    ]
    worst = min(damaged, key=lambda pts: (badness(scores[pts]), pts), default=None)
    if worst is None:
        return Watched(seen, None)
    pts = (worst + sent.base) % PTS_MODULUS
    return Watched(seen, Worst(badness(scores[worst]), due[worst], sent.path, received, sent.pid, pts))


def _decode(
    sent: SentStream, received: Path, expected: int, bench: Bench, tell: Callable[[float], None]
) -> dict[int, Frame]:
    if received.stat().st_size == 0:
        return {}

    def progress(done: int) -> None:
        tell(_DECODING_SHARE * min(1.0, done / max(1, expected)))

    return {
        sent.since(frame.pts): frame for frame in decoding.decode(received, sent.pid, bench.folder, progress=progress)
    }
