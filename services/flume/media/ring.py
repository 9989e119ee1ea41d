"""The datagrams of the recent past, numbered, in one block of memory that every client is served from.

A datagram has an *index* that counts from 0 for ever; its RTP sequence number is the index plus a random start,
modulo 2^16. Datagrams lie side by side, RTP header included, so that any run of them is one ``memoryview``
and one ``send`` with UDP segmentation.

One thread appends, and reads by :meth:`Ring.run`. Others may ask where to begin and how far behind they are, which
reads integers, and read by :meth:`Ring.copy`, which finds out afterwards whether it was overtaken. There is no lock: a
datagram is complete before :attr:`Ring.next_index` counts it, and CPython binds an attribute in one step.
"""

import struct
from collections.abc import Iterable

from flume.media import rtp
from flume.media.datagrams import PAYLOAD_BYTES, Datagram

DATAGRAM_BYTES = rtp.HEADER_BYTES + PAYLOAD_BYTES
"""1328 on the wire for RTP; every datagram is full, so a batch has one segment size."""

_PACK, _FIRST_BYTES = rtp.HEADER.pack_into, rtp.FIRST_BYTES

_TIMESTAMP = struct.Struct("!4xI")
"""Within the RTP header."""

DEFAULT_SLOTS = 16_384
"""21 MiB: 4 s at 40 Mbit/s, 17 s at 10. A group of pictures longer than that cannot be joined at its start."""

DEFAULT_REACH_S = 20.0
"""Oldest keyframe at which somebody may begin. At a low rate the memory holds minutes, and catching up with those at a
multiple of the stream's rate would show the past for a third as long."""


def slots_of(mebibytes: int) -> int:
    """Return how many datagrams *mebibytes* hold."""
    return (mebibytes << 20) // DATAGRAM_BYTES


class Ring:
    """The last *slots* datagrams, and where the latest random access point stands."""

    def __init__(
        self,
        *,
        ssrc: int,
        first_sequence: int,
        timestamp_offset: int = 0,
        slots: int = DEFAULT_SLOTS,
        reach_s: float = DEFAULT_REACH_S,
    ) -> None:
        """Reserve the memory; *ssrc*, *first_sequence*, *timestamp_offset* are to be random (RFC 3550, 5.1).

        Nobody begins further in the past than *reach_s*, nor than *slots* datagrams.
        """
        self.ssrc = ssrc
        self._first_sequence = first_sequence
        self._timestamp_offset = timestamp_offset
        self._slots = slots
        self._reach_s = reach_s
        self._memory = bytearray(slots * DATAGRAM_BYTES)
        self._view = memoryview(self._memory).toreadonly()
        self._next = 0
        self._join: int | None = None

    @property
    def next_index(self) -> int:
        """The index that the next datagram will have: the live edge."""
        return self._next

    def sequence(self, index: int) -> int:
        """Return the RTP sequence number of *index*."""
        return (self._first_sequence + index) % rtp.SEQUENCE_MODULUS

    def extend(self, datagrams: Iterable[Datagram]) -> None:
        """Number and store *datagrams* of :data:`PAYLOAD_BYTES` in one go.

        The time at which one is due gives its RTP timestamp.

        The sender's own loop: sending to hundreds of clients has driven everything out of the processor's cache before
        each tick, so that every name that is looked up here costs several times what it does elsewhere.
        """
        memory, slots = self._memory, self._slots
        index, sequence, ssrc, start = self._next, self._first_sequence, self.ssrc, self._timestamp_offset
        for payload, due_s, random_access, _ in datagrams:
            if len(payload) != PAYLOAD_BYTES:
                message = f"a datagram carries {PAYLOAD_BYTES} bytes, not {len(payload)}"
                raise ValueError(message)
            at = index % slots * DATAGRAM_BYTES
            timestamp = start + round(due_s * rtp.CLOCK_HZ)
            _PACK(memory, at, *_FIRST_BYTES, sequence + index & 0xFFFF, timestamp & 0xFFFF_FFFF, ssrc)
            memory[at + rtp.HEADER_BYTES : at + DATAGRAM_BYTES] = payload
            if random_access:
                self._join = index
            index += 1
            self._next = index  # one by one: whoever copies relies on it

    def forget(self) -> None:
        """Let nobody join in the past: what is stored belongs to a stream that was stopped."""
        self._join = None

    def start_after(self, last_index: int | None) -> int:
        """Return where a client begins: at the latest keyframe, but never before *last_index* + 1.

        A client that was interrupted within the present group of pictures goes on with the very next datagram;
        any other gets everything since the keyframe; without one in reach, the live edge. So no index comes twice.
        """
        join, edge = self._join, self._next
        start = edge if join is None or not self.holds(join) or self.behind_s(join) > self._reach_s else join
        return start if last_index is None else max(start, last_index + 1)

    def join_after(self, index: int) -> int | None:
        """Return the latest random access point, if it is stored and comes after *index*; from any thread."""
        join = self._join
        return join if join is not None and join > index and self.holds(join) else None

    def behind_s(self, index: int) -> float:
        """Return the seconds of stream from the stored datagram *index* to the newest one; from any thread."""
        newest = self._next - 1
        return rtp.timestamp_distance(self._timestamp(newest), self._timestamp(index)) / rtp.CLOCK_HZ

    def _timestamp(self, index: int) -> int:
        return int(_TIMESTAMP.unpack_from(self._memory, index % self._slots * DATAGRAM_BYTES)[0])

    def copy(self, start: int, stop: int) -> bytes | None:
        """Return what :meth:`run` does, as a copy and from any thread; ``None`` if it was overwritten meanwhile.

        While ``next_index`` is n, the slot of n is being written, which is that of n - slots: so datagrams after that
        one are intact. To look afterwards is enough, because overwriting only moves on.
        """
        copied = bytes(self.run(start, stop))
        return copied if start > self._next - self._slots else None

    def holds(self, index: int) -> bool:
        """Whether *index* is stored, with a margin for what is appended before it is read."""
        return self._next - self._slots + self._slots // 8 <= index < self._next

    def oldest_index(self) -> int:
        """Return the lowest index whose bytes are still intact."""
        return max(0, self._next - self._slots)

    def run(self, start: int, stop: int) -> memoryview:
        """Return datagrams *start* to *stop* - 1, headers included, cut short where the memory wraps."""
        first = start % self._slots
        count = min(stop - start, self._slots - first)
        return self._view[first * DATAGRAM_BYTES : (first + count) * DATAGRAM_BYTES]


def strip_headers(run: memoryview) -> bytes:
    """Return *run* without its RTP headers, for players that take bare MPEG-TS."""
    return b"".join(run[at + rtp.HEADER_BYTES : at + DATAGRAM_BYTES] for at in range(0, len(run), DATAGRAM_BYTES))
