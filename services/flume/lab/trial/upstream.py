"""What a relay had lost when it sent: its own stream laid beside the one that it was sent. Pure.

A relay numbers anew what it passes on, so datagrams are recognised by their transport packets. What it was sent between
two datagrams that it sent one after the other, and did not send, was lost before it, or by it. Such datagrams are put
into the stream of its client at the places that they would have had: frames are then due as the origin sent them, and
each that lacks one of these has a cause.
"""

import math
from bisect import bisect_right, insort
from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import pairwise
from typing import NamedTuple

from flume.lab.evidence.facts import MediaDatagram, Refusal
from flume.lab.trial.flows import Flow
from flume.lab.trial.numbering import passed_between
from flume.lab.trial.windows import ActiveWindow

_CLOCK_S = 0.001
"""A relay sends nothing before it was sent it, but for this: how far apart two captures of one clock may stamp."""


class Upstream(NamedTuple):
    """What was lost of the stream of one client before its relay sent it."""

    relay: str
    flow: Flow
    """The client's, with those that were lost at their places in ``allowed``, each at a time between its neighbours."""
    lost: tuple[MediaDatagram, ...]
    """Those, in the order of time."""
    before: Mapping[int, int]
    """A datagram's id() to how many of them there are just before it."""
    origin: Mapping[int, MediaDatagram]
    """The id() of a datagram of ``flow.allowed`` to the same one where the first server of all sent it."""
    kept: int
    """How many of the lost ones had reached the relay's interface."""
    excused: int
    """How many the relay may have kept: its firewall and its kernel dropped them, or they came too late for it."""
    strange: int
    """Numbered datagrams of the windows that the relay had not been sent."""


class RelayStream:
    """The stream of a relay's windows, as it was sent to the relay, and what of it reached the relay."""

    def __init__(
        self,
        name: str,
        flow: Flow,
        came: Set[int] | None,
        *,
        excused: int,
        apart_s: float = 0.0,
        above: Upstream | None = None,
    ) -> None:
        """*flow* is the relay's as a client, *came* the id() of those that reached its interface; None: all did.

        *excused* is how many of these the relay may have kept, *above* what had been lost before they were sent to it.
        *apart_s* is by how much the clocks of the two captures may differ, where two hosts made them.
        """
        self.name = name
        self.excused = excused
        self._apart_s = _CLOCK_S + apart_s
        self._sent = list(_once(flow.allowed))
        self._times_s = [one.time_s for one in self._sent]
        self._at: dict[bytes, list[int]] = {}
        for position, one in enumerate(self._sent):
            self._at.setdefault(one.content, []).append(position)
        self._came = came
        self._origin: Mapping[int, MediaDatagram] = {} if above is None else above.origin

    def of(self, position: int) -> MediaDatagram:
        """Return the datagram at *position*."""
        return self._sent[position]

    def origin_of(self, position: int) -> MediaDatagram:
        """Return the datagram at *position* as the first server of all sent it."""
        one = self._sent[position]
        return self._origin.get(id(one), one)

    def came(self, position: int) -> bool:
        """Whether the datagram at *position* reached the relay's interface."""
        return self._came is None or id(self._sent[position]) in self._came

    def places(self, sent: Sequence[MediaDatagram]) -> list[int | None]:
        """Return the position of each of *sent*, which left the relay in one window; None for what it was not sent.

        Datagrams that are alike (all of them padding) have that which goes on behind the one before.
        """
        found: list[int | None] = []
        last: int | None = None
        for one in sent:
            until = bisect_right(self._times_s, one.time_s + self._apart_s)
            alike = [at for at in self._at.get(one.content, ()) if at < until] if one.content else []
            if last is None:
                place = alike[-1] if alike else None
            else:
                place = next((at for at in alike if at > last), alike[-1] if alike else None)
            found.append(place)
            last = last if place is None else max(place, -1 if last is None else last)
        return found


def _once(allowed: Sequence[Sequence[MediaDatagram]]) -> Iterator[MediaDatagram]:
    """Yield the datagrams of all windows; a new window may begin with some that were sent before."""
    seen: set[bytes] = set()
    for window in allowed:
        begun = False
        for one in window:
            begun = begun or one.content not in seen
            if begun:
                yield one
        seen.update(one.content for one in window)


def upstream(flow: Flow, relay: RelayStream, refusals: Sequence[Refusal] = ()) -> Upstream:
    """Return what *relay* had lost of the stream of a client, which it sent as *flow*.

    *refusals* are those of its clients' hosts: what the kernel then did not send, the relay had.
    """
    allowed: list[tuple[MediaDatagram, ...]] = []
    lost: list[MediaDatagram] = []
    before: dict[int, int] = {}
    origin: dict[int, MediaDatagram] = {}
    kept = strange = 0
    for window, sent in zip(flow.windows, flow.allowed, strict=True):
        places = relay.places(sent)
        strange += sum(place is None and one.sequence is not None for one, place in zip(sent, places, strict=True))
        origin |= {
            id(one): relay.origin_of(place) for one, place in zip(sent, places, strict=True) if place is not None
        }
        filled: list[MediaDatagram] = list(sent[:1])
        gaps = _gaps(places)
        for number, (earlier, later) in enumerate(pairwise(sent), start=1):
            # What the relay had, and did not send because the client could not take it, is no loss before it.
            is_slow = bool(passed_between(earlier, later)) or later.time_s >= refused_s(window, refusals)
            gone = [place for place in gaps.get(number, ()) if not (is_slow and relay.came(place))]
            for count, place in enumerate(gone, start=1):
                time_s = earlier.time_s + (later.time_s - earlier.time_s) * count / (len(gone) + 1)
                one = _instead(relay.of(place), time_s, later)
                filled.append(one)
                lost.append(one)
                origin[id(one)] = relay.origin_of(place)
                kept += relay.came(place)
            if gone:
                before[id(later)] = len(gone)
            filled.append(later)
        allowed.append(tuple(filled))
    whole = flow._replace(allowed=tuple(allowed))
    return Upstream(relay.name, whole, tuple(lost), before, origin, kept, relay.excused, strange)


def refused_s(window: ActiveWindow, refusals: Sequence[Refusal]) -> float:
    """Return from when on the client's host refused the datagrams of *window*; infinite where it never did."""
    times_s = (one.time_s for one in refusals if one.media in window.endpoints and one.time_s >= window.opened_s)
    return min(times_s, default=math.inf)


def _gaps(places: Sequence[int | None]) -> dict[int, list[int]]:
    """Return which positions *places* lack, by the number of the datagram before which they belong.

    >>> _gaps([4, 5, None, 8, 7, 11])
    {3: [6], 5: [9, 10]}
    """
    known = [place for place in places if place is not None]
    if not known:
        return {}
    passed, found = set(known), dict[int, list[int]]()
    highest = known[0]
    for number, place in enumerate(places):
        if place is None or place <= highest:
            continue
        for missing in range(highest + 1, place):
            if missing not in passed:
                insort(found.setdefault(number, []), missing)
        highest = place
    return found


def _instead(lost: MediaDatagram, time_s: float, later: MediaDatagram) -> MediaDatagram:
    """Return *lost* as the relay would have sent it before *later*. It has no number: nothing says which."""
    return lost._replace(
        time_s=time_s, source=later.source, destination=later.destination, sequence=None, timestamp=None, offset=None
    )
