"""Who receives: an immutable roster that control replaces and the sender reads once a tick.

There is no lock. Control builds a new tuple and binds it to one attribute, which CPython does in a single
step; the sender takes one reference and works through it. The *generation* tells control when the sender has
let go of every older roster: that is what makes an acknowledgement a promise.
"""

import socket
from collections import Counter
from typing import NamedTuple

from flume.settings import PayloadKind


class Recipient:
    """One window of delivery to one client. Control makes it; from then on the sender thread owns its fields."""

    __slots__ = (
        "batches",
        "cursor",
        "datagrams",
        "drops",
        "last_index",
        "payload",
        "refused",
        "segmentation",
        "socket",
    )

    def __init__(self, media: socket.socket, *, payload: PayloadKind, start: int, segmentation: bool) -> None:
        """Deliver from index *start* over the connected, non-blocking socket *media*."""
        self.socket = media
        self.payload = payload
        self.segmentation = segmentation
        self.cursor = start
        """Index of the next datagram to send."""
        self.last_index: int | None = None
        """Index of the last datagram that the kernel took."""
        self.datagrams = 0
        self.batches = 0
        self.drops: Counter[str] = Counter()
        self.refused = False


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
