"""Finds where a client may join in datagrams that another server's packetizer has cut.

A datagram at which clients join begins with PAT and PMT, and the packet after them begins a keyframe of the main
stream (:mod:`flume.media.packetizer`). A table that is only repeated may begin a datagram by chance, so the packet is
looked at.
"""

from typing import Literal

from flume.media import mpegts
from flume.media.keyframes import AUDIO_CODECS, VIDEO_CODECS, begins_recovery, could_begin_untrusted
from flume.media.mpegts import PACKET_BYTES, SYNC_BYTE
from flume.media.psi import Program, SectionAssembler, parse_pat_untrusted, parse_pmt_untrusted

_TABLES_BEGIN = frozenset({b"\x47\x40\x00", b"\x47\x60\x00"})
"""A packet in which a section of the PAT begins, without transport error; the second has transport_priority."""

Entry = Literal["none", "entry", "new_tables", "entry_new_tables"]


class EntryFinder:
    """Looks at each datagram of one stream, in order.

    >>> EntryFinder().look_untrusted(bytes(1316))
    'none'
    """

    def __init__(self) -> None:
        """Begin with no table seen."""
        self._tables: tuple[bytes, bytes] | None = None
        """The sections of the PAT and of the PMT that were seen last."""

    def forget(self) -> None:
        """Another stream follows: its first tables are no change."""
        self._tables = None

    def look_untrusted(self, payload: bytes | memoryview) -> Entry:
        """Return what *payload*, transport packets of 188 bytes, is for clients that join. Never raises.

        ``new_tables``: the tables differ from the last ones, so no client may begin before it.
        """
        if bytes(payload[:3]) not in _TABLES_BEGIN:
            return "none"
        found = _read_untrusted(bytes(payload))
        if found is None:
            return "none"
        tables, program, first = found
        is_new = self._tables is not None and tables != self._tables
        self._tables = tables
        is_entry = first is not None and _may_begin_untrusted(program, first)
        if is_entry:
            return "entry_new_tables" if is_new else "entry"
        return "new_tables" if is_new else "none"


def _read_untrusted(data: bytes) -> tuple[tuple[bytes, bytes], Program, bytearray | None] | None:
    """Return the sections of PAT and PMT with which *data* begins, the program, and the packet after them."""
    pat, pmt = SectionAssembler(), SectionAssembler()
    pat_section = pmt_pid = None
    packets = [bytearray(data[at : at + PACKET_BYTES]) for at in range(0, len(data) - PACKET_BYTES + 1, PACKET_BYTES)]
    for number, packet in enumerate(packets):
        if packet[0] != SYNC_BYTE:
            return None
        pid = mpegts.pid_of(packet)
        if pid == 0 and pat_section is None:
            pat_section = pat.feed_untrusted(packet)
            programs = parse_pat_untrusted(pat_section) if pat_section is not None else None
            pmt_pid = next(iter(programs.values()), None) if programs else None
        elif pmt_pid is not None and pat_section is not None and pid == pmt_pid:
            section = pmt.feed_untrusted(packet)
            program = parse_pmt_untrusted(section) if section is not None else None
            if section is not None and program is not None:
                after = packets[number + 1] if number + 1 < len(packets) else None
                return (pat_section, section), program, after
        else:
            return None
    return None


def _may_begin_untrusted(program: Program, packet: bytearray) -> bool:
    """Return whether a decoder of *program* can begin at *packet*."""
    pes = mpegts.parse_pes_start_untrusted(packet) if packet[0] == SYNC_BYTE and mpegts.starts_unit(packet) else None
    if pes is None:
        return False
    if mpegts.is_random_access(packet):
        return True
    pid, main = mpegts.pid_of(packet), _main(program)
    if main is None or pid != main[1]:
        return False
    stream_type, start = main[0], pes.payload_offset
    return could_begin_untrusted(packet, start, stream_type) or begins_recovery(stream_type, packet[start:])


def _main(program: Program) -> tuple[int, int] | None:
    """Return type and PID of the main stream: the first video, else the first audio, else any."""
    for kinds in (VIDEO_CODECS, AUDIO_CODECS):
        for stream in program.streams:
            if stream.stream_type in kinds:
                return stream.stream_type, stream.pid
    return (program.streams[0].stream_type, program.streams[0].pid) if program.streams else None
