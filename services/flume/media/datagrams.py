"""Fills datagrams with packets and gives each its due time, interpolated between PCRs.

A PCR says when its packet is due. The packets between two PCRs are taken to be sent at a constant rate, as ISO/IEC
13818-1 defines it (2.4.2.2), so a datagram's position gives its due time.
"""

from collections import deque
from typing import NamedTuple

from flume.media.mpegts import NULL_PACKET, PACKET_BYTES
from flume.media.rate_guard import RateGuard
from flume.media.timeline import DEFAULT_INTERVAL_TICKS, ORIGIN_TICKS, seconds_from_origin

PACKETS_PER_DATAGRAM = 7
"""The most, and the usual number: as many as fit an Ethernet frame of 1500 bytes with its IP, UDP and RTP headers."""

PAYLOAD_BYTES = PACKETS_PER_DATAGRAM * PACKET_BYTES
"""1316, of a datagram of the usual size."""

MAX_PENDING_DATAGRAMS = 4096
"""Most datagrams that wait for the next PCR, 5.4 MB: 0.1 s, the longest interval that the standard allows between two
PCRs, at 430 Mbit/s. Beyond, due times are extrapolated at the last known rate, and counted."""


class Datagram(NamedTuple):
    """Up to seven packets, and what the sender has to know about them.

    >>> keyframe = Datagram(bytes(PAYLOAD_BYTES), due_s=0.04, random_access=True)
    >>> keyframe.new_tables
    False
    """

    payload: bytes
    """MPEG-TS, in all datagrams of a stream the same number of packets."""
    due_s: float
    """When to send it, in seconds of stream time: 0 for the first datagram, and never less than the one before."""
    random_access: bool
    """Whether a client may join at this datagram."""
    new_tables: bool = False
    """Whether it begins with a PAT or PMT that differs from the one before: clients may no longer join earlier."""
    passed_over: int = 0
    """Numbers before it that no datagram has: a relay's upstream sent datagrams that did not arrive."""


class _Pending:
    """A datagram that is being filled or waits for its due time (27 MHz)."""

    __slots__ = ("due", "new_tables", "number", "packets", "random_access")

    def __init__(self, number: int) -> None:
        self.number = number
        self.random_access = self.new_tables = False
        self.packets: list[bytes | bytearray] = []
        self.due: int | None = None


class DatagramBuilder:
    """Packets in, datagrams out. A packet's number counts from 0 in the outgoing stream. PCRs lie on the timeline.

    Example::

        builder.write(packet, pcr=270_000_000)
        datagrams = builder.collect()
    """

    def __init__(self, *, packets_per_datagram: int = PACKETS_PER_DATAGRAM) -> None:
        """Begin with the stream's first packet."""
        self.packets_per_datagram = packets_per_datagram
        self.datagrams = self.packets = self.null_packets = self.unclocked = 0
        self._pending: deque[_Pending] = deque()
        self._undated: list[_Pending] = []
        self._open: _Pending | None = None
        self._last_pcr: tuple[int, int] | None = None
        self._ticks_per_packet = DEFAULT_INTERVAL_TICKS / 100
        self._last_due = ORIGIN_TICKS
        self._is_extrapolated = False
        self.guard = RateGuard(datagram_bytes=packets_per_datagram * PACKET_BYTES)

    def begin_datagram(self, *, random_access: bool = False, new_tables: bool = False) -> None:
        """Let the next packet begin a datagram with these flags; see :class:`Datagram`."""
        self.fill_up()
        pending = self._begin()
        pending.random_access, pending.new_tables = random_access, new_tables

    def _begin(self) -> _Pending:
        self._open = pending = _Pending(self.packets)
        self._pending.append(pending)
        self._undated.append(pending)
        return pending

    def write(self, packet: bytes | bytearray, pcr: int | None = None) -> None:
        """Append *packet*; *pcr* is its PCR on the timeline (27 MHz), if it carries one or one was estimated."""
        pending = self._open or self._begin()
        packets = pending.packets
        packets.append(packet)
        if pcr is not None:
            self._set_due_times(self.packets, pcr)
            self._is_extrapolated = False
        self.packets += 1
        if len(packets) == self.packets_per_datagram:
            self._open = None
            if len(self._undated) > MAX_PENDING_DATAGRAMS:
                self._extrapolate()

    def fill_up(self) -> None:
        """Complete the open datagram with null packets."""
        while self._open is not None:
            self.null_packets += 1
            self.write(NULL_PACKET)

    def end(self, pcr: int | None) -> None:
        """End an item whose last bytes are due at *pcr*, so that no datagram waits for the next item's first PCR."""
        self.fill_up()
        if self._undated:
            self._set_due_times(self.packets, self._last_due if pcr is None else pcr)

    def _set_due_times(self, number: int, pcr: int) -> None:
        """Set the due times of the datagrams that began before packet *number*, which is due at *pcr*."""
        first, start = self._last_pcr or (number, pcr)
        if number > first and pcr > start:
            self._ticks_per_packet = (pcr - start) / (number - first)
        for pending in self._undated:
            share = (pending.number - first) / (number - first) if number > first else 1.0
            pending.due = round(start + share * (pcr - start))
        self._undated.clear()
        self._last_pcr = number, pcr

    def _extrapolate(self) -> None:
        first, start = self._last_pcr or (self._undated[0].number, ORIGIN_TICKS)
        self.unclocked += len(self._undated)
        self._set_due_times(self.packets, round(start + (self.packets - first) * self._ticks_per_packet))
        self._is_extrapolated = True

    @property
    def last_pcr(self) -> int | None:
        """The time (27 MHz) up to which due times are known; ``None`` before the first PCR."""
        return None if self._last_pcr is None else self._last_pcr[1]

    @property
    def packets_since_pcr(self) -> int:
        """How many packets were written since the packet that was due at :attr:`last_pcr`."""
        return 0 if self._last_pcr is None else self.packets - self._last_pcr[0]

    @property
    def extrapolated_pcr(self) -> int | None:
        """The time (27 MHz) up to which due times were extrapolated; ``None`` once a PCR has come again."""
        return self._last_pcr[1] if self._last_pcr is not None and self._is_extrapolated else None

    def collect(self, *, before: int | None = None) -> list[Datagram]:
        """Return the complete datagrams whose due time is known; only those whose packets all come *before* a number.

        ``None``: no such limit. Packets from that number on may still be taken back (:mod:`flume.media.pes`).
        """
        ready = []
        while self._pending:
            pending = self._pending[0]
            held = before is not None and pending.number + self.packets_per_datagram > before
            if pending.due is None or pending is self._open or held:
                break
            self._pending.popleft()
            self._last_due = self.guard.delay(max(self._last_due, pending.due))
            due_s = seconds_from_origin(self._last_due)
            ready.append(Datagram(b"".join(pending.packets), due_s, pending.random_access, pending.new_tables))
        self.datagrams += len(ready)
        return ready
