"""Whether each datagram that a client received belongs to one of its delivery windows. Pure.

The server names the first number of a window before it sends it, and the last one in the reply that ends it. So a
datagram outside is one that should not have left, however late it comes.
"""

from collections import deque

HALF = 1 << 15
"""RTP numbers have 16 bits and wrap (RFC 3550): one less than this ahead of another comes after it. A window can be
longer than that, so numbers are counted on from the latest one."""

KEPT = 4096


def distance(later: int, earlier: int) -> int:
    """Return how many numbers *later* is after *earlier*; negative if before.

    >>> distance(3, 65_534), distance(65_534, 3)
    (5, -5)
    """
    return (later - earlier + HALF) % (2 * HALF) - HALF


class WindowCheck:
    """The windows of one session, given in the order in which they and the datagrams come.

    >>> check = WindowCheck()
    >>> check.open(10)
    >>> for number in (10, 11, 12, 14):
    ...     check.take(number)
    >>> check.close(12)
    >>> check.leaked
    1
    """

    def __init__(self) -> None:
        """Begin outside a window."""
        self.leaked = 0
        self.received = 0
        self._latest: int | None = None
        """The latest number, counted on over every wrap."""
        self._first: int | None = None
        self._in_window: deque[int] = deque(maxlen=KEPT)
        self._last_window: tuple[int, int] | None = None
        self._early: list[int] = []
        """Came while no window was open: before the message that opens one, or too late."""

    def _counted_on(self, number: int) -> int:
        if self._latest is not None:
            number = self._latest + distance(number, self._latest % (2 * HALF))
        self._latest = number if self._latest is None else max(number, self._latest)
        return number

    def take(self, number: int) -> None:
        """A datagram with the RTP number *number* arrived."""
        self.received += 1
        number = self._counted_on(number)
        if self._belongs_to_last(number):
            return
        if self._first is not None and number >= self._first:
            self._in_window.append(number)
        else:
            self._early.append(number)

    def _belongs_to_last(self, number: int) -> bool:
        if self._last_window is None:
            return False
        first, last = self._last_window
        return first <= number <= last

    def open(self, first: int) -> None:
        """A window begins with *first*."""
        self._first = first = self._counted_on(first)
        self._in_window.clear()
        early, self._early = self._early, []
        for number in early:
            if number >= first:
                self._in_window.append(number)
            else:
                self.leaked += 1

    def close(self, last: int | None) -> None:
        """The window has ended with *last*; ``None``: nothing was sent in it."""
        if self._first is None:
            return
        end = self._first - 1 if last is None else self._counted_on(last)
        self.leaked += sum(number > end for number in self._in_window)
        self._last_window = (self._first, end)
        self._first = None
        self._in_window.clear()

    def end(self) -> None:
        """The session is over, and what was on its way has come."""
        self.leaked += len(self._early)
        self._early = []
