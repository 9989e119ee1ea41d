"""Which programs a transport stream has, and which tracks belong to each: FFmpeg's streams are named by PID only."""

from collections.abc import Collection
from typing import NamedTuple

from flume.media import psi
from flume.media.mpegts import PACKET_BYTES, PAT_PID, SYNC_BYTE, pid_of
from flume.media.psi import SectionAssembler
from flume.reader.engine import UnplayableError

HEAD_BYTES = 4 << 20
"""How much of a stream is looked at: PAT and PMT come several times a second (ETSI TR 101 290, 1.3 and 1.5)."""

SDT_PID = 0x11
TABLE_SDT = 0x42
TAG_SERVICE = 0x48
"""The table that names programs (ETSI EN 300 468, 5.2.3 and 6.2.33)."""

STRIDES = (PACKET_BYTES, 192, 204)
"""Bytes from packet to packet: plain, with a time of arrival (M2TS), with parity bytes (DVB)."""


TELETEXT = "dvb_teletext"
TAG_TELETEXT = 0x56
"""The descriptor by which a PMT says that a stream is teletext (ETSI EN 300 468, 6.2.43)."""


class ProgramTracks(NamedTuple):
    """A program: its number, its name if the stream gives one, and the PIDs of its tracks in the order of its PMT."""

    number: int
    name: str
    pids: tuple[int, ...]
    later: tuple[tuple[int, ...], ...] = ()
    """The PIDs of each further PMT: a recording may go on with others."""
    teletext: frozenset[int] = frozenset()
    """Those PIDs that carry teletext."""

    @property
    def label(self) -> str:
        """How it is shown to people.

        >>> ProgramTracks(2, "News", ()).label
        '2 (News)'
        """
        return f"{self.number} ({self.name})" if self.name else str(self.number)


def packets_of(head: bytes) -> list[bytes]:
    """Return the packets in the first bytes of a transport stream, whatever lies between them."""
    for stride in STRIDES:
        for start in range(min(stride, len(head))):
            if all(head[at : at + 1] == bytes([SYNC_BYTE]) for at in range(start, start + 5 * stride, stride)):
                ends = range(start, len(head) - PACKET_BYTES + 1, stride)
                return [head[at : at + PACKET_BYTES] for at in ends if head[at] == SYNC_BYTE]
    return []


def read_programs_untrusted(head: bytes) -> tuple[ProgramTracks, ...]:
    """Return the programs of the transport stream that begins with *head*, in the order of its PAT. Never raises."""
    pmt_pids: dict[int, int] = {}
    tracks: dict[int, list[tuple[int, ...]]] = {}
    teletext: set[int] = set()
    names: dict[int, str] = {}
    assemblers: dict[int, SectionAssembler] = {PAT_PID: SectionAssembler(), SDT_PID: SectionAssembler()}
    for packet in packets_of(head):
        pid = pid_of(packet)
        section = assemblers[pid].feed_untrusted(packet) if pid in assemblers else None
        if section is None:
            continue
        if pid == PAT_PID:
            pmt_pids = psi.parse_pat_untrusted(section) or pmt_pids
            for each in pmt_pids.values():
                assemblers.setdefault(each, SectionAssembler())
        elif pid == SDT_PID:
            names |= _names(section)
        elif (program := psi.parse_pmt_untrusted(section)) is not None:
            versions = tracks.setdefault(psi.program_number_untrusted(section), [])
            pids = tuple(stream.pid for stream in program.streams)
            if pids not in versions:
                versions.append(pids)
            teletext |= {stream.pid for stream in program.streams if TAG_TELETEXT in tags_of(stream.descriptors)}
    return tuple(_program(number, names.get(number, ""), tracks.get(number, []), teletext) for number in pmt_pids)


def _program(number: int, name: str, versions: list[tuple[int, ...]], teletext: set[int]) -> ProgramTracks:
    first, later = (versions[0], tuple(versions[1:])) if versions else ((), ())
    return ProgramTracks(number, name, first, later, frozenset(teletext))


def tags_of(descriptors: bytes) -> list[int]:
    """Return the tags of *descriptors* (ISO/IEC 13818-1, 2.6.1).

    >>> tags_of(bytes([0x0A, 1, 0, 0x56, 0]))
    [10, 86]
    """
    tags = []
    while len(descriptors) >= 2:
        tags.append(descriptors[0])
        descriptors = descriptors[2 + descriptors[1] :]
    return tags


def _names(section: bytes) -> dict[int, str]:
    """Return the names of services by program number, of one section of an SDT."""
    names = {}
    at, end = 11, len(section) - 4
    while section[:1] == bytes([TABLE_SDT]) and at + 5 <= end:
        number = int.from_bytes(section[at : at + 2], "big")
        length = int.from_bytes(section[at + 3 : at + 5], "big") & 0x0FFF
        descriptors, at = section[at + 5 : at + 5 + length], at + 5 + length
        while len(descriptors) >= 2:
            tag, body = descriptors[0], descriptors[2 : 2 + descriptors[1]]
            descriptors = descriptors[2 + descriptors[1] :]
            if tag == TAG_SERVICE and len(body) >= 2:
                name = body[2 + body[1] :]
                names[number] = _text(name[1 : 1 + name[0]]) if name else ""
    return names


def _text(data: bytes) -> str:
    """Decode a name (ETSI EN 300 468, annex A): the first byte may choose a table of characters."""
    if data[:1] == b"\x15":
        return data[1:].decode("utf-8", "replace")
    first = 3 if data[:1] == b"\x10" else 1 if data[:1] and data[0] < 0x20 else 0
    try:
        return data[first:].decode("utf-8")
    except UnicodeDecodeError:
        return data[first:].decode("latin-1")


def choose(
    programs: tuple[ProgramTracks, ...], wanted: str | None, name: str, *, playable: Collection[int]
) -> ProgramTracks | None:
    """Return the program *wanted* by number or name; by default the first with a PID among the *playable* ones.

    ``None`` if there is none. Raises :class:`UnplayableError` if the item *name* has no such program.
    """
    if wanted is None:
        return next((program for program in programs if not set(playable).isdisjoint(program.pids)), None)
    for program in programs:
        if wanted == str(program.number) or wanted.casefold() == program.name.casefold():
            return program
    have = ", ".join(program.label for program in programs) or "none"
    raise UnplayableError(f"{name} has no program {wanted!r}; it has {have}")
