"""Program tables (ISO/IEC 13818-1, section 2.4.4): PAT and PMT as values, read from and written to sections.

Every playlist item has a multiplexer of its own, with its own PIDs and table versions. :mod:`flume.media.program`
therefore parses the tables, chooses PIDs that stay the same over all items, and writes tables of its own.
"""

from typing import NamedTuple

from flume.media.mpegts import NULL_PID, PACKET_BYTES, SYNC_BYTE, payload_offset, starts_unit

TABLE_PAT = 0x00
TABLE_PMT = 0x02
MAX_SECTION_BYTES = 1024
"""A PAT or PMT section has at most 1021 bytes after its length field."""


class ElementaryStream(NamedTuple):
    """One row of a PMT: *stream_type* as in table 2-34, *descriptors* as raw bytes."""

    stream_type: int
    pid: int
    descriptors: bytes


class Program(NamedTuple):
    """What a PMT says: the elementary streams of the program, and the PID of its PCR."""

    pcr_pid: int
    descriptors: bytes
    streams: tuple[ElementaryStream, ...]

    def is_part_of(self, whole: "Program") -> bool:
        """Return whether *whole* has all its streams, with the same types, and its PCR's PID."""
        named = {(stream.pid, stream.stream_type) for stream in whole.streams}
        pids = {pid for pid, _ in named} | {whole.pcr_pid, NULL_PID}
        return self.pcr_pid in pids and named.issuperset((row.pid, row.stream_type) for row in self.streams)


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 if value & 0x80000000 else value << 1) & 0xFFFFFFFF
        table.append(value)
    return tuple(table)


_CRC = _crc_table()


def crc32(data: bytes) -> int:
    """Return the CRC of ISO/IEC 13818-1, annex A. Over a section together with its CRC, the result is 0."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value << 8 & 0xFFFFFFFF ^ _CRC[value >> 24 ^ byte]
    return value


class SectionAssembler:
    """Collects one section from the packets of a PID, in at most :data:`MAX_SECTION_BYTES`."""

    def __init__(self) -> None:
        """Begin without a section."""
        self._data = bytearray()
        self._last = b""

    def feed_untrusted(self, packet: bytes | bytearray) -> bytes | None:
        """Return the section that *packet* completes, CRC included and not yet checked, or ``None``. Never raises."""
        start = payload_offset(packet)
        if starts_unit(packet) and start < PACKET_BYTES:
            self._data = bytearray(packet[start + 1 + packet[start] :])
        elif packet == self._last:
            return None  # every packet may come twice (section 2.4.3.3)
        elif self._data:
            self._data += packet[start:]
        self._last = bytes(packet)
        if len(self._data) < 3:
            return None
        length = 3 + ((self._data[1] & 0x0F) << 8 | self._data[2])
        if length > MAX_SECTION_BYTES or self._data[0] == 0xFF:
            self._data.clear()
            return None
        if len(self._data) < length:
            return None
        section = bytes(self._data[:length])
        self._data.clear()
        return section


def _is_intact(section: bytes, table_id: int, shortest: int) -> bool:
    # A table that announces a later one has a current_next_indicator of 0.
    return len(section) >= shortest and section[0] == table_id and section[5] & 1 == 1 and not is_damaged(section)


def is_damaged(section: bytes) -> bool:
    """Return whether the CRC of *section* is wrong."""
    return crc32(section) != 0


def program_number_untrusted(section: bytes) -> int:
    """Return the program number of a PMT section; 0, which is no program, if the section is too short. Never raises."""
    return int.from_bytes(section[3:5], "big")


def parse_pat_untrusted(section: bytes) -> dict[int, int] | None:
    """Return the PMT's PID by program number, in order; ``None`` if the section is damaged. Never raises.

    >>> parse_pat_untrusted(build_pat(program_number=1, pmt_pid=0x1000, version=0))
    {1: 4096}
    """
    if not _is_intact(section, TABLE_PAT, 12):
        return None
    rows = (section[offset : offset + 4] for offset in range(8, len(section) - 7, 4))
    programs = {row[0] << 8 | row[1]: (row[2] & 0x1F) << 8 | row[3] for row in rows}
    programs.pop(0, None)  # the PID of the network information table
    return programs


def parse_pmt_untrusted(section: bytes) -> Program | None:
    """Return the program that the section describes; ``None`` if the section is damaged. Never raises."""
    if not _is_intact(section, TABLE_PMT, 16):
        return None
    end = len(section) - 4
    offset = 12 + ((section[10] & 0x0F) << 8 | section[11])
    program_descriptors = section[12:offset]
    streams = []
    while offset + 5 <= end:
        length = (section[offset + 3] & 0x0F) << 8 | section[offset + 4]
        if offset + 5 + length > end:
            return None
        pid = (section[offset + 1] & 0x1F) << 8 | section[offset + 2]
        streams.append(ElementaryStream(section[offset], pid, section[offset + 5 : offset + 5 + length]))
        offset += 5 + length
    if offset != end:
        return None
    return Program((section[8] & 0x1F) << 8 | section[9], program_descriptors, tuple(streams))


def _section(table_id: int, identifier: int, version: int, body: bytes) -> bytes:
    length = 5 + len(body) + 4
    head = bytes([table_id, 0xB0 | length >> 8, length & 0xFF, identifier >> 8, identifier & 0xFF])
    data = head + bytes([0xC1 | (version & 0x1F) << 1, 0, 0]) + body
    return data + crc32(data).to_bytes(4, "big")


def build_pat(*, program_number: int, pmt_pid: int, version: int) -> bytes:
    """Return the section of a PAT with one program; the transport_stream_id is 1."""
    body = bytes([program_number >> 8, program_number & 0xFF, 0xE0 | pmt_pid >> 8, pmt_pid & 0xFF])
    return _section(TABLE_PAT, 1, version, body)


def build_pmt(program: Program, *, program_number: int, version: int) -> bytes:
    """Return the section of *program*'s PMT. Raises :class:`ValueError` if it is longer than a section may be."""
    length = len(program.descriptors)
    body = bytes([0xE0 | program.pcr_pid >> 8, program.pcr_pid & 0xFF, 0xF0 | length >> 8, length & 0xFF])
    body += program.descriptors
    for stream in program.streams:
        length = len(stream.descriptors)
        body += bytes(
            [stream.stream_type, 0xE0 | stream.pid >> 8, stream.pid & 0xFF, 0xF0 | length >> 8, length & 0xFF]
        )
        body += stream.descriptors
    if len(body) + 12 > MAX_SECTION_BYTES:
        raise ValueError(f"a PMT of {len(body) + 12} bytes does not fit into a section of {MAX_SECTION_BYTES}")
    return _section(TABLE_PMT, program_number, version, body)


def packets_of_section(section: bytes, pid: int) -> tuple[bytes, ...]:
    """Return the packets that carry *section*, stuffed with 0xFF; their continuity counters are 0."""
    data = b"\0" + section
    packets = []
    for offset in range(0, len(data), PACKET_BYTES - 4):
        start = 0x40 if offset == 0 else 0
        head = bytes([SYNC_BYTE, start | pid >> 8, pid & 0xFF, 0x10])
        packets.append((head + data[offset : offset + PACKET_BYTES - 4]).ljust(PACKET_BYTES, b"\xff"))
    return tuple(packets)
