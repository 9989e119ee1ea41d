"""Media on the control connection: RTP packets in frames between the lines of JSON (RFC 4571). Pure.

A frame is a length of two bytes, most significant first, and the packet. A line of the server begins with ``{``, so the
first byte distinguishes the two. The bound on a frame's length keeps its first byte below eight, and no text begins
with such a byte: if another program speaks on the port, its text is reported as a line that is not the protocol.
"""

import struct
from typing import NamedTuple

from flume.control.codec import Line, LineAssembler

LENGTH_BYTES = 2
MAX_FRAME_BYTES = 0x07FF
"""Longest packet in a frame. Those of the stream have 1328 bytes: what a datagram carries over Ethernet."""

_FRAMES_BEGIN_BELOW = (MAX_FRAME_BYTES >> 8) + 1
_LENGTH = struct.Struct("!H")


class Frame(NamedTuple):
    """One packet that came in a frame."""

    packet: bytes


Item = Line | Frame


def frame_header(packet_bytes: int) -> bytes:
    """Return the bytes before a packet of *packet_bytes*, 1 to :data:`MAX_FRAME_BYTES`; raises :class:`ValueError`.

    >>> frame_header(1328)
    b'\\x050'
    """
    if not 1 <= packet_bytes <= MAX_FRAME_BYTES:
        message = f"a frame carries 1 to {MAX_FRAME_BYTES} bytes, not {packet_bytes}"
        raise ValueError(message)
    return _LENGTH.pack(packet_bytes)


class Demultiplexer:
    """Collects a server's bytes into lines and frames, in their order; memory is bounded by the longest of each.

    >>> Demultiplexer().feed_untrusted(b'{"event":"alive"}\\n' + frame_header(3) + b"abc")
    [b'{"event":"alive"}', Frame(packet=b'abc')]
    """

    def __init__(self) -> None:
        """Begin between two lines or frames."""
        self._lines = LineAssembler()
        self._in_line = False
        self._frame = bytearray()

    def feed_untrusted(self, data: bytes) -> list[Item]:
        """Take *data* and return what is now complete; blank lines and empty frames are left out. Raises nothing."""
        items: list[Item] = []
        at = 0
        while at < len(data):
            if self._in_line:
                end = data.find(b"\n", at) + 1
                items += self._lines.feed_untrusted(data[at : end or None])
                self._in_line = not end
                at = end or len(data)
            elif self._frame or data[at] < _FRAMES_BEGIN_BELOW:
                at = self._take_frame(data, at, items)
            else:
                self._in_line = True
        return items

    def _take_frame(self, data: bytes, at: int, items: list[Item]) -> int:
        """Take the bytes of the present frame out of *data*, from *at*; return where the rest begins."""
        frame = self._frame
        for _ in range(2):  # the length, then the packet
            missing = self._frame_bytes() - len(frame)
            frame += data[at : at + missing]
            at += missing
        if len(frame) >= LENGTH_BYTES and len(frame) == self._frame_bytes():
            if len(frame) > LENGTH_BYTES:
                items.append(Frame(bytes(frame[LENGTH_BYTES:])))
            frame.clear()
        return at

    def _frame_bytes(self) -> int:
        """Return how many bytes the present frame has, as far as is known: the length field counts."""
        if len(self._frame) < LENGTH_BYTES:
            return LENGTH_BYTES
        return LENGTH_BYTES + int(_LENGTH.unpack_from(self._frame)[0])
