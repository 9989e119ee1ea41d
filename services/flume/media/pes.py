"""Follows each PES of declared length to its end, so that one that an item's end cuts off can be taken back.

libvlc's multiplexer stops in the middle of the last audio PES of most films (measured); a decoder would play the rest
of it as a click and report damage at each seam.
"""

from flume.media.mpegts import NULL_PACKET, PACKET_BYTES, payload_offset

MAX_WAITING_PACKETS = 448
"""A PES that takes longer than this many packets of the whole stream (64 datagrams, 0.2 s at 4 Mbit/s) is no longer
waited for: it may be cut off then, but nothing else is delayed."""


class _Pes:
    """A PES on its way: *number* is its first packet's place in the outgoing stream."""

    __slots__ = ("counter_before", "left", "number", "packets")

    def __init__(self, *, left: int, number: int, counter_before: int | None) -> None:
        self.left, self.number, self.counter_before = left, number, counter_before
        self.packets: list[bytearray] = []


class UnfinishedPes:
    """The PES that have begun and not ended, by outgoing PID; each has at most 64 KiB, as its length field allows."""

    def __init__(self) -> None:
        """Begin with none."""
        self.taken_back = 0
        self._open: dict[int, _Pes] = {}

    def clear(self) -> None:
        """Forget all, at the beginning of an item."""
        self._open.clear()

    def begin_untrusted(self, pid: int, packet: bytearray, *, number: int, counter_before: int | None) -> None:
        """A PES begins in *packet*; *counter_before* is the PID's last continuity counter before it."""
        start = payload_offset(packet)
        length = int.from_bytes(packet[start + 4 : start + 6], "big")
        if length:  # 0: a video of unknown length, which nobody can tell from a whole one
            self._open[pid] = _Pes(left=length + 6, number=number, counter_before=counter_before)
        else:
            self._open.pop(pid, None)

    def follow(self, pid: int, packet: bytearray) -> None:
        """Count *packet*, which is the first or a further one of its PID's PES."""
        pes = self._open.get(pid)
        if pes is None:
            return
        pes.packets.append(packet)
        pes.left -= PACKET_BYTES - payload_offset(packet)
        if pes.left <= 0:
            del self._open[pid]

    def expire(self, *, written: int) -> None:
        """Stop waiting for PES that began more than :data:`MAX_WAITING_PACKETS` before the *written* packets' end."""
        for pid in [pid for pid, pes in self._open.items() if written - pes.number > MAX_WAITING_PACKETS]:
            del self._open[pid]

    @property
    def oldest_number(self) -> int | None:
        """The number of the first packet that may still be taken back; ``None``: all may leave."""
        return min((pes.number for pes in self._open.values()), default=None)

    def take_back(self) -> dict[int, int]:
        """Blank the PES that are cut off; return the continuity counters to go on from, by PID."""
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
