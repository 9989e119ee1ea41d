"""The recipients over UDP: an immutable roster that control replaces and the sender thread reads once a tick.

There is no lock. Control builds a new tuple and binds it to one attribute, which CPython does in a single step. The
sender thread takes one reference and works with it for a tick. This is read-copy-update (RCU): each roster has an
*epoch*, and once the sender thread has reported an epoch, no older roster is in use. The time until then is the grace
period. :mod:`.subscriptions` waits for it before a command is acknowledged.
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
    """Ring index of the last datagram that the kernel took."""

    def plus(self, count: int, last_index: int) -> "Tally":
        """Return it with one more batch, of *count* datagrams up to *last_index*.

        >>> Tally(10, 2, 9).plus(3, 12)
        Tally(datagrams=13, batches=3, last_index=12)
        """
        return Tally(self.datagrams + count, self.batches + 1, last_index)


class Group(Protocol):
    """Recipients that are all sent the same, and are counted once for all of them."""

    @property
    def tally(self) -> Tally:
        """What every member was sent since the group began."""


class Recipient:
    """One delivery window of one client over UDP. Control makes it; from then on the sender thread owns its fields.

    The tally may be read from any thread.
    """

    __slots__ = (
        "_share",
        "cursor",
        "drops",
        "fallbacks",
        "payload",
        "probation",
        "refused_cursor",
        "refused_in_row",
        "refused_tick",
        "segmentation",
        "segmentation_refusals",
        "served_tick",
        "socket",
    )

    def __init__(self, media: socket.socket, *, payload: PayloadKind, start: int, segmentation: bool) -> None:
        """Deliver from ring index *start* over the connected, non-blocking socket *media*."""
        self.socket = media
        self.payload = payload
        self.segmentation = segmentation
        self.cursor = start
        """Index of the next datagram to send. In a group: the index at which it joined."""
        self.drops: Counter[str] = Counter()
        self.fallbacks: Counter[str] = Counter()
        """Why its datagrams leave one by one."""
        self.refused_tick = -(1 << 30)
        """The tick in which ICMP port unreachable was last reported."""
        self.refused_in_row = 0
        """Attempts in a row that ended with an error of an ICMP message."""
        self.refused_cursor = -1
        """Index of the next datagram to send after the latest of them; the cursor is another one after a success."""
        self.probation = 0
        """Batches that must succeed before it may join a group again."""
        self.segmentation_refusals = 0
        """Refusals of segmentation in a row."""
        self.served_tick = 0
        """The tick in which it was last served outside a group."""
        self._share: tuple[Tally, Group | None, Tally] = (Tally(), None, Tally())

    def count(self, datagrams: int, last_index: int) -> None:
        """Count a batch that was sent to it alone."""
        self._share = (self.tally.plus(datagrams, last_index), None, Tally())

    def join(self, group: Group) -> None:
        """Count what *group* is sent from now on as sent to it."""
        self._share = (self.tally, group, group.tally)

    def leave(self) -> None:
        """Count only for itself again."""
        self._share = (self.tally, None, Tally())

    @property
    def tally(self) -> Tally:
        """What was sent so far; from any thread."""
        own, group, before = self._share
        if group is None:
            return own
        now = group.tally
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
        """Ring index of the last datagram that the kernel took."""
        return self.tally.last_index


class Roster(NamedTuple):
    """An immutable snapshot of the recipients."""

    epoch: int
    recipients: tuple[Recipient, ...]
    tcp_count: int = 0
    """How many clients receive over TCP. The event loop serves them; the sender thread fills the ring for them."""


class CurrentRoster:
    """Holds the present roster. Only the control thread calls the methods that change it.

    >>> current = CurrentRoster()
    >>> current.set_tcp_count(1)
    Roster(epoch=1, recipients=(), tcp_count=1)
    """

    def __init__(self) -> None:
        """Begin without recipients, at epoch 0."""
        self._roster = Roster(0, ())

    @property
    def roster(self) -> Roster:
        """The present roster; safe from any thread."""
        return self._roster

    def add(self, recipient: Recipient) -> Roster:
        """Publish a roster with *recipient* and return it."""
        return self._replace((*self._roster.recipients, recipient))

    def remove(self, recipient: Recipient) -> Roster:
        """Publish a roster without *recipient* and return it."""
        return self._replace(tuple(other for other in self._roster.recipients if other is not recipient))

    def set_tcp_count(self, tcp_count: int) -> Roster:
        """Publish a roster with another number of clients over TCP, and return it."""
        self._roster = self._roster._replace(epoch=self._roster.epoch + 1, tcp_count=tcp_count)
        return self._roster

    def _replace(self, recipients: tuple[Recipient, ...]) -> Roster:
        self._roster = self._roster._replace(epoch=self._roster.epoch + 1, recipients=recipients)
        return self._roster
