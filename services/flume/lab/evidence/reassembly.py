"""TCP segments of one direction, as captured, put back into lines and frames. Pure; the input is a stranger's bytes.

Retransmissions add nothing, segments out of order wait, and bytes that the peer acknowledged although the capture
does not hold them are reported: then the capture is incomplete, whatever tcpdump says.
"""

from typing import NamedTuple

from flume.settings import MAX_LINE_BYTES

_MODULUS = 1 << 32
_MOST_WAITING_BYTES = 16 << 20
"""Out-of-order bytes kept for one direction: 3 s of 40 Mbit/s behind one lost segment."""

_FRAMES_BEGIN_BELOW = 8
"""A frame (RFC 4571) begins with its length, of which the first byte is below this; no text begins so."""
_LENGTH_BYTES = 2
_LINE_BEGINS = b"{\r\n"
"""With which a line of the server begins; a blank one, too."""


class Unit(NamedTuple):
    """One line, newline included, or what one frame carries. What begins like neither counts as a frame, too."""

    data: bytes
    is_frame: bool
    offset: int
    """Of its first byte in the direction's stream, from 0: says which of two in one segment came first."""


def _ahead(newer: int, older: int) -> int:
    """Return how far *newer* is ahead of *older* in TCP's 32-bit numbers, negative when it is behind."""
    return ((newer - older + (1 << 31)) % _MODULUS) - (1 << 31)


class LineStream:
    """One direction of one connection."""

    def __init__(self) -> None:
        """Begin before any segment."""
        self._next: int | None = None
        self._acknowledged: int | None = None
        self._finished = False
        self._waiting: dict[int, bytes] = {}
        self._partial = b""

    def begin(self, sequence: int) -> None:
        """Take the sender's SYN, numbered *sequence*."""
        if self._next is None:
            self._next = (sequence + 1) % _MODULUS

    def finish(self) -> None:
        """Take the sender's FIN, which counts as one byte."""
        self._finished = True

    def acknowledge(self, number: int) -> None:
        """Take the receiver's acknowledgement of everything before *number*."""
        if self._acknowledged is None or _ahead(number, self._acknowledged) > 0:
            self._acknowledged = number

    @property
    def missing_bytes(self) -> int:
        """Bytes that the receiver acknowledged and the capture does not hold in order."""
        if self._next is None or self._acknowledged is None:
            return 0
        return max(0, _ahead(self._acknowledged, self._next) - int(self._finished))

    def feed_untrusted(self, sequence: int, data: bytes) -> list[bytes]:
        """Take one segment; return the lines that it completes, newlines included. Raises nothing."""
        fresh = self._fresh(sequence, data)
        *lines, self._partial = (self._partial + fresh).split(b"\n")
        if len(self._partial) > 4 * MAX_LINE_BYTES:  # No line of ours: the server refuses it long before.
            self._partial = b""
        return [line + b"\n" for line in lines]

    def _fresh(self, sequence: int, data: bytes) -> bytes:
        """Take one segment; return what it adds to the stream in order."""
        if not data:
            return b""
        if self._next is None:  # The capture began in the middle: the first line may be the rest of one.
            self._next = sequence
        if len(self._waiting.get(sequence, b"")) < len(data):
            self._waiting[sequence] = data
        fresh = self._in_order()
        if sum(map(len, self._waiting.values())) > _MOST_WAITING_BYTES:
            self._waiting.clear()
        return fresh

    def _in_order(self) -> bytes:
        """Move what continues the stream out of the waiting segments."""
        fresh = bytearray()
        for sequence in sorted(self._waiting, key=lambda number: _ahead(number, self._next or 0)):
            offset = _ahead(self._next or 0, sequence)
            if offset < 0:
                break
            data = self._waiting.pop(sequence)[offset:]
            fresh += data
            self._next = ((self._next or 0) + len(data)) % _MODULUS
        return bytes(fresh)


class MixedStream(LineStream):
    """The server's direction of one connection: lines, and frames between them once its beginning is known."""

    def __init__(self) -> None:
        """Begin before any segment."""
        super().__init__()
        self.has_begun = False
        """Whether the beginning is known, so that frames can be told from lines."""
        self._rest = bytearray()
        self._offset = 0

    def begin(self, sequence: int) -> None:
        """Take the sender's SYN, numbered *sequence*."""
        if self._next is None:
            self.has_begun = True
        super().begin(sequence)

    def units_untrusted(self, sequence: int, data: bytes) -> list[Unit]:
        """Take one segment; return the lines and frames that it completes, in their order. Raises nothing."""
        rest, at = self._rest, 0
        rest += self._fresh(sequence, data)
        units: list[Unit] = []
        while at < len(rest):
            is_frame = self.has_begun and rest[at] < _FRAMES_BEGIN_BELOW
            is_neither = self.has_begun and not is_frame and rest[at] not in _LINE_BEGINS
            end = self._end_of_frame(at) if is_frame else rest.find(b"\n", at) + 1
            if is_neither:  # Its end is not known, and it may never have one.
                end = end or len(rest)
            elif end == 0 and len(rest) - at > 4 * MAX_LINE_BYTES:  # No line of ours.
                end, is_neither = len(rest), self.has_begun
            if not 0 < end <= len(rest):
                break
            start = at + _LENGTH_BYTES if is_frame else at
            if start < end:
                units.append(Unit(bytes(rest[start:end]), is_frame or is_neither, self._offset + at))
            at = end
        del rest[:at]
        self._offset += at
        return units

    def _end_of_frame(self, at: int) -> int:
        """Return where the frame that begins *at* ends; 0 while its length is not complete."""
        length = self._rest[at : at + _LENGTH_BYTES]
        return at + _LENGTH_BYTES + int.from_bytes(length, "big") if len(length) == _LENGTH_BYTES else 0
