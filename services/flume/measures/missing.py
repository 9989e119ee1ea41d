"""Runs of missing numbers, in memory that grows with the gaps and not with what is missing in them. Pure."""

from bisect import bisect_right
from collections.abc import Iterator


class MissingRuns:
    """Runs of numbers that did not come, rising and apart.

    >>> missing = MissingRuns()
    >>> missing.append(3, 7), missing.append(9, 10), missing.remove(5), missing.remove(7)
    (None, None, True, False)
    >>> list(missing), list(missing.take_before(5))
    ([(3, 5), (6, 7), (9, 10)], [(3, 5)])
    """

    def __init__(self) -> None:
        """Begin with nothing missing."""
        self._begins: list[int] = []
        self._ends: list[int] = []

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Give each run: its first number, and the one behind its last."""
        return zip(self._begins, self._ends, strict=True)

    def append(self, begin: int, end: int) -> None:
        """Add the numbers from *begin* to below *end*, which lie above all others."""
        if begin < end:
            self._begins.append(begin)
            self._ends.append(end)

    def prepend(self, begin: int, end: int) -> None:
        """Add the numbers from *begin* to below *end*, which lie below all others."""
        if begin < end:
            self._begins.insert(0, begin)
            self._ends.insert(0, end)

    def remove(self, number: int) -> bool:
        """Return whether *number* was missing; it is no longer."""
        at = bisect_right(self._begins, number) - 1
        if at < 0 or number >= self._ends[at]:
            return False
        begin, end = self._begins[at], self._ends[at]
        parts = [(a, b) for a, b in ((begin, number), (number + 1, end)) if a < b]
        self._begins[at : at + 1] = [a for a, _ in parts]
        self._ends[at : at + 1] = [b for _, b in parts]
        return True

    def take_before(self, number: int) -> Iterator[tuple[int, int]]:
        """Give the runs that begin below *number*, and hold them no longer."""
        while self._begins and self._begins[0] < number:
            yield self._begins.pop(0), self._ends.pop(0)
