"""TCP segments of one direction, as captured, put back into lines. Pure; the input is a stranger's bytes.

Retransmissions add nothing, segments out of order wait, and bytes that the peer acknowledged although the capture
does not hold them are reported: then the capture is incomplete, whatever tcpdump says.
"""

from flume.settings import MAX_LINE_BYTES

_MODULUS = 1 << 32
_MOST_WAITING_BYTES = 1 << 20
"""Out-of-order bytes kept for one direction; a control connection carries a few KiB a minute."""


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
        if not data:
            return []
        if self._next is None:  # The capture began in the middle: the first line may be the rest of one.
            self._next = sequence
        if len(self._waiting.get(sequence, b"")) < len(data):
            self._waiting[sequence] = data
        fresh = self._in_order()
        if sum(map(len, self._waiting.values())) > _MOST_WAITING_BYTES:
            self._waiting.clear()
        *lines, self._partial = (self._partial + fresh).split(b"\n")
        if len(self._partial) > 4 * MAX_LINE_BYTES:  # No line of ours: the server refuses it long before.
            self._partial = b""
        return [line + b"\n" for line in lines]

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
