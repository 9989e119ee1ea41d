"""Finds the first picture in a client's datagrams, and continuity errors. Pure."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bench.values import RTP_HEADER_BYTES
from flume.media.mpegts import NULL_PID, PACKET_BYTES, has_payload, payload_offset, pid_of, starts_unit

_IDR = 5
_VIDEO_STREAM_IDS = range(0xE0, 0xF0)


class Datagram(NamedTuple):
    """A datagram and the kernel's time of its arrival."""

    time_ns: int
    data: bytes


class Picture(NamedTuple):
    """When the last byte of a picture arrived, and whether a decoder can start with it."""

    time_ns: int
    keyframe: bool


def packets(datagram: bytes) -> Iterator[bytes]:
    """Return the transport packets of *datagram*, with or without an RTP header."""
    start = RTP_HEADER_BYTES if len(datagram) % PACKET_BYTES == RTP_HEADER_BYTES else 0
    for at in range(start, len(datagram) - PACKET_BYTES + 1, PACKET_BYTES):
        yield datagram[at : at + PACKET_BYTES]


def first_picture(datagrams: Sequence[Datagram]) -> Picture | None:
    """Return the first complete picture; ``None`` if there is none yet.

    A picture is complete when the next one on its PID has begun.
    """
    pid: int | None = None
    last_ns = 0
    content = bytearray()
    for time_ns, data in datagrams:
        for packet in packets(data):
            begins = _begins_picture(packet)
            if pid is None:
                if not begins:
                    continue
                pid = pid_of(packet)
            elif pid_of(packet) != pid:
                continue
            elif begins:
                return Picture(last_ns, _has_idr(bytes(content)))
            last_ns = time_ns
            content += packet[payload_offset(packet) :]
    return None


def _begins_picture(packet: bytes) -> bool:
    at = payload_offset(packet)
    return starts_unit(packet) and packet[at : at + 3] == b"\0\0\1" and packet[at + 3] in _VIDEO_STREAM_IDS


def _has_idr(stream: bytes) -> bool:
    at = stream.find(b"\0\0\1")
    while 0 <= at < len(stream) - 3:
        if stream[at + 3] & 0x9F == _IDR:  # forbidden_zero_bit is 0: a PES stream id has it set
            return True
        at = stream.find(b"\0\0\1", at + 3)
    return False


def continuity_errors(datagrams: Sequence[Datagram]) -> int:
    """Count the jumps of the PIDs' continuity counters; one repetition is legal (ISO/IEC 13818-1, 2.4.3.3)."""
    last: dict[int, int] = {}
    errors = 0
    for datagram in datagrams:
        for packet in packets(datagram.data):
            pid, counter = pid_of(packet), packet[3] & 15
            if pid == NULL_PID or not has_payload(packet):
                continue
            before = last.get(pid, counter)
            errors += counter not in {before, (before + 1) & 15}
            last[pid] = counter
    return errors
