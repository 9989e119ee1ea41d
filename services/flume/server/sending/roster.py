"""Who receives: an immutable roster that control replaces and the sender reads once a tick.

There is no lock. Control builds a new tuple and binds it to one attribute, which CPython does in a single
step; the sender takes one reference and works through it. The *generation* tells control when the sender has
let go of every older roster: that is what makes an acknowledgement a promise.
"""

import socket
from collections import Counter
from typing import NamedTuple, Protocol

from flume.settings import PayloadKind


class Tally(NamedTuple):
    """What was sent: replaced as a whole, so that another thread never sees half of a change."""

    datagrams: int = 0
    batches: int = 0
    last_index: int | None = None
    """Index of the last datagram that the kernel took."""

    def plus(self, count: int, last_index: int) -> "Tally":
        """Return it with one more batch, of *count* datagrams up to *last_index*."""
        return Tally(self.datagrams + count, self.batches + 1, last_index)


class Company(Protocol):
    """A group whose members are all sent the same, and counted once for all."""

    @property
    def tally(self) -> Tally:
        """What every member was sent since the group began."""


class Recipient:
    """One window of delivery to one client. Control makes it; from then on the sender thread owns its fields."""

    __slots__ = (
        "_share",
        "cursor",
        "doubts",
        "drops",
        "fallbacks",
        "payload",
        "probation",
        "refused",
        "segmentation",
        "socket",
        "turn",
    )

    def __init__(self, media: socket.socket, *, payload: PayloadKind, start: int, segmentation: bool) -> None:
        """Deliver from index *start* over the connected, non-blocking socket *media*."""
        self.socket = media
        self.payload = payload
        self.segmentation = segmentation
        self.cursor = start
        """Index of the next datagram to send; while it goes with a company, of the first one it shared."""
        self.drops: Counter[str] = Counter()
        self.fallbacks: Counter[str] = Counter()
        """Why its datagrams go out singly."""
        self.refused = False
        self.probation = 0
        """Batches that have to succeed before it may join a company again."""
        self.doubts = 0
        """Refusals of segmentation in a row."""
        self.turn = 0
        """The tick in which it was last served by itself."""
        self._share: tuple[Tally, Company | None, Tally] = (Tally(), None, Tally())

    def count(self, datagrams: int, last_index: int) -> None:
        """A batch of its own has left."""
        self._share = (self.tally.plus(datagrams, last_index), None, Tally())

    def join(self, company: Company) -> None:
        """Be sent what *company* is sent, from now on."""
        self._share = (self.tally, company, company.tally)

    def leave(self) -> None:
        """Be on its own again."""
        self._share = (self.tally, None, Tally())

    @property
    def tally(self) -> Tally:
        """What was sent so far; from any thread."""
        own, company, before = self._share
        if company is None:
            return own
        now = company.tally
        if now.batches == before.batches:
            return own
        return Tally(
            own.datagrams + now.datagrams - before.datagrams,
            own.batches + now.batches - before.batches,
            now.last_index,
        )

    @property
    def datagrams(self) -> int:
        """Datagrams that the kernel took."""
        return self.tally.datagrams

    @property
    def batches(self) -> int:
        """Sends that carried them."""
        return self.tally.batches

    @property
    def last_index(self) -> int | None:
        """Index of the last datagram that the kernel took."""
        return self.tally.last_index


class Roster(NamedTuple):
    """An immutable snapshot of who receives."""

    generation: int
    recipients: tuple[Recipient, ...]
    streams: int = 0
    """How many receive over TCP. They are served on the event loop; the sender keeps the ring filled for them."""


class RosterBoard:
    """Where control pins the present roster. Only the control thread calls the methods that change it."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._current = Roster(0, ())

    @property
    def current(self) -> Roster:
        """The present roster; safe from any thread."""
        return self._current

    def add(self, recipient: Recipient) -> Roster:
        """Pin a roster with *recipient* in it and return it."""
        return self._replace((*self._current.recipients, recipient))

    def remove(self, recipient: Recipient) -> Roster:
        """Pin a roster without *recipient* and return it."""
        return self._replace(tuple(other for other in self._current.recipients if other is not recipient))

    def set_streams(self, streams: int) -> Roster:
        """Pin a roster that says how many receive over TCP, and return it."""
        self._current = self._current._replace(generation=self._current.generation + 1, streams=streams)
        return self._current

    def _replace(self, recipients: tuple[Recipient, ...]) -> Roster:
        self._current = self._current._replace(generation=self._current.generation + 1, recipients=recipients)
        return self._current
