"""Keeps the parameter sets of a video, without which no decoder can begin, and puts them where a client joins.

Encoders with intra refresh write them once, at the beginning of a film. MP4 keeps them outside the stream, and
multiplexers write them before IDR pictures only, not before the recovery points of an open GOP. A client that joins
there would show nothing for as long as the film lasts.

What is kept: SPS, PPS and VPS of H.264 (ITU-T H.264, 7.4.1) and H.265 (ITU-T H.265, 7.4.2.2), the sequence header and
its extensions of MPEG-1 and MPEG-2 (ISO/IEC 13818-2, 6.2.1), the headers above the picture of MPEG-4 Visual (ISO/IEC
14496-2, 6.2.1) and the sequence and entry-point headers of VC-1 (SMPTE 421M, annex E).
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple

MAX_BYTES = 4096
"""Most bytes of an access unit that are searched for parameter sets, and most that are kept: H.264 with scaling lists
in all its sets needs less than 1 kB."""

Kind = Literal["set", "picture", "delimiter", "other"]


class _Codec(NamedTuple):
    kind: Callable[[int], Kind]
    """What the unit is whose first byte after the start code is this."""
    leader: frozenset[int]
    """First bytes, less the bits that :attr:`mask` clears, of the set without which the others mean nothing."""
    mask: int
    is_trailed: bool
    """Whether zeros at a unit's end belong to the next start code: a unit never ends with one."""


def _h264(unit: int) -> Kind:
    number = unit & 0x1F
    if number in {7, 8, 13, 15}:  # SPS, PPS, SPS extension, subset SPS
        return "set"
    return "picture" if number in {1, 2, 5, 20} else "delimiter" if number == 9 else "other"


def _h265(unit: int) -> Kind:
    number = unit >> 1 & 0x3F
    if 32 <= number <= 34:  # VPS, SPS, PPS
        return "set"
    return "picture" if number < 32 else "delimiter" if number == 35 else "other"


def _mpeg12(unit: int) -> Kind:
    if unit in {0xB3, 0xB5}:  # sequence header; extensions, which before the first picture are the sequence's
        return "set"
    return "picture" if unit <= 0xAF else "other"


def _mpeg4(unit: int) -> Kind:
    if unit in {0xB0, 0xB5} or unit <= 0x2F:  # visual object sequence, visual object; video object and its layer
        return "set"
    return "picture" if unit == 0xB6 else "other"


def _vc1(unit: int) -> Kind:
    if unit in {0x0E, 0x0F}:  # entry point, sequence header
        return "set"
    return "picture" if unit in {0x0B, 0x0C, 0x0D} else "other"


_MPEG12 = _Codec(_mpeg12, frozenset({0xB3}), 0xFF, is_trailed=False)

_CODECS: Mapping[int, _Codec] = {
    0x01: _MPEG12,
    0x02: _MPEG12,
    0x10: _Codec(_mpeg4, frozenset({0x20}), 0xF0, is_trailed=False),
    0x1B: _Codec(_h264, frozenset({7}), 0x1F, is_trailed=True),
    0x24: _Codec(_h265, frozenset({33 << 1}), 0x7E, is_trailed=True),
    0xEA: _Codec(_vc1, frozenset({0x0F}), 0xFF, is_trailed=False),
}


def _starts(data: bytes) -> Iterator[int]:
    """Yield the position of each start code 00 00 01 that has a byte after it."""
    position = data.find(b"\0\0\1")
    while 0 <= position < len(data) - 3:
        yield position
        position = data.find(b"\0\0\1", position + 3)


class ParameterSets:
    """The parameter sets of the main video of one item, as its access units bring them.

    Example::

        sets.begin(stream_type, first_bytes)
        while sets.is_collecting:
            sets.follow(next_bytes)
        if not sets.are_present:
            position = insert_position(stream_type, first_bytes)
    """

    def __init__(self) -> None:
        """Begin before the first item."""
        self.inserted = 0
        """How often they were put before a frame that had none. The writer counts."""
        self.begin_item()

    def begin_item(self) -> None:
        """Forget the sets: the next item is another stream."""
        self._codec: _Codec | None = None
        self._stream_type = -1
        self._kept = b""
        self._collected: bytearray | None = None
        self.are_present = False
        """Whether the present access unit brings sets itself, in its first bytes."""

    @property
    def is_collecting(self) -> bool:
        """Whether the present access unit's sets may go on in the next packet."""
        return self._collected is not None

    @property
    def kept(self) -> bytes:
        """All sets that came last, each with a start code; empty before the first."""
        return self._kept

    def begin(self, stream_type: int, data: bytes) -> None:
        """An access unit begins with *data*."""
        if stream_type != self._stream_type:
            self.begin_item()
            self._stream_type, self._codec = stream_type, _CODECS.get(stream_type)
        self._collected, self.are_present = None, False
        if self._codec is None:
            return
        kinds = [self._codec.kind(data[start + 3]) for start in _starts(data)]
        has_picture = "picture" in kinds
        self.are_present = "set" in (kinds[: kinds.index("picture")] if has_picture else kinds)
        if self.are_present or not has_picture:  # sets may come behind long supplemental information
            self._collected = bytearray()
            self.follow(data)

    def follow(self, data: bytes) -> None:
        """The access unit continues with *data*."""
        if self._collected is None or self._codec is None:
            return
        self._collected += data
        sets, is_whole = self._sets(bytes(self._collected), self._codec)
        if is_whole or len(self._collected) >= MAX_BYTES:
            self._keep(sets, self._codec)
            self._collected = None

    @staticmethod
    def _sets(data: bytes, codec: _Codec) -> tuple[list[bytes], bool]:
        """Return the sets in *data* that another start code ends, and whether no more will come."""
        sets: list[bytes] = []
        for start, end in itertools.pairwise([*_starts(data), len(data)]):
            kind = codec.kind(data[start + 3])
            if kind == "picture":
                return sets, True
            if kind == "set" and end < len(data):
                sets.append(data[start:end].rstrip(b"\0") if codec.is_trailed else data[start:end])
        return sets, False

    def _keep(self, sets: list[bytes], codec: _Codec) -> None:
        # Annex B of H.264 and H.265 asks for a zero before the start code of a set; other codecs allow it.
        has_leader = any(unit[3] & codec.mask in codec.leader for unit in sets)
        if not has_leader and not self._kept:
            return
        # H.264 and H.265 allow a PPS of its own: it is added to those that came with the SPS.
        before = b"" if has_leader else self._kept
        kept = before + b"".join(b"\0" + unit for unit in sets if unit not in before)
        if len(kept) <= MAX_BYTES:
            self._kept = kept


def insert_position(stream_type: int, data: bytes) -> int:
    """Return where in an access unit's first bytes *data* parameter sets belong: after its delimiter, if it has one.

    >>> insert_position(0x1B, bytes([0, 0, 0, 1, 9, 16, 0, 0, 1, 65]))
    6
    """
    codec, starts = _CODECS.get(stream_type), list(_starts(data))
    if codec is None or not starts or codec.kind(data[starts[0] + 3]) != "delimiter":
        return 0
    if len(starts) == 1:
        return len(data)
    return starts[1] - (codec.is_trailed and data[starts[1] - 1] == 0)
