"""The most recent datagrams, numbered, in a few blocks of memory from which all clients are served.

A datagram has an *index* that counts from 0 without end. Its RTP sequence number is the index plus a random start,
modulo 2^16, and plus the numbers that were passed over before it (:attr:`.Datagram.passed_over`). Datagrams lie side
by side, RTP header included, so that any run of them in one block is one ``memoryview`` and one ``send`` with UDP
segmentation. A block whose datagrams no client needs is filled anew, so the memory follows the stream: 4 Mbit/s with a
keyframe each second take 8 MB, with one in 20 s 15 MB, a radio station 2 MB.

One thread appends, and reads by :meth:`Ring.run`. Other threads may ask where to begin and how far behind an index is,
which reads integers, and may read by :meth:`Ring.copy`, which checks afterwards whether the copy was overwritten. There
is no lock: a datagram is complete before :attr:`Ring.next_index` counts it, a block is out of reach before it is filled
anew, and CPython binds an attribute in one step.
"""

import math
import mmap
import struct
from bisect import bisect_right
from collections.abc import Iterable

from flume.media import rtp
from flume.media.datagrams import PACKETS_PER_DATAGRAM, PAYLOAD_BYTES, Datagram
from flume.media.mpegts import PACKET_BYTES

DATAGRAM_BYTES = rtp.HEADER_BYTES + PAYLOAD_BYTES
"""1328, header and payload of a datagram of the usual size."""

_PACK, _FIRST_BYTES = rtp.HEADER.pack_into, rtp.FIRST_BYTES

_TIMESTAMP = struct.Struct("!4xI")
"""The timestamp in an RTP header."""

DEFAULT_SLOTS = 16_384
"""21 MiB: 4 s at 40 Mbit/s, 17 s at 10. A group of pictures longer than that cannot be joined at its start."""

DEFAULT_REACH_S = 20.0
"""Age of the oldest keyframe at which a client may join. A client that catches up with minutes at a multiple of the
stream's rate would show the past for a third of that time."""

KEPT = 1.125
"""Datagrams are kept so much longer than a client may begin at them: one that begins now is served a little later."""

CATCH_UP_S = 10.0
"""For so long the datagrams before the last two keyframes are kept, for clients that a busy host serves late. From the
last but one on, all are kept: a client may have begun there. It is sent twice the stream's rate at least, so it has
caught up within one group of pictures."""

MOST_BLOCK_SLOTS = 1024
"""1.4 MB. A run ends with its block, so a large block cuts fewer batches in two."""

LEAST_BLOCKS = 16
"""Of a full ring: what is lost at once is a small part of it."""


def datagram_bytes(packets: int) -> int:
    """Return the size of a datagram with *packets* of MPEG-TS, RTP header included.

    >>> datagram_bytes(7)
    1328
    """
    return rtp.HEADER_BYTES + packets * PACKET_BYTES


def slots_of(mebibytes: int, packets: int = PACKETS_PER_DATAGRAM) -> int:
    """Return how many datagrams of *packets* each *mebibytes* hold."""
    return (mebibytes << 20) // datagram_bytes(packets)


BEGINNING_S = 2.0
"""For so long after a stream has begun, it is not known whether it lacks keyframes: the first one may be on its way.
libvlc begins live sources with one second of audio (measured)."""


class Ring:
    """The last datagrams, *slots* of them at most, and the index of the latest random access point.

    Example::

        ring.extend(datagrams)
        start = ring.start_after(None)  # where a new client begins
        batch = ring.run(start, ring.next_index)
    """

    def __init__(
        self,
        *,
        ssrc: int,
        first_sequence: int,
        timestamp_offset: int = 0,
        slots: int = DEFAULT_SLOTS,
        reach_s: float = DEFAULT_REACH_S,
        packets_per_datagram: int = PACKETS_PER_DATAGRAM,
    ) -> None:
        """Begin without a datagram. *ssrc*, *first_sequence*, *timestamp_offset* are random numbers (RFC 3550, 5.1).

        Clients begin at most *reach_s* seconds and at most *slots* datagrams in the past.
        """
        self.ssrc = ssrc
        self.packets_per_datagram = packets_per_datagram
        self.datagram_bytes = datagram_bytes(packets_per_datagram)
        """Of each datagram, RTP header included. Every datagram is full, so a batch has one segment size."""
        self._starts: tuple[list[int], list[int]] = ([0], [first_sequence])
        """Where numbers were passed over, and first of all: indices, and beside each what to add to it and to those
        after it for their number. Any thread may read it: the pair is replaced as a whole, and the second list is never
        shorter than the first, since it grows before it."""
        self._timestamp_offset = timestamp_offset
        self._slots = slots
        self._reach_s = reach_s
        self._block_slots = max(1, min(slots // LEAST_BLOCKS, MOST_BLOCK_SLOTS))
        self._blocks: dict[int, memoryview] = {}
        """The blocks by number, which is the index of their datagrams divided by :attr:`_block_slots`; without gaps."""
        self._oldest = 0
        """The first index of the oldest block."""
        self._next = 0
        self._join: int | None = None
        self._earlier_join: int | None = None
        self._begin = 0
        """The first index of the present stream: after :meth:`forget`, another one begins."""

    @property
    def next_index(self) -> int:
        """The index of the next datagram to come: the live edge."""
        return self._next

    def sequence(self, index: int) -> int:
        """Return the RTP sequence number of *index*; of one to come, as if no number were passed over before it.

        Right for every index that is stored, or no older than the oldest that is; from any thread.
        """
        indices, starts = self._starts
        return (starts[max(0, bisect_right(indices, index) - 1)] + index) % rtp.SEQUENCE_MODULUS

    def newest(self) -> tuple[int, int] | None:
        """Return number and timestamp of the newest datagram, ``None`` before the first; from any thread."""
        index = self._next - 1
        timestamp = self.timestamp(index)
        return None if timestamp is None else (self.sequence(index), timestamp)

    def extend(self, datagrams: Iterable[Datagram]) -> None:
        """Number and store *datagrams*; the due time of each gives its RTP timestamp.

        Raises :class:`ValueError` if a payload has another size than this ring's.

        All in one loop with local names: sending to hundreds of clients has evicted the CPU's cache before each tick,
        so each look-up of a name costs several times as much here as elsewhere.
        """
        slots, index, size = self._block_slots, self._next, self.datagram_bytes
        payload_bytes = size - rtp.HEADER_BYTES
        sequence, ssrc, start = self._starts[1][-1], self.ssrc, self._timestamp_offset
        memory = self._blocks.get(index // slots)
        for payload, due_s, random_access, _, passed_over in datagrams:
            if len(payload) != payload_bytes:
                message = f"a datagram carries {payload_bytes} bytes, not {len(payload)}"
                raise ValueError(message)
            if memory is None or not index % slots:
                memory = self._begin_block(index // slots)
            if passed_over:
                sequence += passed_over
                self._pass_over(index, sequence)
            at = index % slots * size
            timestamp = start + round(due_s * rtp.CLOCK_HZ)
            _PACK(memory, at, *_FIRST_BYTES, sequence + index & 0xFFFF, timestamp & 0xFFFF_FFFF, ssrc)
            memory[at + rtp.HEADER_BYTES : at + size] = payload
            if random_access:
                self._earlier_join = self._join
                self._join = index
            index += 1
            self._next = index  # after each datagram: copy() relies on it

    def _pass_over(self, index: int, start: int) -> None:
        """Number *index* and those after it from *start* on."""
        indices, starts = self._starts
        starts.append(start)  # first: sequence() relies on it
        indices.append(index)

    def _begin_block(self, number: int) -> memoryview:
        """Return the memory of block *number*: that of a block that is needed no longer, or more."""
        memory = None
        oldest = number - len(self._blocks)
        most = max(1, self._slots // self._block_slots)
        while self._blocks and (len(self._blocks) >= most or self._is_past((oldest + 1) * self._block_slots - 1)):
            memory = self._blocks.pop(oldest)
            oldest += 1
        self._oldest = oldest * self._block_slots  # before the memory is written: copy() relies on it
        indices, starts = self._starts
        past = bisect_right(indices, self._oldest) - 1
        if past > 0:  # these hold for no stored datagram; once a block, since it takes as long as there are others
            self._starts = indices[past:], starts[past:]
        if memory is None:
            size = self._block_slots * self.datagram_bytes
            memory = memoryview(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        self._blocks[number] = memory
        return memory

    def _is_past(self, index: int) -> bool:
        """Whether no client needs *index* any more."""
        behind_s, began = self.behind_s(index), self._earlier_join
        return behind_s > KEPT * self._reach_s or (began is not None and index < began and behind_s > CATCH_UP_S)

    def forget(self) -> None:
        """Let no client join in the past: the stored datagrams belong to a stream that was stopped."""
        self._join = self._earlier_join = None
        self._begin = self._next

    def start_after(self, last_index: int | None) -> int:
        """Return the index at which a client begins: the latest keyframe, but never before *last_index* + 1.

        A client that was interrupted within the present group of pictures continues with the very next datagram. Any
        other client gets everything since the keyframe, or begins at the live edge if no keyframe is in reach. So no
        client receives an index twice.
        """
        join, edge = self._join, self._next
        start = join if join is not None and self._reaches(join) else edge
        return start if last_index is None else max(start, last_index + 1)

    def _reaches(self, index: int) -> bool:
        return self.holds(index) and self.behind_s(index) <= self._reach_s

    def without_keyframe_s(self, last_index: int | None) -> float | None:
        """Return for how many seconds no keyframe came, if a client would have to wait for the next one.

        *last_index* is as for :meth:`start_after`. ``None``: the client begins at a keyframe, or goes on with the very
        next datagram, or the stream has only just begun.
        """
        edge, join = self._next, self._join
        continues = last_index is not None and last_index + 1 >= edge
        if edge == self._begin or continues or (join is not None and self._reaches(join)):
            return None
        oldest = max(self._begin, self._first_held(), 0 if join is None else join)
        silent_s = min(self.behind_s(oldest), self._reach_s)
        return silent_s if silent_s >= BEGINNING_S else None

    def join_after(self, index: int) -> int | None:
        """Return the latest random access point if it is stored and comes after *index*; from any thread."""
        join = self._join
        return join if join is not None and join > index and self.holds(join) else None

    def behind_s(self, index: int) -> float:
        """Return the seconds of stream from the datagram *index* to the newest one; from any thread.

        Infinite if *index* is stored no longer.
        """
        newest, oldest = self.timestamp(self._next - 1), self.timestamp(index)
        return math.inf if oldest is None or newest is None else rtp.timestamp_distance(newest, oldest) / rtp.CLOCK_HZ

    def timestamp(self, index: int) -> int | None:
        """Return the RTP timestamp of *index*, ``None`` unless it is stored; from any thread."""
        if not 0 <= index < self._next:
            return None
        number, slot = divmod(index, self._block_slots)
        block = self._blocks.get(number)
        return None if block is None else int(_TIMESTAMP.unpack_from(block, slot * self.datagram_bytes)[0])

    def copy(self, start: int, stop: int) -> bytes | None:
        """Return a copy of what :meth:`run` returns, from any thread; ``None`` if it was overwritten meanwhile.

        It is enough to check after copying, because a block that is filled anew is out of reach before.
        """
        try:
            copied = bytes(self.run(start, stop))
        except KeyError:
            return None
        return copied if start >= self._oldest else None

    def holds(self, index: int) -> bool:
        """Return whether *index* is stored, with a margin of an eighth for datagrams appended before it is read."""
        return self._first_held() <= index < self._next

    def _first_held(self) -> int:
        """Return the lowest index that is stored and not about to be overwritten because the memory is full."""
        return max(self._oldest, self._next - self._slots + self._slots // 8)

    def oldest_index(self) -> int:
        """Return the lowest index whose bytes are still intact."""
        return self._oldest

    def run(self, start: int, stop: int) -> memoryview:
        """Return datagrams *start* to *stop* - 1, headers included, cut short where a block ends.

        Raises :class:`KeyError` if *start* is stored no longer.
        """
        number, first = divmod(start, self._block_slots)
        count = min(stop - start, self._block_slots - first)
        size = self.datagram_bytes
        return self._blocks[number].toreadonly()[first * size : (first + count) * size]


def strip_headers(run: memoryview, size: int = DATAGRAM_BYTES) -> bytes:
    """Return *run*, datagrams of *size* bytes, without its RTP headers, for clients that take raw TS."""
    return b"".join(run[at + rtp.HEADER_BYTES : at + size] for at in range(0, len(run), size))
