"""MPEG-2 transport packets (ISO/IEC 13818-1, section 2.4.3): sync, headers, PCR, and PES timestamps.

A packet is a ``bytearray`` of 188 bytes, which restamping changes in place. Timestamps are integers: PCR at 27 MHz, PTS
and DTS at 90 kHz, each modulo its field; :mod:`flume.media.timeline` unwraps them. All functions tolerate arbitrary
bytes and return ``None`` for a field that cannot be read.
"""

from typing import NamedTuple

PACKET_BYTES = 188
SYNC_BYTE = 0x47
NULL_PID = 0x1FFF
PAT_PID = 0x0000

PCR_HZ = 27_000_000
PTS_HZ = 90_000
TICKS_PER_PTS = PCR_HZ // PTS_HZ
PTS_MODULUS = 1 << 33
PCR_MODULUS = PTS_MODULUS * TICKS_PER_PTS

NULL_PACKET = bytes([SYNC_BYTE, 0x1F, 0xFF, 0x10]) + b"\xff" * (PACKET_BYTES - 4)
"""Padding, which receivers skip. The standard leaves its continuity counter undefined."""

_STREAM_IDS_WITHOUT_HEADER = frozenset({0xBC, 0xBE, 0xBF, 0xF0, 0xF1, 0xF2, 0xF8, 0xFF})
"""Section 2.4.3.6: program stream map, padding, private 2, ECM, EMM, DSM-CC, H.222.1 E and the directory carry no
PES header after the length."""


class PesStart(NamedTuple):
    """The header of a PES that begins in a packet. Offsets count bytes from the packet's start."""

    pts: int | None
    """90 kHz; ``None`` if the PES has no timestamps."""
    dts: int | None
    """90 kHz; equal to *pts* if the PES has no DTS of its own."""
    pts_offset: int | None
    dts_offset: int | None
    """``None`` if the PES has no DTS of its own."""
    payload_offset: int


def find_sync(buffer: bytes | bytearray, start: int) -> int | None:
    """Return the first position from *start* at which two packets in a row begin; ``None`` if there is none yet."""
    last = len(buffer) - PACKET_BYTES
    position = buffer.find(SYNC_BYTE, start)
    while 0 <= position < last:
        if buffer[position + PACKET_BYTES] == SYNC_BYTE:
            return position
        position = buffer.find(SYNC_BYTE, position + 1)
    return None


def pid_of(packet: bytes | bytearray) -> int:
    """Return the packet identifier, 0 to 8191."""
    return (packet[1] & 0x1F) << 8 | packet[2]


def set_pid(packet: bytearray, pid: int) -> None:
    """Write *pid*; the flags in the same bytes stay."""
    packet[1] = packet[1] & 0xE0 | pid >> 8
    packet[2] = pid & 0xFF


def has_payload(packet: bytes | bytearray) -> bool:
    """Return whether the packet has a payload, so that the continuity counter advances with it."""
    return bool(packet[3] & 0x10)


def starts_unit(packet: bytes | bytearray) -> bool:
    """Return whether a PES or a section begins in the packet (payload_unit_start_indicator)."""
    return packet[1] & 0x40 != 0 and packet[3] & 0x10 != 0


def payload_offset(packet: bytes | bytearray) -> int:
    """Return where the payload begins; 188 if there is none, or if the adaptation field claims the whole packet."""
    if not packet[3] & 0x10:
        return PACKET_BYTES
    if not packet[3] & 0x20:
        return 4
    return min(5 + packet[4], PACKET_BYTES)


def _has_adaptation_flags(packet: bytes | bytearray) -> bool:
    return packet[3] & 0x20 != 0 and 0 < packet[4] < PACKET_BYTES - 4


def read_pcr(data: bytes | bytearray | memoryview, start: int = 0) -> int | None:
    """Return the PCR (program clock reference, 27 MHz) of the packet at *start* in *data*, ``None`` if it has none.

    *data* has at least 12 bytes from *start* on; otherwise :class:`IndexError` is raised.

    >>> read_pcr(NULL_PACKET + pcr_packet(0x100, 27_000_000, counter=0), PACKET_BYTES)
    27000000
    """
    if not (data[start + 3] & 0x20 and 7 <= data[start + 4] < PACKET_BYTES - 4 and data[start + 5] & 0x10):
        return None
    base = int.from_bytes(data[start + 6 : start + 10], "big") << 1 | data[start + 10] >> 7
    return base * TICKS_PER_PTS + ((data[start + 10] & 1) << 8 | data[start + 11])


def write_pcr(packet: bytearray, pcr: int) -> None:
    """Overwrite the PCR of a packet that has one; *pcr* (27 MHz) is taken modulo its field."""
    base, extension = divmod(pcr % PCR_MODULUS, TICKS_PER_PTS)
    packet[6:10] = (base >> 1).to_bytes(4, "big")
    packet[10] = (base & 1) << 7 | 0x7E | extension >> 8
    packet[11] = extension & 0xFF


def is_discontinuous(packet: bytes | bytearray) -> bool:
    """Return whether the sender announces that the continuity counter may jump here (discontinuity_indicator)."""
    return _has_adaptation_flags(packet) and packet[5] & 0x80 != 0


def pcr_packet(pid: int, pcr: int, counter: int) -> bytearray:
    """Return a packet with a PCR and no payload; *counter* is the continuity counter of the last packet on *pid*."""
    field = bytes([PACKET_BYTES - 5, 0x10]) + bytes(6)
    packet = bytearray((bytes([SYNC_BYTE, 0, 0, 0x20 | counter]) + field).ljust(PACKET_BYTES, b"\xff"))
    set_pid(packet, pid)
    write_pcr(packet, pcr)
    return packet


def payload_packet(payload: bytes) -> bytearray:
    """Return a packet with *payload*, 1 to 184 bytes, that begins no unit; PID and counter are 0.

    >>> payload_packet(b"abc")[-3:]
    bytearray(b'abc')
    """
    stuffing = PACKET_BYTES - 4 - len(payload)
    if stuffing == 0:
        return bytearray(bytes([SYNC_BYTE, 0, 0, 0x10]) + payload)
    field = bytes([stuffing - 1]) + (b"\0" + b"\xff" * (stuffing - 2) if stuffing > 1 else b"")
    return bytearray(bytes([SYNC_BYTE, 0, 0, 0x30]) + field + payload)


def insert_into_pes(packet: bytearray, position: int, data: bytes) -> list[bytearray]:
    """Insert *data* at byte *position* of *packet*, in which a PES begins; return the packets that hold what moved on.

    *packet* is changed in place, and so is the PES's length if it has one.
    """
    start = payload_offset(packet)
    length = int.from_bytes(packet[start + 4 : start + 6], "big")
    if length:
        longer = length + len(data)
        packet[start + 4 : start + 6] = (longer if longer < 1 << 16 else 0).to_bytes(2, "big")
    whole = bytes(packet[position:])
    moved = data + whole
    packet[position:] = moved[: len(whole)]
    rest, room = moved[len(whole) :], PACKET_BYTES - 4
    return [payload_packet(rest[at : at + room]) for at in range(0, len(rest), room)]


def is_random_access(packet: bytes | bytearray) -> bool:
    """Return whether the sender marked the packet with random_access_indicator."""
    return _has_adaptation_flags(packet) and packet[5] & 0x40 != 0


def mark_random_access(packet: bytearray) -> None:
    """Set random_access_indicator if the packet has an adaptation field; making room for one would move the PES."""
    if _has_adaptation_flags(packet):
        packet[5] |= 0x40


def _read_timestamp(packet: bytes | bytearray, offset: int) -> int:
    return (
        (packet[offset] >> 1 & 7) << 30
        | packet[offset + 1] << 22
        | (packet[offset + 2] >> 1) << 15
        | packet[offset + 3] << 7
        | packet[offset + 4] >> 1
    )


def write_timestamp(packet: bytearray, offset: int, value: int) -> None:
    """Overwrite the PTS or DTS at *offset*, keeping its four prefix bits; *value* is taken modulo 2^33."""
    value %= PTS_MODULUS
    packet[offset] = packet[offset] & 0xF0 | value >> 29 & 0x0E | 1
    packet[offset + 1] = value >> 22 & 0xFF
    packet[offset + 2] = value >> 14 & 0xFE | 1
    packet[offset + 3] = value >> 7 & 0xFF
    packet[offset + 4] = value << 1 & 0xFE | 1


def parse_pes_start_untrusted(packet: bytes | bytearray) -> PesStart | None:
    """Return the PES header that begins in *packet*; ``None`` if none does or the packet is scrambled. Never raises.

    A header that continues in the next packet yields no timestamps: no multiplexer that we know writes one.
    """
    start = payload_offset(packet)
    if (
        not starts_unit(packet)
        or packet[3] & 0xC0
        or packet[start : start + 3] != b"\0\0\1"
        or start + 9 > PACKET_BYTES
    ):
        return None
    if packet[start + 3] in _STREAM_IDS_WITHOUT_HEADER:
        return PesStart(None, None, None, None, start + 6)
    flags = packet[start + 7] >> 6
    payload = min(start + 9 + packet[start + 8], PACKET_BYTES)
    pts_at = start + 9 if flags & 2 and start + 14 <= payload else None
    dts_at = start + 14 if flags == 3 and start + 19 <= payload else None
    pts = None if pts_at is None else _read_timestamp(packet, pts_at)
    dts = pts if dts_at is None else _read_timestamp(packet, dts_at)
    return PesStart(pts, dts, pts_at, dts_at, payload)


class Framer:
    """Finds packets in bytes that arrive in pieces, and finds the sync byte again after damage.

    Example::

        packets = framer.feed_untrusted(data)
    """

    def __init__(self) -> None:
        """Begin with no bytes."""
        self.resyncs = 0
        self.skipped_bytes = 0
        self._lost = False
        self._buffer = bytearray()

    def feed_untrusted(self, data: bytes) -> list[bytearray]:
        """Return the packets that *data* completes. Never raises; keeps at most two packets for the next call."""
        buffer = self._buffer
        buffer += data
        packets = []
        position, last = 0, len(buffer) - PACKET_BYTES
        while position <= last:
            if self._lost or buffer[position] != SYNC_BYTE:
                target = self._find_again(position, last)
                self.skipped_bytes += target - position
                position = target
                if self._lost:
                    break
            packets.append(buffer[position : position + PACKET_BYTES])
            position += PACKET_BYTES
        del buffer[:position]
        return packets

    def _find_again(self, position: int, last: int) -> int:
        if not self._lost:
            self.resyncs += 1
        found = find_sync(self._buffer, position)
        self._lost = found is None
        # From *last* on a packet may begin whose successor has not arrived yet.
        return max(position, last) if found is None else found

    def clear(self) -> None:
        """Drop the first bytes of a packet that will not be completed."""
        self.skipped_bytes += len(self._buffer)
        self._buffer.clear()
        self._lost = False
