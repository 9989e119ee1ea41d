"""Transport packets in the bytes of a file: of 188, 192 or 204 bytes each, with junk in between. Pure.

192 bytes: M2TS, four bytes of arrival time before each packet. 204 bytes: sixteen of Reed-Solomon code or of padding
behind it. Sync is lost by two wrong sync bytes one after the other, and found by five right ones (ISO/IEC 13818-1,
annex G, and TR 101 290, 1.1); a single wrong one stays part of its packet.
"""

import itertools
from collections.abc import Iterable
from typing import NamedTuple

from flume.measures.ts.continuity import PACKET_BYTES
from flume.measures.ts.stream import SYNC_BYTE, TransportStream
from flume.measures.ts.values import StreamFigures, Thresholds

STRIDES = (188, 192, 204)
SYNCS = 5
LOOKAHEAD_BYTES = max(STRIDES) * SYNCS
PREFIX_BYTES = 4
"""Of a packet of 192 bytes."""


class Packets(NamedTuple):
    """Whole packets of 188 bytes, whatever surrounded them in the file."""

    data: bytes


class Gap(NamedTuple):
    """*size* bytes at *offset* of the file that belong to no packet; *at_end*: the file ends within a packet."""

    offset: int
    size: int
    at_end: bool


class Framer:
    """Finds packets in bytes that come in blocks of any size.

    >>> framer = Framer()
    >>> framer.feed_untrusted(b"junk" + (b"G" + bytes(187)) * 9)[0]
    Gap(offset=0, size=4, at_end=False)
    """

    def __init__(self) -> None:
        """Begin with no bytes."""
        self.packet_bytes: int | None = None
        """188, 192 or 204, as last found; None: no packet was found yet."""
        self._buffer = bytearray()
        self._offset = 0
        self._skipped = 0
        self._in_sync = False

    def feed_untrusted(self, block: bytes | bytearray | memoryview) -> list[Packets | Gap]:
        """Return what *block* completes. Never raises; keeps about :data:`LOOKAHEAD_BYTES` for the next call."""
        self._buffer += block
        return self._run(at_end=False)

    def finish(self) -> list[Packets | Gap]:
        """Return what is left: the file ends here."""
        pieces = self._run(at_end=True)
        self._skipped += len(self._buffer)
        self._drop(len(self._buffer))
        if self._skipped:
            pieces.append(Gap(self._offset - self._skipped, self._skipped, at_end=True))
            self._skipped = 0
        return pieces

    def _run(self, *, at_end: bool) -> list[Packets | Gap]:
        pieces: list[Packets | Gap] = []
        while True:
            if not self._in_sync and not self._hunt(at_end=at_end):
                return pieces
            if self._skipped:
                pieces.append(Gap(self._offset - self._skipped, self._skipped, at_end=False))
                self._skipped = 0
            size = self._whole(at_end=at_end)
            if size:
                pieces.append(Packets(self._cut(size)))
                self._drop(size)
            if self._in_sync:
                return pieces

    def _drop(self, size: int) -> None:
        del self._buffer[:size]
        self._offset += size

    def _hunt(self, *, at_end: bool) -> bool:
        """Go to where packets begin; return whether they do within the bytes that are here."""
        place = self._find(at_end=at_end)
        if place is None:
            keep = 0 if at_end else LOOKAHEAD_BYTES - 1 + PREFIX_BYTES
            size = max(0, len(self._buffer) - keep)
            self._skipped += size
            self._drop(size)
            return False
        begin, self.packet_bytes = place
        self._skipped += begin
        self._drop(begin)
        self._in_sync = True
        return True

    def _find(self, *, at_end: bool) -> tuple[int, int] | None:
        """Return where the first packet begins, with its prefix, and its size.

        Five sync bytes are asked for; at the end of a file as many as there is room for, but three at least, or the
        packets must fill the rest exactly.
        """
        buffer = self._buffer
        sync = buffer.find(SYNC_BYTE)
        while sync >= 0:
            room = len(buffer) - sync
            if not at_end and room < LOOKAHEAD_BYTES:
                return None
            for stride in STRIDES:
                syncs = buffer[sync : sync + stride * SYNCS : stride]
                begin = sync - PREFIX_BYTES if stride == 192 else sync
                if begin < 0 or syncs.count(SYNC_BYTE) < len(syncs):
                    continue
                if len(syncs) == SYNCS or (at_end and (len(syncs) >= 3 or not (len(buffer) - begin) % stride)):
                    return begin, stride
            sync = buffer.find(SYNC_BYTE, sync + 1)
        return None

    def _whole(self, *, at_end: bool) -> int:
        """Return how many bytes from the first on are packets; sync is lost where the next two are none."""
        stride = self.packet_bytes or PACKET_BYTES
        first = PREFIX_BYTES if stride == 192 else 0
        syncs = self._buffer[first::stride]
        whole = len(self._buffer) // stride
        bad = _two_wrong(syncs)
        if 0 <= bad < whole:
            self._in_sync = False
            return bad * stride
        # Whether a wrong last sync byte is a single one is seen when the next packet has come.
        if whole and not at_end and len(syncs) == whole and syncs[whole - 1] != SYNC_BYTE:
            whole -= 1
        return whole * stride

    def _cut(self, size: int) -> bytes:
        stride, buffer = self.packet_bytes, self._buffer
        if stride == PACKET_BYTES:
            return bytes(memoryview(buffer)[:size])
        first = PREFIX_BYTES if stride == 192 else 0
        places = range(first, size, stride or PACKET_BYTES)
        return b"".join([buffer[at : at + PACKET_BYTES] for at in places])


def _two_wrong(syncs: bytearray) -> int:
    """Return the index of the first two bytes in succession that are no sync bytes; -1 if there are none."""
    if syncs.count(SYNC_BYTE) == len(syncs):
        return -1
    for index, (one, other) in enumerate(itertools.pairwise(syncs)):
        if one != SYNC_BYTE != other:
            return index
    return -1


def examine_untrusted(blocks: Iterable[bytes], thresholds: Thresholds | None = None) -> StreamFigures:
    """Examine a file that comes in *blocks* of any size. Never raises; memory is bounded.

    >>> examine_untrusted([b"no transport stream"]).counts["1.1"]
    1
    """
    framer, analysis = Framer(), TransportStream(thresholds)
    for block in blocks:
        _take(framer.feed_untrusted(block), analysis)
    _take(framer.finish(), analysis)
    return analysis.result()


def _take(pieces: Iterable[Packets | Gap], analysis: TransportStream) -> None:
    for piece in pieces:
        if isinstance(piece, Packets):
            analysis.add_untrusted(piece.data, None)
        else:
            what = "the file ends within a packet" if piece.at_end else "no packets"
            analysis.lose_sync(f"{piece.size} bytes from byte {piece.offset} on: {what}")
