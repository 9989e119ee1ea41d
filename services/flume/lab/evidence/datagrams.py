"""Payloads in, datagrams of the stream out: identity, RTP number, and the video frames that begin in each. Pure."""

import struct
from collections.abc import Callable
from hashlib import blake2b

from flume.capture.dissect import Segment
from flume.lab.evidence.facts import MediaDatagram
from flume.lab.evidence.frames import TS_PACKET_BYTES, FrameCounter

RTP_HEADER_BYTES = 12
PAYLOAD_BYTES = 7 * TS_PACKET_BYTES
"""Transport packets in one datagram: 7, the most that fits an Ethernet frame beside RTP."""
_PAT = frozenset({b"\x40\x00", b"\x00\x00"})
"""What follows the sync byte of a packet of the PAT: PID 0, usually with payload_unit_start."""
_IDENTITY_BYTES = 16
"""A digest of 128 bits: among 2^20 datagrams two share one by chance once in 2^89 captures."""
_MARKER = 0x80
"""Of RTP. Datagrams of the stream have none."""

Keep = Callable[[bytes, bytes], None]
"""Takes the identity of a datagram and all its bytes, once for each identity."""


class DatagramDecoder:
    """Decodes the datagrams of one capture, in their order: the PIDs of the video are learned on the way."""

    def __init__(self, keep: Keep | None = None) -> None:
        """Know no PID. *keep* gets the bytes of the datagrams, which are not kept here."""
        self._keep = keep
        self._frames = FrameCounter()
        self._seen: dict[bytes, tuple[int, bytes]] = {}
        """Identity to frames and content: every client gets the same datagrams, so each is looked into once."""

    def decode_untrusted(
        self, time_s: float, segment: Segment, data: bytes, *, offset: int | None = None
    ) -> MediaDatagram:
        """Return *data*, which *segment* carried, as one datagram. Raises nothing.

        *offset* is the position of its frame on the control connection; None: it came over UDP.
        """
        identity = blake2b(data, digest_size=_IDENTITY_BYTES).digest()
        sequence = timestamp = ssrc = None
        start = 0
        if _is_rtp(data):
            sequence, timestamp, ssrc = struct.unpack_from("!xxHII", data)
            start = RTP_HEADER_BYTES
            if data[1] & _MARKER and _is_stuffing(data[start:]):
                sequence = None  # it repeats a number so that a player goes on counting, and is no part of the stream
        seen = self._seen.get(identity)
        if seen is None:
            content = blake2b(data[start:], digest_size=_IDENTITY_BYTES).digest() if start else identity
            seen = self._seen[identity] = self._frames.count_untrusted(memoryview(data)[start:]), content
            if self._keep is not None:
                self._keep(identity, data)
        frames, content = seen
        ends = segment.source, segment.destination
        is_entry = data[start : start + 1] == b"\x47" and data[start + 1 : start + 3] in _PAT
        return MediaDatagram(
            time_s,
            *ends,
            identity,
            sequence,
            ssrc,
            len(data),
            frames,
            offset,
            is_entry,
            timestamp=timestamp,
            content=content,
        )


def datagram_bytes(data: bytes) -> int:
    """Return the length of one datagram of the stream that *data* belongs to; 0 when it is no stream.

    A segmentation batch is several datagrams of this length, one behind the other.
    """
    if _is_rtp(data):
        return RTP_HEADER_BYTES + PAYLOAD_BYTES
    return PAYLOAD_BYTES if data[:1] == b"\x47" and len(data) % TS_PACKET_BYTES == 0 else 0


def packets_untrusted(data: bytes) -> bytes:
    """Return the transport packets in a datagram of the stream: whole ones, without what comes before and behind them.

    >>> packets_untrusted(b"G" + bytes(200)) == b"G" + bytes(187)
    True
    """
    start = RTP_HEADER_BYTES if _is_rtp(data) else 0
    return data[start : len(data) - (len(data) - start) % TS_PACKET_BYTES]


def _is_rtp(data: bytes) -> bool:
    """Whether *data* begins like RTP version 2 with MPEG-TS (RFC 2250: payload type 33)."""
    return (
        len(data) > RTP_HEADER_BYTES and data[0] >> 6 == 2 and data[1] & 0x7F == 33 and data[RTP_HEADER_BYTES] == 0x47
    )


def _is_stuffing(packets: bytes) -> bool:
    """Whether *packets* of MPEG-TS are null packets alone (ISO/IEC 13818-1, 2.4.3.3)."""
    heads = (packets[at + 1 : at + 3] for at in range(0, len(packets), TS_PACKET_BYTES))
    return all(head == b"\x1f\xff" for head in heads)
