"""Where the packets of a transport stream lie in a file: one after another, or with something between them. Pure."""

import re
from typing import NamedTuple

from flume.media.mpegts import PACKET_BYTES

STRIDES = (PACKET_BYTES, 192, 204)
"""Bytes from packet to packet: plain, with a time of arrival (M2TS), with parity bytes (DVB)."""

SYNCS = 5
"""So many sync bytes in a row are packets."""

LOOK_AHEAD = (SYNCS - 1) * max(STRIDES) + 1
"""Bytes that must be there to decide about the first of them."""

_PATTERNS = tuple(
    (stride, re.compile(b"(?s)G(?=" + b"".join([b".{%d}G" % (stride - 1)] * (SYNCS - 1)) + b")")) for stride in STRIDES
)


class Alignment(NamedTuple):
    """A packet begins at *start*, and another one every *stride* bytes."""

    start: int
    stride: int


def find_alignment(data: bytes | bytearray, start: int = 0) -> Alignment | None:
    """Return where packets begin in *data* from *start* on; ``None`` if they do nowhere.

    >>> find_alignment(b"junk" + (b"G" + bytes(191)) * 5)
    Alignment(start=4, stride=192)
    """
    found = ((pattern.search(data, start), stride) for stride, pattern in _PATTERNS)
    return min((Alignment(match.start(), stride) for match, stride in found if match is not None), default=None)
