"""Takes a target's input apart: choices first, bytes last."""

from collections.abc import Iterator


class Reading:
    """Reads one input from its beginning; what is missing at its end reads as 0.

    >>> reading = Reading(b"\\x02\\x03abcd")
    >>> reading.byte(), reading.block(), reading.rest()
    (2, b'abc', b'd')
    """

    def __init__(self, data: bytes) -> None:
        """Begin at the first byte."""
        self._data, self._at = data, 0

    def __bool__(self) -> bool:
        """Whether a byte is left."""
        return self._at < len(self._data)

    def take(self, count: int) -> bytes:
        """Return the next *count* bytes, or as many as there are."""
        taken = self._data[self._at : self._at + count]
        self._at += len(taken)
        return taken

    def byte(self) -> int:
        """Return the next byte."""
        return int.from_bytes(self.take(1), "big")

    def word(self) -> int:
        """Return the next two bytes as a number."""
        return int.from_bytes(self.take(2).ljust(2, b"\0"), "big")

    def block(self) -> bytes:
        """Return as many bytes as the next byte says."""
        return self.take(self.byte())

    def rest(self) -> bytes:
        """Return what is left."""
        return self.take(len(self._data))


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """Yield *data* in pieces of *size* bytes and one more in turn, as a stream may arrive."""
    at = 0
    while at < len(data):
        yield data[at : at + 1 + size]
        at += 1 + size
        size ^= 1
