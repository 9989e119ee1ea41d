"""Which misread numbers nothing explains. Pure.

A decoder that lacks a frame draws the ones behind it over the wrong picture, until the next keyframe. The bars there
may be those of an older picture, or parts of two. It lacks a frame because a datagram was lost, because a window's end
cut the frame, or because it skipped the frame: a machine under load has no time for all, and then no datagram is lost.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, groupby, islice

from flume.lab.trial.frames import Frame
from flume.lab.trial.placing import Misfit, Placing


def unexplained(frames: Sequence[Frame], placing: Placing, hit: Mapping[int, str]) -> list[Misfit]:
    """Return the misfits of *placing* that show no damaged picture, in the order of time.

    *hit* has the positions of those of *frames* of which a datagram did not reach the player. Where a number cannot be
    read, the place of a missing frame between its neighbours is not known: any of them may be damaged. But a frame is
    missing before a picture is displayed only if more had been sent than displayed by then, and it damages no more
    pictures than there are from one keyframe to the next.

    >>> from flume.lab.evidence.facts import MediaDatagram, Shown
    >>> from flume.lab.trial.placing import place
    >>> ends = ("198.18.0.2", 5004), ("198.18.0.11", 50000)
    >>> sent = [MediaDatagram(at / 25, *ends, b"", at, 7, 1328, 1) for at in range(5)]
    >>> frames = [Frame(0, (one,), 0, True) for one in sent]
    >>> shown = [Shown(1.0, 5), Shown(1.04, 6), Shown(1.12, 5), Shown(1.16, 9)]
    >>> unexplained(frames, place(frames, [5, 6, 7, 8, 9], shown), {})  # one of two is missing: the other is damaged
    []
    >>> shown = [Shown(1.0, 5), Shown(1.04, 6), Shown(1.08, 7), Shown(1.12, 5), Shown(1.16, 9)]
    >>> unexplained(frames, place(frames, [5, 6, 7, 8, 9], shown), {})
    [Misfit(time_s=1.12, number=5, after=2, before=4, nth=1)]
    """
    damage = _Damage(frames, placing, hit)
    found: list[Misfit] = []
    for (after, before), misfits in groupby(placing.misfits, key=lambda one: (one.after, one.before)):
        room = damage.most_between(after, before)
        for misfit in misfits:
            room -= (is_explained := room > 0 and damage.is_possible(misfit))
            if not is_explained:
                found.append(misfit)
    return found


class _Damage:
    def __init__(self, frames: Sequence[Frame], placing: Placing, hit: Mapping[int, str]) -> None:
        self._frames = frames
        self._groups = list(accumulate(frame.datagrams[0].is_entry for frame in frames))
        """Of each frame: how many keyframes there are up to it."""
        self._lengths = Counter(self._groups)
        self._missing = {at for at, frame in enumerate(frames) if frame.is_whole and at not in placing.shown_s}
        self._struck = {at for at, frame in enumerate(frames) if at in hit or not frame.is_whole}
        self._known = self._up_to_keyframes(self._struck)
        """Frames that are damaged, or may be: from a struck one to the next keyframe."""
        self._exposed = self._up_to_keyframes(self._struck | set(self._runs_with_missing(placing)))

    def _runs_with_missing(self, placing: Placing) -> Iterator[int]:
        """Yield the frames between two whose place is sure, where one of them is missing: which one, is a guess."""
        for is_sure, run in groupby(
            range(len(self._frames)), key=lambda at: at in placing.shown_s and at not in placing.guessed
        ):
            positions = list(run)
            if not is_sure and not self._missing.isdisjoint(positions):
                yield from positions

    def _up_to_keyframes(self, begun: set[int]) -> set[int]:
        """Return the frames *begun*, and behind each of them those before the next keyframe."""
        found, is_damaged = set[int](), False
        for at, frame in enumerate(self._frames):
            is_damaged = at in begun or (is_damaged and not frame.datagrams[0].is_entry)
            if is_damaged:
                found.add(at)
        return found

    def is_possible(self, misfit: Misfit) -> bool:
        """Whether *misfit* may be a picture of a frame that is damaged."""
        if misfit.after in self._exposed:
            return True
        between = range(misfit.after + 1, misfit.before)
        missing = sum(at in self._missing for at in between)
        # It is the nth frame behind the last sure one, or a later one where some are missing.
        furthest = min(misfit.after + misfit.nth + missing, misfit.before, len(self._frames) - 1)
        reached = range(misfit.after + 1, furthest + 1)
        if any(at in self._known and self._has_left(at, misfit.time_s) for at in reached):
            return True
        # The first picture of all is a whole keyframe: a decoder begins with one.
        is_first = misfit.after < 0 and misfit.nth == 1
        sent = sum(self._has_left(at, misfit.time_s) for at in between)
        return missing > 0 and sent > misfit.nth and not is_first

    def _has_left(self, position: int, time_s: float) -> bool:
        return self._frames[position].begun_s <= time_s

    def most_between(self, after: int, before: int) -> int:
        """Return how many pictures between two frames may be damaged: whole groups, one for each that is missing."""
        around = range(max(0, after), min(before + 1, len(self._frames)))
        groups = Counter(self._groups[at] for at in around)
        struck = {self._groups[at] for at in around if at in self._struck or (at == after and at in self._exposed)}
        missing = sum(at in self._missing for at in range(after + 1, before))
        longest = sorted((self._lengths[group] for group in groups if group not in struck), reverse=True)
        return sum(self._lengths[group] for group in struck) + sum(islice(longest, missing))
