"""RTP headers (RFC 3550, section 5.1) and 16-bit sequence arithmetic.

Covers what MPEG-TS over RTP needs (RFC 2250): version 2, payload type 33, a 90 kHz timestamp. Received headers are
parsed in full, so that padding, CSRC lists and extensions of other senders are skipped correctly.
"""

import struct
from typing import NamedTuple

from flume.errors import RemoteProtocolError

HEADER_BYTES = 12
PAYLOAD_TYPE_MP2T = 33
CLOCK_HZ = 90_000
"""Of the timestamp."""
SEQUENCE_MODULUS = 1 << 16

HEADER = struct.Struct("!BBHII")
"""Version and flags, payload type, sequence number, timestamp, SSRC."""
FIRST_BYTES = (0x80, PAYLOAD_TYPE_MP2T)
"""Version 2 without padding, extension or CSRC; no marker."""


class RtpPacket(NamedTuple):
    """The parts of a received RTP packet; *payload* is a view into the datagram."""

    sequence: int
    timestamp: int
    ssrc: int
    payload: memoryview


def pack_header_into(buffer: bytearray | memoryview, offset: int, *, sequence: int, timestamp: int, ssrc: int) -> None:
    """Write the 12 header bytes at *offset*.

    *sequence* is taken modulo 2^16 and *timestamp*, which counts at 90 kHz, modulo 2^32.
    """
    HEADER.pack_into(buffer, offset, *FIRST_BYTES, sequence % SEQUENCE_MODULUS, timestamp % (1 << 32), ssrc)


def parse_untrusted(datagram: bytes | bytearray | memoryview) -> RtpPacket:
    """Return the parts of *datagram*, or raise :class:`~flume.errors.RemoteProtocolError` and no other error.

    Its code is ``rtp_short``, ``rtp_padding`` or, for other protocols, ``rtp_unsupported``.

    >>> parse_untrusted(bytes([0x80, 33]) + bytes(10) + b"payload").payload.tobytes()
    b'payload'
    """
    view = memoryview(datagram)
    if len(view) < HEADER_BYTES:
        raise RemoteProtocolError("rtp_short", f"an RTP packet has at least {HEADER_BYTES} bytes, this one {len(view)}")
    first, kind, sequence, timestamp, ssrc = HEADER.unpack_from(view)
    if first >> 6 != 2 or kind & 0x7F != PAYLOAD_TYPE_MP2T:
        raise RemoteProtocolError("rtp_unsupported", "not RTP version 2 with payload type 33 (MPEG-TS)")
    start = HEADER_BYTES + 4 * (first & 0x0F)
    if first & 0x10:
        if len(view) < start + 4:
            raise RemoteProtocolError("rtp_short", "the RTP header extension is cut off")
        start += 4 + 4 * int.from_bytes(view[start + 2 : start + 4], "big")
    end = len(view)
    if first & 0x20:
        padding = view[-1]
        if padding == 0:
            raise RemoteProtocolError("rtp_padding", "RTP padding of length 0")
        end -= padding
    if end < start:
        raise RemoteProtocolError("rtp_short", "header, extension and padding are longer than the packet")
    return RtpPacket(sequence, timestamp, ssrc, view[start:end])


def packet_of_untrusted(ssrc: int | None, datagram: bytes | bytearray | memoryview) -> RtpPacket | None:
    """Return the parts of *datagram* if it is RTP of the stream *ssrc*; None for anything else, and without a stream.

    >>> packet_of_untrusted(7, bytes([0x80, 33]) + bytes(9) + b"\x07payload").payload.tobytes()
    b'payload'
    >>> packet_of_untrusted(8, bytes([0x80, 33]) + bytes(9) + b"\x07payload") is None
    True
    """
    try:
        packet = parse_untrusted(datagram)
    except RemoteProtocolError:
        return None
    return packet if packet.ssrc == ssrc else None


def sequence_distance(newer: int, older: int) -> int:
    """Return how far sequence number *newer* is ahead of *older*, from -32768 to 32767, across the wrap (RFC 1982).

    >>> sequence_distance(2, 65_535)
    3
    """
    return ((newer - older + 0x8000) & 0xFFFF) - 0x8000


def timestamp_distance(newer: int, older: int) -> int:
    """Return how far timestamp *newer* is ahead of *older*, from -2^31 to 2^31 - 1, across the wrap of 32 bits.

    Both may be any integers: only their low 32 bits count. At 90 kHz the range is 6.6 hours in either direction.

    >>> timestamp_distance(900, 0xFFFF_FFFF)
    901
    """
    return ((newer - older + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000


def extend_sequence(sequence: int, reference: int) -> int:
    """Return the number nearest to *reference*, of any size, whose low 16 bits are *sequence*.

    >>> extend_sequence(1, 65_535)
    65537
    """
    return reference + sequence_distance(sequence, reference & 0xFFFF)
