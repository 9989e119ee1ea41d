"""IP fragments, as captured, put together again (RFC 791, RFC 815). Pure; the input is untrusted bytes.

It decides as Linux does (net/ipv4/ip_fragment.c, net/ipv4/inet_fragment.c): what is whole here was whole for the
client's host, and what that host gave up is not whole here.
"""

from collections import Counter
from typing import NamedTuple

TIMEOUT_S = 30.0
"""Linux gives up a packet this long after its first fragment came (ipfrag_time)."""
MOST_BETWEEN = 64
"""Linux gives up a packet when more fragments than this came from its sender since its last one (ipfrag_max_dist):
the identification may have been used again."""
_LARGEST_BYTES = 65_535
MOST_HELD_BYTES = 64 << 20
"""Of fragments that are no packet yet. Linux holds 4 MiB (ipfrag_high_thresh); more would be open only in a capture
of many hosts, or of one with a broken clock."""
MOST_SENDERS = 32_768
"""So many senders are known of whom no packet is open: more of them come from a scan, or are invented."""
_FRAGMENT_COST = 256
"""Bytes beside its data that a fragment costs here."""


class Fragment(NamedTuple):
    """One IP packet that carries a part of a larger one."""

    protocol: int
    source: str
    destination: str
    identification: int
    offset: int
    """Where *data* begins in the larger packet, in bytes."""
    is_last: bool
    data: bytes


class Assembly:
    """The fragments of one packet."""

    def __init__(self, first: Fragment, time_s: float) -> None:
        """Begin with no data; *first* names the packet, and came at *time_s*."""
        self.protocol, self.source, self.destination = first.protocol, first.source, first.destination
        self.began_s = self.last_s = time_s
        self.fragments = 0
        """How many were taken; repetitions do not count."""
        self.rank = 0
        """How many fragments its sender had sent when the last one of this packet came."""
        self.held_bytes = 2 * _FRAGMENT_COST
        """About what it costs in memory."""
        self._pieces: dict[int, bytes] = {}
        self._runs: list[tuple[int, int]] = []
        self._bytes: int | None = None

    def take_untrusted(self, time_s: float, fragment: Fragment) -> bool:
        """Take one fragment; return whether it fits. One that overlaps another, or the end, does not."""
        start, data = fragment.offset, fragment.data
        if not fragment.is_last:
            data = data[: len(data) & ~7]
        end = start + len(data)
        furthest = self._runs[-1][1] if self._runs else 0
        beyond = furthest > end if fragment.is_last else False
        if not data or end > _LARGEST_BYTES or beyond or (self._bytes is not None and end > self._bytes):
            return False
        if fragment.is_last and self._bytes not in {None, end}:
            return False
        touched = [run for run in self._runs if start < run[1] and run[0] < end]
        if any(run[0] <= start and end <= run[1] for run in touched):
            return True  # a repetition adds nothing
        if touched:
            return False
        if fragment.is_last:
            self._bytes = end
        self._pieces[start] = data
        self.held_bytes += len(data) + _FRAGMENT_COST
        self._runs = _joined(self._runs, start, end)
        self.fragments, self.last_s = self.fragments + 1, time_s
        return True

    @property
    def is_whole(self) -> bool:
        """Whether no byte is missing."""
        return self._bytes is not None and self._runs == [(0, self._bytes)]

    @property
    def beginning(self) -> bytes:
        """The data from the first byte to the first gap: all of it where it is whole, none without its beginning."""
        data = bytearray()
        while (piece := self._pieces.get(len(data))) is not None:
            data += piece
        return bytes(data)


def _joined(runs: list[tuple[int, int]], start: int, end: int) -> list[tuple[int, int]]:
    """Return *runs*, which are ascending and apart, with the run from *start* to *end*, which overlaps none."""
    before = [run for run in runs if run[1] < start]
    after = [run for run in runs if run[0] > end]
    beside = [run for run in runs if run[1] == start or run[0] == end]
    return [*before, (min([start, *(run[0] for run in beside)]), max([end, *(run[1] for run in beside)])), *after]


class Reassembler:
    """Takes the fragments of one capture, in the order of time; gives packets, and what never became one.

    >>> parts = Fragment(17, "a", "b", 7, 0, False, b"12345678"), Fragment(17, "a", "b", 7, 8, True, b"90")
    >>> reassembler = Reassembler()
    >>> [whole and whole.beginning for part in parts for whole in [reassembler.take_untrusted(0.0, part)]]
    [None, b'1234567890']
    """

    def __init__(self) -> None:
        """Begin without a fragment."""
        self._open: dict[tuple[int, str, str, int], Assembly] = {}
        self._from: Counter[str] = Counter()
        self._given_up: list[Assembly] = []
        self._held_bytes = 0

    def take_untrusted(self, time_s: float, fragment: Fragment) -> Assembly | None:
        """Take one fragment; return the packet that it completes. Raises nothing."""
        self._give_up_before(time_s - TIMEOUT_S)
        key = fragment.protocol, fragment.source, fragment.destination, fragment.identification
        if len(self._from) > len(self._open) + MOST_SENDERS:
            self._forget_senders()
        self._from[fragment.source] += 1
        rank = self._from[fragment.source]
        assembly = self._open.get(key)
        if assembly is not None and rank - assembly.rank > MOST_BETWEEN:
            self._give_up(key)
            assembly = None
        if assembly is None:
            assembly = self._open[key] = Assembly(fragment, time_s)
            self._held_bytes += assembly.held_bytes
        assembly.rank = rank
        before = assembly.held_bytes
        fits = assembly.take_untrusted(time_s, fragment)
        self._held_bytes += assembly.held_bytes - before
        if not fits:
            self._give_up(key)
            return None
        if assembly.is_whole:
            self._held_bytes -= assembly.held_bytes
            return self._open.pop(key)
        while self._held_bytes > MOST_HELD_BYTES:
            self._give_up(next(iter(self._open)))
        return None

    def incomplete(self) -> list[Assembly]:
        """Return what is not whole, given up or still open, in the order of the last fragments."""
        return sorted([*self._given_up, *self._open.values()], key=lambda assembly: assembly.last_s)

    def forget_given_up(self) -> int:
        """Forget what was given up, so that memory does not grow with a long capture; return how many that were."""
        count = len(self._given_up)
        self._given_up.clear()
        return count

    def _forget_senders(self) -> None:
        """Forget how much those have sent of whom no packet is open: nothing is compared with it."""
        senders = {assembly.source for assembly in self._open.values()}
        self._from = Counter({source: self._from[source] for source in senders})

    def _give_up(self, key: tuple[int, str, str, int]) -> None:
        assembly = self._open.pop(key)
        self._held_bytes -= assembly.held_bytes
        self._given_up.append(assembly)

    def _give_up_before(self, time_s: float) -> None:
        while self._open and (oldest := next(iter(self._open.items())))[1].began_s < time_s:
            self._give_up(oldest[0])
