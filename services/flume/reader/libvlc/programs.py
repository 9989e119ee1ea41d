"""Which programs a transport stream has, by its first bytes.

libvlc does not say, and would play all of them at once.
"""

from collections.abc import Mapping
from typing import NamedTuple

from flume.media import psi
from flume.media.keyframes import AUDIO_CODECS, VIDEO_CODECS
from flume.media.mpegts import PACKET_BYTES, PAT_PID, SYNC_BYTE, pid_of
from flume.media.psi import ElementaryStream, SectionAssembler
from flume.reader.engine import UnplayableError
from flume.reader.libvlc.track import VlcTrack

HEAD_BYTES = 1 << 20
"""How much of a file is searched. A PAT comes at least ten times a second, so this holds it up to 80 Mbit/s."""

_STRIDES = (PACKET_BYTES, 192, 204)
"""Packets alone, with an arrival time before each (M2TS), or with a checksum behind each."""

_SDT_PID, _SDT_TABLE, _SERVICE_DESCRIPTOR = 0x11, 0x42, 0x48
"""The service description table (EN 300 468), which has the names."""

_LANGUAGE_DESCRIPTOR, _REGISTRATION_DESCRIPTOR = 0x0A, 0x05
_PRIVATE_PES = 0x06
_PRIVATE = {
    0x6A: ("audio", "AC-3"),
    0x7A: ("audio", "E-AC-3"),
    0x7B: ("audio", "DTS"),
    0x7C: ("audio", "AAC"),
    0x56: ("text", "teletext"),
    0x59: ("text", "DVB subtitles"),
}
"""What a private PES holds, by its descriptors (EN 300 468)."""
_REGISTERED_AUDIO = frozenset({b"Opus", b"AC-3", b"EAC3", b"DTS1", b"DTS2", b"DTS3", b"BSSD"})


class TsProgram(NamedTuple):
    """One program of a transport stream."""

    name: str
    tracks: tuple[VlcTrack, ...]
    """Its tracks by their PIDs; none where its PMT was not found."""


def programs_of(path: bytes) -> dict[int, TsProgram]:
    """Return a transport stream's programs by their numbers, in order; none if *path* is another kind of file."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a path in bytes may not be UTF-8
            return programs_untrusted(file.read(HEAD_BYTES))
    except OSError:
        return {}


def programs_untrusted(head: bytes) -> dict[int, TsProgram]:
    """Return the programs that *head* names, as :func:`programs_of`. Never raises."""
    start, stride = _packets_untrusted(head)
    pmt_pids: dict[int, int] = {}
    names: dict[int, str] = {}
    tracks: dict[int, tuple[VlcTrack, ...]] = {}
    tables = {PAT_PID: SectionAssembler(), _SDT_PID: SectionAssembler()}
    for at in range(start, len(head) - PACKET_BYTES + 1, stride) if stride else ():
        packet = head[at : at + PACKET_BYTES]
        pid = pid_of(packet)
        section = tables[pid].feed_untrusted(packet) if pid in tables else None
        if section is None:
            continue
        if pid == PAT_PID:
            pmt_pids = pmt_pids or psi.parse_pat_untrusted(section) or {}
            tables |= {each: SectionAssembler() for each in pmt_pids.values() if each not in tables}
        elif pid == _SDT_PID:
            names |= _names_untrusted(section)
        elif program := psi.parse_pmt_untrusted(section):
            tracks[psi.program_number_untrusted(section)] = tuple(map(_track, program.streams))
        if pmt_pids and names and pmt_pids.keys() <= tracks.keys():
            break
    return {number: TsProgram(names.get(number, ""), tracks.get(number, ())) for number in pmt_pids}


def _track(row: ElementaryStream) -> VlcTrack:
    descriptors = _descriptors_untrusted(row.descriptors)
    language = descriptors.get(_LANGUAGE_DESCRIPTOR, b"")[:3].decode("latin-1")
    codec = VIDEO_CODECS.get(row.stream_type) or AUDIO_CODECS.get(row.stream_type)
    kind = "video" if row.stream_type in VIDEO_CODECS else "audio" if codec else "unknown"
    if row.stream_type == _PRIVATE_PES:
        registered = descriptors.get(_REGISTRATION_DESCRIPTOR, b"")[:4]
        known = next((_PRIVATE[tag] for tag in descriptors if tag in _PRIVATE), None)
        if known is None and registered in _REGISTERED_AUDIO:
            known = "audio", registered.decode("latin-1")
        kind, codec = known or (kind, codec)
    language = "" if language == "und" else language
    return VlcTrack(kind, codec or f"0x{row.stream_type:02x}", row.pid, language)


def choose(programs: Mapping[int, TsProgram], wanted: str | None) -> int | None:
    """Return the number of the program that *wanted* names, by number or name, or the first; ``None`` without any.

    Raises :class:`~flume.reader.engine.UnplayableError` for one that is not there.

    >>> choose({1: TsProgram("one", ()), 2: TsProgram("two", ())}, "two")
    2
    """
    if not programs or wanted is None:
        return next(iter(programs), None)
    for number, program in programs.items():
        if wanted in {str(number), program.name}:
            return number
    listed = ", ".join(titles(programs))
    raise UnplayableError(f"it has no program {wanted}: it has {listed}")


def titles(programs: Mapping[int, TsProgram]) -> tuple[str, ...]:
    """Return the programs as people read them.

    >>> titles({1: TsProgram("News", ()), 2: TsProgram("", ())})
    ('1 (News)', '2')
    """
    return tuple(f"{number} ({each.name})" if each.name else str(number) for number, each in programs.items())


def _packets_untrusted(head: bytes) -> tuple[int, int]:
    """Return where the first packet begins and how far apart packets are; ``(0, 0)`` if *head* has none."""
    for stride in _STRIDES:
        for start in range(min(stride, len(head))):
            if all(head[at : at + 1] == bytes([SYNC_BYTE]) for at in range(start, start + 5 * stride, stride)):
                return start, stride
    return 0, 0


def _names_untrusted(section: bytes) -> dict[int, str]:
    if section[0] != _SDT_TABLE or psi.is_damaged(section):
        return {}
    names, at, end = {}, 11, len(section) - 4
    while at + 5 <= end:
        number, length = section[at] << 8 | section[at + 1], (section[at + 3] & 0x0F) << 8 | section[at + 4]
        names[number] = _service_name_untrusted(section[at + 5 : min(at + 5 + length, end)])
        at += 5 + length
    return names


def _service_name_untrusted(descriptors: bytes) -> str:
    body = _descriptors_untrusted(descriptors).get(_SERVICE_DESCRIPTOR, b"")
    at = 2 + body[1] if len(body) > 2 else 0  # behind the type and the provider's name
    name = body[at + 1 : at + 1 + body[at]] if 0 < at < len(body) else b""
    # A first byte below 0x20 chooses the character table; most are close to Latin-1 or UTF-8 (0x15).
    text = name[1:] if name[:1] < b" " else name
    return text.decode("utf-8" if name[:1] == b"\x15" else "latin-1", "replace")


def _descriptors_untrusted(data: bytes) -> dict[int, bytes]:
    """Return the bodies of descriptors by their tags; the first one of each tag. Never raises."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 2 <= len(data):
        found.setdefault(data[at], data[at + 2 : at + 2 + data[at + 1]])
        at += 2 + data[at + 1]
    return found
