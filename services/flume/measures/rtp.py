"""What the sequence numbers of RTP say: loss, duplicates, reordering, runs of loss (RFC 3550, RFC 4737). Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from flume.measures.missing import MissingRuns

SEQUENCE_MODULUS = 1 << 16
"""RTP's sequence numbers wrap here (RFC 3550, 5.1)."""


def extend(sequence: int, near: int) -> int:
    """Return the number that *sequence*, 16 bits, stands for: the one nearest to the extended number *near*.

    The result may be negative, for a datagram that is older than the first one.

    >>> extend(1, 65535), extend(65535, 65537)
    (65537, 65535)
    """
    half = SEQUENCE_MODULUS // 2
    return near + (sequence - near + half) % SEQUENCE_MODULUS - half


class RtpAccount(NamedTuple):
    """What became of the numbers of one stream, all counted in datagrams."""

    expected: int
    """From the first number to the last, both included."""
    received: int
    """Of these, each once."""
    lost: int
    duplicates: int
    reordered: int
    """Arrived behind a datagram with a higher number (RFC 4737, 3.3), duplicates left out."""
    loss_runs: dict[int, int]
    """Length of a run of missing numbers to how often it occurred."""

    @property
    def longest_run(self) -> int:
        """The length of the longest run of missing numbers; 0 without one."""
        return max(self.loss_runs, default=0)

    def __add__(self, other: "RtpAccount") -> "RtpAccount":  # type: ignore[override]  # a tuple would become longer
        """Return the account of two intervals together; no run goes from one into the other.

        >>> (account([1, 2, 4]) + account([9, 11])).loss_runs
        {1: 2}
        """
        runs = dict(self.loss_runs)
        for length, count in other.loss_runs.items():
            runs[length] = runs.get(length, 0) + count
        return RtpAccount(
            self.expected + other.expected,
            self.received + other.received,
            self.lost + other.lost,
            self.duplicates + other.duplicates,
            self.reordered + other.reordered,
            runs,
        )


EMPTY = RtpAccount(0, 0, 0, 0, 0, {})


class SequenceAccount:
    """Takes the numbers of one stream in the order of arrival. It holds what is missing, not what has come.

    A number that is missing by *memory* numbers counts as lost for good, and is held no longer.

    >>> numbers = SequenceAccount()
    >>> for sequence in (65534, 0, 65535, 0, 3):
    ...     _ = numbers.add(sequence)
    >>> numbers.account()
    RtpAccount(expected=6, received=4, lost=2, duplicates=1, reordered=1, loss_runs={2: 1})
    """

    def __init__(self, *, memory: int = SEQUENCE_MODULUS // 2) -> None:
        """Begin without a number; none comes later than *memory* numbers behind."""
        self._memory = memory
        self._first: int | None = None
        self._next = 0
        self._missing = MissingRuns()
        self._received = self._duplicates = self._reordered = 0
        self._runs: dict[int, int] = {}

    def add(self, sequence: int) -> int:
        """Take the 16-bit number *sequence* of the next arrival; return its extended number."""
        if self._first is None:
            self._first = self._next = sequence
        number = extend(sequence, self._next)
        if number >= self._next:
            self._missing.append(self._next, number)
            self._next = number + 1
            self._received += 1
            self._forget(number - self._memory)
        elif number < self._first:
            self._before(number)
        elif self._missing.remove(number):
            self._received += 1
            self._reordered += 1
        else:
            self._duplicates += 1
        return number

    def _before(self, number: int) -> None:
        """Take a number that is lower than the first: it is reordered, and those between are missing so far."""
        self._missing.prepend(number + 1, self._first or 0)
        self._first = number
        self._received += 1
        self._reordered += 1

    def _forget(self, before: int) -> None:
        """Count runs of numbers below *before* as lost for good."""
        for begin, end in self._missing.take_before(before):  # a run is counted as a whole
            self._runs[end - begin] = self._runs.get(end - begin, 0) + 1

    def account(self) -> RtpAccount:
        """Return the account as it is now."""
        runs = dict(self._runs)
        for begin, end in self._missing:
            runs[end - begin] = runs.get(end - begin, 0) + 1
        expected = 0 if self._first is None else self._next - self._first
        lost = expected - self._received
        return RtpAccount(expected, self._received, lost, self._duplicates, self._reordered, runs)


def account(sequences: Iterable[int]) -> RtpAccount:
    """Return the account of *sequences*, 16-bit numbers in the order of arrival.

    >>> account([7, 8, 10]).lost
    1
    """
    numbers = SequenceAccount()
    for sequence in sequences:
        numbers.add(sequence)
    return numbers.account()


def loss_runs(missing: Sequence[int]) -> dict[int, int]:
    """Return the length of each run of consecutive numbers in *missing*, rising, to how often it occurs.

    >>> loss_runs([3, 7, 8, 12])
    {1: 2, 2: 1}
    """
    runs: dict[int, int] = {}
    length = 0
    for at, number in enumerate(missing):
        length += 1
        if at + 1 == len(missing) or missing[at + 1] != number + 1:
            runs[length] = runs.get(length, 0) + 1
            length = 0
    return runs
