"""Fills datagrams with packets and gives each its due time, interpolated between clock references."""

from collections import deque
from typing import NamedTuple

from flume.media.mpegts import NULL_PACKET, PACKET_BYTES
from flume.media.timeline import DEFAULT_INTERVAL_TICKS, ORIGIN_TICKS, seconds_from_origin

PACKETS_PER_DATAGRAM = 7
"""The most that fits an Ethernet frame of 1500 bytes beside IP, UDP and RTP headers."""

PAYLOAD_BYTES = PACKETS_PER_DATAGRAM * PACKET_BYTES

MAX_PENDING_DATAGRAMS = 4096
"""Most datagrams waiting for the next clock reference, 5.4 MB: a tenth of a second (the longest that the standard
allows between two) at 430 Mbit/s. Beyond, they leave at the last known rate, counted."""


class Datagram(NamedTuple):
    """Seven packets. *due_s* starts at 0 and never goes back; *random_access*: a client may begin with this one.

    With *new_tables* it begins with tables that differ from those before: nobody may begin before it any more.
    """

    payload: bytes
    due_s: float
    random_access: bool
    new_tables: bool = False


class _Pending:
    """A datagram that is being filled or waits for its due time (27 MHz)."""

    __slots__ = ("due", "new_tables", "number", "packets", "random_access")

    def __init__(self, number: int) -> None:
        self.number = number
        self.random_access = self.new_tables = False
        self.packets: list[bytes | bytearray] = []
        self.due: int | None = None


class DatagramPacer:
    """Packets in, datagrams out. A packet's number is its place in the outgoing stream."""

    def __init__(self) -> None:
        """Begin with the stream's first packet."""
        self.datagrams = self.packets = self.null_packets = self.unclocked = 0
        self._pending: deque[_Pending] = deque()
        self._unclocked: list[_Pending] = []
        self._open: _Pending | None = None
        self._reference: tuple[int, int] | None = None
        self._ticks_per_packet = DEFAULT_INTERVAL_TICKS / 100
        self._last_due = ORIGIN_TICKS
        self.is_ahead = False
        """Whether the last reference is an estimate of :meth:`_go_on_unclocked`, which nobody else knows of."""

    def begin_datagram(self, *, random_access: bool = False, new_tables: bool = False) -> None:
        """The next packet begins a datagram, at which clients may begin, or before which none may any more."""
        self.fill_up()
        pending = self._begin()
        pending.random_access, pending.new_tables = random_access, new_tables

    def _begin(self) -> _Pending:
        self._open = pending = _Pending(self.packets)
        self._pending.append(pending)
        self._unclocked.append(pending)
        return pending

    def write(self, packet: bytes | bytearray, clock: int | None = None) -> None:
        """Append *packet*; *clock* is its PCR on the endless timeline when it carries one."""
        pending = self._open or self._begin()
        packets = pending.packets
        packets.append(packet)
        if clock is not None:
            self._refer(self.packets, clock)
            self.is_ahead = False
        self.packets += 1
        if len(packets) == PACKETS_PER_DATAGRAM:
            self._open = None
            if len(self._unclocked) > MAX_PENDING_DATAGRAMS:
                self._go_on_unclocked()

    def fill_up(self) -> None:
        """Complete the datagram that is being filled with null packets."""
        while self._open is not None:
            self.null_packets += 1
            self.write(NULL_PACKET)

    def end(self, clock: int | None) -> None:
        """End an item, whose last bytes are due by *clock*, so that nothing waits for the next one's reference."""
        self.fill_up()
        if self._unclocked:
            self._refer(self.packets, self._last_due if clock is None else clock)

    def _refer(self, number: int, clock: int) -> None:
        """Give all that began before packet *number*, which is due at *clock*, its time."""
        first, start = self._reference or (number, clock)
        if number > first and clock > start:
            self._ticks_per_packet = (clock - start) / (number - first)
        for pending in self._unclocked:
            share = (pending.number - first) / (number - first) if number > first else 1.0
            pending.due = round(start + share * (clock - start))
        self._unclocked.clear()
        self._reference = number, clock

    def _go_on_unclocked(self) -> None:
        first, start = self._reference or (self._unclocked[0].number, ORIGIN_TICKS)
        self.unclocked += len(self._unclocked)
        self._refer(self.packets, round(start + (self.packets - first) * self._ticks_per_packet))
        self.is_ahead = True

    @property
    def clock(self) -> int:
        """Where the last reference stood, or the last estimate in place of one, at 27 MHz."""
        return ORIGIN_TICKS if self._reference is None else self._reference[1]

    def collect(self, *, before: int | None = None) -> list[Datagram]:
        """Return the complete datagrams whose time is known and that hold only packets *before* that number."""
        ready = []
        while self._pending:
            pending = self._pending[0]
            held = before is not None and pending.number + PACKETS_PER_DATAGRAM > before
            if pending.due is None or pending is self._open or held:
                break
            self._pending.popleft()
            self._last_due = max(self._last_due, pending.due)
            due_s = seconds_from_origin(self._last_due)
            ready.append(Datagram(b"".join(pending.packets), due_s, pending.random_access, pending.new_tables))
        self.datagrams += len(ready)
        return ready
