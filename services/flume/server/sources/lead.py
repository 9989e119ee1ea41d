"""The datagrams that were read and are not sent yet: a queue between the ingest thread and the sender thread.

There is no lock. The ingest thread appends and clears, the sender thread takes, and each step is one operation of
``deque``, or the binding of one attribute.
"""

import itertools
from collections import deque
from collections.abc import Iterable

from flume.media.datagrams import Datagram


class Lead:
    """Datagrams in the order of their due times.

    :meth:`take` belongs to the sender thread, :meth:`extend` and :meth:`clear` to the ingest thread.

    Example::

        lead.extend(packetizer.feed_untrusted(data))  # ingest thread
        due = lead.take(until_s=12.5)  # sender thread
    """

    def __init__(self) -> None:
        """Begin empty."""
        self.epoch = 0
        """Epoch of the stream. A new value makes earlier datagrams invalid as join points: a live source was stopped,
        or PAT or PMT changed. Two threads write it; values never repeat."""
        self._epochs = itertools.count(1)
        self._queue: deque[Datagram] = deque()
        self._announced: Datagram | None = None

    def __len__(self) -> int:
        """Return how many datagrams wait."""
        return len(self._queue)

    def extend(self, datagrams: Iterable[Datagram]) -> None:
        """Append *datagrams*."""
        self._queue.extend(datagrams)

    def clear(self) -> list[Datagram]:
        """Drop all that waits, and return it, and begin another epoch."""
        dropped, self._queue = self._queue, deque()  # the sender thread may be taking from the old one
        self.epoch = next(self._epochs)
        return list(dropped)  # one step: no other thread runs meanwhile

    def take(self, until_s: float) -> list[Datagram]:
        """Return, in order, the datagrams due up to stream time *until_s*, in seconds. Never waits.

        Stops before a datagram with new tables and changes :attr:`epoch`; the next call returns that datagram. So the
        sender learns of the epoch before it has the datagram, and no client joins at an earlier one and receives it.
        """
        queue = self._queue
        taken: list[Datagram] = []
        while queue and queue[0].due_s <= until_s:
            head = queue[0]
            if head.new_tables and head is not self._announced:
                self._announced = head
                self.epoch = next(self._epochs)
                break
            taken.append(queue.popleft())
        return taken

    def head_s(self) -> float | None:
        """Return the stream time of the next datagram, ``None`` while there is none."""
        try:
            return self._queue[0].due_s
        except IndexError:
            return None

    def seconds(self) -> float:
        """Return how many seconds of stream wait, from the first datagram to the last."""
        queue = self._queue
        try:
            return queue[-1].due_s - queue[0].due_s
        except IndexError:
            return 0.0
