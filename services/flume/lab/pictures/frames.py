"""The video frames in transport packets: when each is to be shown, and in which datagrams it lies. Pure.

ISO/IEC 13818-1: a PES packet of video begins with payload_unit_start; its header names the PTS. A PES packet carries
one frame: every muxer we know writes it so.
"""

from collections.abc import Iterator
from typing import NamedTuple

from flume.lab.evidence.frames import TS_PACKET_BYTES, FrameCounter

PTS_MODULUS = 1 << 33
_PTS_FLAG = 0x80


class SentFrame(NamedTuple):
    """One frame of the stream."""

    pts: int
    """In units of 1/90000 s, modulo 2^33."""
    places: tuple[int, ...]
    """The datagrams that hold a part of it, and the one in which the next frame begins: only that one ends it."""


class FrameReader:
    """Datagrams in, in their order; frames out."""

    def __init__(self) -> None:
        """Know no PID."""
        self._counter = FrameCounter()
        self._pts: int | None = None
        self._places: list[int] = []

    @property
    def pid(self) -> int | None:
        """The PID of the video: of the first one that a PMT named; None before one did."""
        return self._counter.first_video_pid

    def feed_untrusted(self, place: int, packets: bytes, *, gap: bool) -> Iterator[SentFrame]:
        """Take the datagram at *place*; yield the frames that it ends. Raises nothing.

        *gap*: the datagram before it is not known, so the frame that was on its way is not either.
        """
        if gap:
            self._pts, self._places = None, []
        self._counter.count_untrusted(packets)  # learns the PIDs
        pid = self.pid
        for at in range(0, len(packets) - TS_PACKET_BYTES + 1, TS_PACKET_BYTES):
            packet = packets[at : at + TS_PACKET_BYTES]
            if packet[0] != 0x47 or (packet[1] & 0x1F) << 8 | packet[2] != pid:
                continue
            if packet[1] & 0x40:
                if self._pts is not None:
                    yield SentFrame(self._pts, tuple(dict.fromkeys([*self._places, place])))
                self._pts, self._places = pts_untrusted(packet), []
            self._places.append(place)


def pts_untrusted(packet: bytes) -> int | None:
    """Return the PTS of the PES packet that begins in the transport packet *packet*; None without one."""
    start = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
    header = packet[start : start + 14]
    if len(header) < 14 or header[:3] != b"\0\0\1" or not header[7] & _PTS_FLAG:
        return None
    high, middle, low = header[9] >> 1 & 7, int.from_bytes(header[10:12]) >> 1, int.from_bytes(header[12:14]) >> 1
    return high << 30 | middle << 15 | low
