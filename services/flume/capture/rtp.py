"""The header of RTP (RFC 3550, 5.1), and datagrams that a segmentation batch holds. Pure; the input is untrusted."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

HEADER_BYTES = 12
MPEG_TS = 33
"""Payload type of MPEG-TS (RFC 3551)."""
_RTCP = range(64, 96)
"""Payload types that RTCP would have on the same port (RFC 5761): no media uses them."""
_TS_BYTES, _MOST_TS = 188, 7


class RtpPacket(NamedTuple):
    """One packet of RTP version 2."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    """Without the header, its contributors and extension, and without padding."""


def rtp_untrusted(data: bytes) -> RtpPacket | None:
    """Return the packet that *data* is; None where it cannot be RTP. Raises nothing.

    >>> rtp_untrusted(bytes.fromhex("8021000a 00000e10 00000007") + b"G...").sequence
    10
    """
    if len(data) < HEADER_BYTES or data[0] >> 6 != 2 or data[1] & 0x7F in _RTCP:
        return None
    first, second, sequence, timestamp, ssrc = struct.unpack_from("!BBHII", data)
    start, end = HEADER_BYTES + 4 * (first & 0x0F), len(data)
    if first & 0x10:
        if start + 4 > end:
            return None
        start += 4 + 4 * (data[start + 2] << 8 | data[start + 3])
    if first & 0x20:
        end -= data[-1]
    if start > end:
        return None
    return RtpPacket(second & 0x7F, second > 0x7F, sequence, timestamp, ssrc, data[start:end])


def unbatched_untrusted(data: bytes) -> Iterator[bytes]:
    """Yield the datagrams of RTP with MPEG-TS in *data*: one, or those that segmentation offload will cut it into.

    A capture on the sending host holds such a batch as one packet: datagrams of one length, of which the last may be
    shorter. Raises nothing.

    >>> one = bytes.fromhex("8021000a 00000e10 00000007") + b"G" * 1316
    >>> [len(each) for each in unbatched_untrusted(one * 2 + one[:200])]
    [1328, 1328, 200]
    """
    unit = _unit(data)
    for start in range(0, len(data), unit):
        yield data[start : start + unit]


def _unit(data: bytes) -> int:
    """Return the length of one datagram of the batch *data*; all of it where it is none."""
    for packets in range(_MOST_TS, 0, -1):
        unit = HEADER_BYTES + packets * _TS_BYTES
        again = data[unit : unit + HEADER_BYTES]
        if len(again) == HEADER_BYTES and again[:2] == data[:2] and again[8:] == data[8:HEADER_BYTES]:
            return unit
    return len(data) or 1
