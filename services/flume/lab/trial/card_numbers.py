"""Which number of the test card each frame of the stream shows. Pure.

The judge does not decode pictures. It knows the order of the frames in the stream, from the server's tap, and the
numbers of displayed pictures, from the players' records. The card's numbers rise by one a frame, and begin again at 0
with the file. So one *offset* between order and number explains all that was ever displayed. It is voted on: the first
picture after the beginning of a window is the frame with which the window began. Every other number is then compared
with it, so that a player which claims a number that was not sent, or not yet, is found out.
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from flume.lab.evidence.facts import MediaDatagram, Shown
from flume.lab.trial.frames import Frame
from flume.measures.rtp import extend

NO_LOOP = 1 << 16
"""The card's number has 16 bits."""
LONGEST_LAG_S = 10.0
"""A frame is displayed within this long after it was sent: the buffers of a client hold a second or two."""
_CANDIDATES = 10
_LOOKED_AT = 5
"""Pictures after the beginning of a window of which one may be its first frame."""
_LAST_NUMBERS = 4
"""Numbers before the card's end that are tried."""
_SAMPLE = 300
"""At most so many pictures of each client, by which candidates are compared: none has more weight than others."""
_LONGEST_GROUP = 250
_NEAR = 100
"""The numbers of two pictures one after the other differ by less, unless the card began again or one was misread."""
LEAST_NUMBERED = 0.01
"""Share of pictures with a number that at least half of the clients reach. A video without the card has none. Of the
card's pictures 4 % were readable on a link that lost half of the datagrams, and each whole keyframe brings one."""


class Place(NamedTuple):
    """A frame's place in the stream."""

    stretch: int
    """A stretch of the stream of which every datagram was sent to some client. Others have no common order."""
    rank: int
    """How many frames of the stretch come before it."""


class Places:
    """The frames of the whole stream in their order, whoever they were sent to."""

    def __init__(self, media: Iterable[MediaDatagram]) -> None:
        """Order *media*, the datagrams at the server's tap in the order of time; those without a number have none."""
        begun: dict[tuple[int, int], int] = {}
        near: dict[int, int] = {}
        self._keys: dict[int, tuple[int, int]] = {}
        """From a datagram's id() to its SSRC and extended number."""
        for one in media:
            if one.sequence is None or one.ssrc is None:
                continue
            number = extend(one.sequence, near.get(one.ssrc, one.sequence))
            near[one.ssrc] = max(number, near.get(one.ssrc, number))
            self._keys[id(one)] = key = (one.ssrc, number)
            begun[key] = max(begun.get(key, 0), one.video_frames_started)
        self._places: dict[tuple[int, int], Place] = {}
        stretch, rank, last = -1, 0, None
        for key in sorted(begun):
            if last is None or key != (last[0], last[1] + 1):
                stretch, rank = stretch + 1, 0
            self._places[key] = Place(stretch, rank)
            rank += begun[key]
            last = key

    def of(self, frame: Frame) -> Place | None:
        """Return the place of *frame*, one of the datagrams' given; None where they have no numbers."""
        key = self._keys.get(id(frame.datagrams[0]))
        if key is None:
            return None
        place = self._places[key]
        return place._replace(rank=place.rank + frame.order)


class Seen(NamedTuple):
    """What one client was sent, and what its player displayed."""

    frames: Sequence[Frame]
    places: Sequence[Place | None]
    shown: Sequence[Shown]


class Numbers(NamedTuple):
    """The number that each place shows."""

    loop: int
    """After how many frames the card begins again; :data:`NO_LOOP` where that was never displayed."""
    offsets: dict[int, int]
    """Stretch to the number of its first frame."""

    def of(self, place: Place | None) -> int | None:
        """Return the number of the frame at *place*; None where it is not known.

        >>> Numbers(1500, {0: 1490}).of(Place(0, 12))
        2
        """
        if place is None or place.stretch not in self.offsets:
            return None
        return (self.offsets[place.stretch] + place.rank) % self.loop


def card_numbers(clients: Sequence[Seen]) -> Numbers | None:
    """Return the numbers that explain best what the players of *clients* displayed.

    None: the pictures show no numbers, because the video is one's own. Numbers that do not fit are not explained away:
    a player that claims them is found out when its pictures are placed.
    """
    views = [_View(seen) for seen in clients]
    shares = [len(view.pictures) / len(seen.shown) for view, seen in zip(views, clients, strict=True) if seen.shown]
    if not any(shares) or 2 * sum(share >= LEAST_NUMBERED for share in shares) < len(shares):
        return None
    group = _longest_group(views)
    # Where the card began again, the last frames before its end may never have been displayed. Where it only seems so,
    # by a number that was misread, no loop explains as much; of equals the first one is taken.
    loops = dict.fromkeys([NO_LOOP, *(last + step for last in _last_numbers(views) for step in range(1, group + 1))])
    return max((_explain(views, loop, group) for loop in loops), key=lambda one: _score(views, one, group))


class _View:
    """One client's frames by place, and its pictures with a number."""

    def __init__(self, seen: Seen) -> None:
        self.pictures = [(one.time_s, one.number) for one in seen.shown if one.number is not None]
        self.sample = self.pictures[:: max(1, math.ceil(len(self.pictures) / _SAMPLE))]
        self.begun: dict[int, dict[int, float]] = {}
        """Stretch → rank → when the frame left."""
        self.last: dict[int, int] = {}
        """Stretch → the highest rank."""
        self.firsts: list[tuple[Place, float, bool]] = []
        """Of each window: the place of its first frame, when it left, and whether it is an entry."""
        self.entries: list[Place] = []
        window = -1
        for frame, place in zip(seen.frames, seen.places, strict=True):
            if place is None:
                continue
            is_entry = frame.datagrams[0].is_entry and frame.order == 0
            self.begun.setdefault(place.stretch, {})[place.rank] = frame.begun_s
            if frame.window != window:
                self.firsts.append((place, frame.begun_s, is_entry))
                window = frame.window
            if is_entry:
                self.entries.append(place)
            self.last[place.stretch] = max(place.rank, self.last.get(place.stretch, 0))

    def last_numbers(self) -> Iterator[int]:
        """Yield the number before each new beginning of the card. One number that was misread makes none.

        A stretch of the stream has numbers of its own: where they are lower because another one began (the server was
        restarted, or sent to no client for a while), nothing says where the card ends.
        """
        anew_s = [begun_s for (last, *_), (place, begun_s, _) in pairwise(self.firsts) if place.stretch != last.stretch]
        shown = self.pictures
        for (_, before), (_, last), (time_s, first), (_, behind) in zip(
            shown, shown[1:], shown[2:], shown[3:], strict=False
        ):
            if before <= last <= before + _NEAR and first < last - 1 and first <= behind <= first + _NEAR:
                if anew_s and anew_s[0] <= time_s:
                    anew_s.pop(0)
                else:
                    yield last

    def votes(self, group: int) -> Iterator[tuple[int, int]]:
        """Yield stretch and offset for the first pictures after the beginning of each window."""
        times = [time_s for time_s, _ in self.pictures]
        for place, begun_s, is_entry in self.firsts:
            at = bisect_right(times, begun_s)
            for _, number in self.pictures[at : at + _LOOKED_AT]:
                yield place.stretch, number - place.rank
                if is_entry:  # Its first frames may be lost. The card's entries are at multiples of their distance.
                    yield place.stretch, number - number % group - place.rank

    def fits(self, numbers: Numbers) -> int:
        """Return how many pictures of its sample are frames that it was sent shortly before, in rising order.

        Frames are placed in that order. A card that goes back in mid-stream must not look explained.
        """
        ends: list[tuple[int, int]] = []
        for time_s, number in self.sample:
            place = self._place(time_s, number, numbers)
            if place is not None:
                at = bisect_left(ends, place)
                ends[at : at + 1] = [place]
        return len(ends)

    def _place(self, time_s: float, number: int, numbers: Numbers) -> tuple[int, int] | None:
        """Return the latest stretch and rank with *number* that had been sent by *time_s*, and not long before."""
        found = None
        for stretch, offset in numbers.offsets.items() if number < numbers.loop else ():
            begun = self.begun.get(stretch, {})
            for rank in range((number - offset) % numbers.loop, self.last.get(stretch, -1) + 1, numbers.loop):
                if 0 <= time_s - begun.get(rank, math.inf) <= LONGEST_LAG_S:
                    found = max(found or (stretch, rank), (stretch, rank))
        return found


def _last_numbers(views: Sequence[_View]) -> list[int]:
    """Return the numbers before the card's end that may be true, those that most clients displayed first.

    One client's highest number alone would decide for all, and it may be misread or a lie.
    """
    clients = Counter[int]()
    for view in views:
        if named := Counter(view.last_numbers()):
            clients.update({max(named), max(named, key=lambda last: (named[last], last))})
    return sorted(clients, key=lambda last: (-clients[last], -last))[:_LAST_NUMBERS]


def _longest_group(views: Sequence[_View]) -> int:
    """Return the frames between two entries of the stream, as most of them are apart; at least 1."""
    steps = Counter(
        b.rank - a.rank
        for view in views
        for a, b in pairwise(view.entries)
        if a.stretch == b.stretch and b.rank > a.rank
    )
    return min(steps.most_common(1)[0][0], _LONGEST_GROUP) if steps else 1


def _explain(views: Sequence[_View], loop: int, group: int) -> Numbers:
    """Return the offsets that win the votes, for a card of *loop* frames."""
    votes: dict[int, Counter[int]] = {}
    for view in views:
        for stretch, offset in view.votes(group):
            votes.setdefault(stretch, Counter())[offset % loop] += 1
    offsets: dict[int, int] = {}
    for stretch, counted in votes.items():
        ranked = [Numbers(loop, {stretch: offset}) for offset, _ in counted.most_common(_CANDIDATES)]
        offsets |= max(ranked, key=lambda one: _score(views, one, group)).offsets
    return Numbers(loop, offsets)


def _score(views: Sequence[_View], numbers: Numbers, group: int) -> tuple[int, float]:
    """Return how many pictures fit, and then the share of entries that are at a multiple of *group*."""
    fitting = sum(view.fits(numbers) for view in views)
    entries = [number for view in views for place in view.entries if (number := numbers.of(place)) is not None]
    aligned = sum(number % group == 0 for number in entries)
    return fitting, aligned / max(1, len(entries))
