"""Follows each PES of declared length to its end, so that a PES that an item's end cuts off can be taken back.

libvlc's multiplexer stops in the middle of the last audio PES of most files (measured). A decoder would play the rest
as a click, and report damage, at each seam between two items.
"""

from flume.media.mpegts import NULL_PACKET, PACKET_BYTES, payload_offset

MAX_WAITING_PACKETS = 448
"""Longest wait for the end of a PES, in packets of the whole stream: 64 datagrams, 0.2 s at 4 Mbit/s. A longer PES
cannot be taken back any more, and delays no other datagram."""


class _Pes:
    """A PES whose end has not come: *number* is its first packet's in the outgoing stream, *left* counts bytes."""

    __slots__ = ("counter_before", "left", "number", "packets")

    def __init__(self, *, left: int, number: int, counter_before: int | None) -> None:
        self.left, self.number, self.counter_before = left, number, counter_before
        self.packets: list[bytearray] = []


class UnfinishedPes:
    """The PES that have begun and not ended, by outgoing PID. Each has at most 64 KiB, as its length field allows."""

    def __init__(self) -> None:
        """Begin with none."""
        self.taken_back = 0
        """How many PES were taken back so far."""
        self._open: dict[int, _Pes] = {}

    def clear(self) -> None:
        """Forget all PES: another item begins."""
        self._open.clear()

    def begin_untrusted(self, pid: int, packet: bytearray, *, number: int, counter_before: int | None) -> None:
        """A PES begins in *packet*; *counter_before* is the PID's last continuity counter before it."""
        start = payload_offset(packet)
        length = int.from_bytes(packet[start + 4 : start + 6], "big")
        if length:  # 0: a video PES of unknown length; whether it is whole cannot be known
            self._open[pid] = _Pes(left=length + 6, number=number, counter_before=counter_before)
        else:
            self._open.pop(pid, None)

    def follow(self, pid: int, packet: bytearray) -> None:
        """Count *packet*, the first or a further one of the PES on its outgoing *pid*."""
        pes = self._open.get(pid)
        if pes is None:
            return
        pes.packets.append(packet)
        pes.left -= PACKET_BYTES - payload_offset(packet)
        if pes.left <= 0:
            del self._open[pid]

    def expire(self, *, written: int) -> None:
        """Give up PES that began more than :data:`MAX_WAITING_PACKETS` ago; *written* is the next packet's number."""
        for pid in [pid for pid, pes in self._open.items() if written - pes.number > MAX_WAITING_PACKETS]:
            del self._open[pid]

    @property
    def oldest_number(self) -> int | None:
        """The number of the first packet that may still be taken back; ``None``: all packets may be sent."""
        return min((pes.number for pes in self._open.values()), default=None)

    def take_back(self) -> dict[int, int]:
        """Replace the PES that are cut off by null packets.

        Returns, by outgoing PID, the continuity counters from which to continue.
        """
        counters = {}
        for pid, pes in self._open.items():
            if pes.counter_before is None:
                continue
            for packet in pes.packets:
                packet[:] = NULL_PACKET
            counters[pid] = pes.counter_before
            self.taken_back += 1
        self._open.clear()
        return counters
