"""Sections of tables (ISO/IEC 13818-1, 2.4.4) and where their bytes lie, so that tables can be changed there. Pure."""

from typing import NamedTuple

from flume.media.mpegts import PACKET_BYTES, payload_offset, starts_unit

MAX_BYTES = 4096
"""The longest section of any table."""


class Piece(NamedTuple):
    """*size* bytes of a section, at *place* in the file."""

    place: int
    size: int


class PlacedSection(NamedTuple):
    """A section with its CRC, not yet checked, and the pieces in which it lies."""

    data: bytes
    pieces: tuple[Piece, ...]


class SectionReader:
    """Collects the sections of one PID.

    Example::

        for section in reader.feed_untrusted(packet, place):
            ...
    """

    def __init__(self) -> None:
        """Begin outside any section."""
        self._data = bytearray()
        self._pieces: list[Piece] = []
        self._packet = 0

    @property
    def begun_at(self) -> int | None:
        """The place of the packet in which the section begins that is not complete; ``None`` if there is none."""
        return self._packet if self._data else None

    def feed_untrusted(self, packet: bytes, place: int) -> list[PlacedSection]:
        """Return the sections that *packet* completes, which lies at *place* in the file. Never raises."""
        start = payload_offset(packet)
        if start >= PACKET_BYTES:
            return []
        done: list[PlacedSection] = []
        if starts_unit(packet):
            begin = min(start + 1 + packet[start], PACKET_BYTES)
            if self._data:
                done += self._add(packet, start + 1, begin, place)
            self._clear()
            self._packet = place
            start = begin
        elif not self._data:
            return []
        return done + self._add(packet, start, PACKET_BYTES, place)

    def _add(self, packet: bytes, begin: int, end: int, place: int) -> list[PlacedSection]:
        if begin < end:
            self._data += packet[begin:end]
            self._pieces.append(Piece(place + begin, end - begin))
        done: list[PlacedSection] = []
        while len(self._data) >= 3 and self._data[0] != 0xFF:
            length = 3 + ((self._data[1] & 0x0F) << 8 | self._data[2])
            if length > MAX_BYTES:
                break
            if len(self._data) < length:
                return done
            done.append(PlacedSection(bytes(self._data[:length]), self._take(length)))
            self._packet = place
        if len(self._data) >= 3 or self._data[:1] == b"\xff":
            self._clear()
        return done

    def _take(self, length: int) -> tuple[Piece, ...]:
        del self._data[:length]
        taken = []
        while length:
            piece = self._pieces.pop(0)
            size = min(piece.size, length)
            taken.append(Piece(piece.place, size))
            length -= size
            if size < piece.size:
                self._pieces.insert(0, Piece(piece.place + size, piece.size - size))
        return tuple(taken)

    def _clear(self) -> None:
        self._data.clear()
        self._pieces.clear()
