"""TCP segments of one direction, as captured, put back in order. Pure; the input is untrusted bytes.

Retransmissions add nothing. Segments out of order wait for the gap to close. Bytes that the peer acknowledged although
the capture does not hold them are reported: the capture is then incomplete, whatever tcpdump says.
"""

_MODULUS = 1 << 32
_MOST_WAITING_BYTES = 16 << 20
"""Out-of-order bytes kept for one direction: 3 s of 40 Mbit/s behind one lost segment."""


def _ahead(newer: int, older: int) -> int:
    """Return how far *newer* is ahead of *older* in TCP's 32-bit numbers, negative when it is behind."""
    return ((newer - older + (1 << 31)) % _MODULUS) - (1 << 31)


class SegmentStream:
    """One direction of one connection: numbered segments in, the bytes in order out.

    >>> stream = SegmentStream()
    >>> stream.begin(99)
    >>> stream.feed_untrusted(103, b"def"), stream.feed_untrusted(100, b"abc")
    (b'', b'abcdef')
    """

    def __init__(self) -> None:
        """Begin before any segment."""
        self.has_begin = False
        """Whether the capture holds the beginning of the stream: the SYN came before any data."""
        self._next: int | None = None
        self._acknowledged: int | None = None
        self._finished = False
        self._waiting: dict[int, bytes] = {}

    def begin(self, sequence: int) -> None:
        """Take the sender's SYN, numbered *sequence*."""
        if self._next is None:
            self.has_begin = True
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

    def feed_untrusted(self, sequence: int, data: bytes) -> bytes:
        """Take one segment; return the bytes that it adds to the stream in order. Raises nothing."""
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
