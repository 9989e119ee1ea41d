"""The programs of a transport stream, and the choice of one: FFmpeg's streams are named by PID only."""

import re
from collections.abc import Collection
from typing import NamedTuple

from flume.reader.engine import UnplayableError

TABLE_SDT = 0x42
TAG_SERVICE = 0x48
"""The table that names programs (ETSI EN 300 468, 5.2.3 and 6.2.33)."""

TELETEXT = "dvb_teletext"


class TsTrack(NamedTuple):
    """A track as a PMT announces it. *codec* is empty where nothing says what it is."""

    pid: int
    codec: str
    language: str = ""


class ProgramTracks(NamedTuple):
    """A program: its number, its name if the stream gives one, and its tracks in the order in which they came."""

    number: int
    name: str
    tracks: tuple[TsTrack, ...] = ()

    @property
    def pids(self) -> frozenset[int]:
        """The PIDs of its tracks."""
        return frozenset(track.pid for track in self.tracks)

    @property
    def teletext(self) -> frozenset[int]:
        """Those PIDs that carry teletext."""
        return frozenset(track.pid for track in self.tracks if track.codec == TELETEXT)

    @property
    def label(self) -> str:
        """How it is shown to people.

        >>> ProgramTracks(2, "News").label
        '2 (News)'
        """
        return f"{self.number} ({self.name})" if self.name else str(self.number)


def names_of(section: bytes) -> dict[int, str]:
    """Return the names of services by program number; none if *section* is no SDT. Never raises."""
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


_PROGRAM = re.compile(r"  Program (\d+)")
_NAME = re.compile(r" +service_name +: (.*)")
_STREAM = re.compile(r"  Stream #\d+:\d+\[0x([0-9a-f]+)\](?:\((\w+)\))?: \w+: (\w+)")


def programs_in_description(text: str) -> tuple[ProgramTracks, ...]:
    """Return the programs in *text*, FFmpeg's description of an opened item for people: PyAV does not give them.

    >>> programs_in_description("  Program 7 \\n  Stream #0:0[0x100](deu): Audio: mp2 ([3][0][0][0] / 0x0003)")
    (ProgramTracks(number=7, name='', tracks=(TsTrack(pid=256, codec='mp2', language='deu'),)),)
    """
    programs: list[ProgramTracks] = []
    for line in text.splitlines():
        if match := _PROGRAM.match(line):
            programs.append(ProgramTracks(int(match[1]), ""))
        elif line.startswith("  No Program"):
            break
        elif not programs:
            continue
        elif (match := _NAME.match(line)) and not programs[-1].name:
            programs[-1] = programs[-1]._replace(name=match[1])
        elif match := _STREAM.match(line):
            track = TsTrack(int(match[1], 16), match[3], match[2] or "")
            programs[-1] = programs[-1]._replace(tracks=(*programs[-1].tracks, track))
    return tuple(programs)


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
