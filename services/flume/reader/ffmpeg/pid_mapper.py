"""Gives the tracks of a transport stream the PIDs of its first tables, where later tables give them others. Pure.

libavformat makes new tracks of new PIDs, and keeps the last frames of the old ones to the end of the file. So a
recording that goes on with other PIDs is changed before libavformat sees it: PAT, PMTs and packets, in place. Until
tables differ, only the packets of tables are looked at.
"""

import sys
from array import array
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from flume.media import psi
from flume.media.mpegts import NULL_PID, PACKET_BYTES, PAT_PID, SYNC_BYTE
from flume.reader.ffmpeg.program_identity import CLOCK, Identities
from flume.reader.ffmpeg.programs import ProgramTracks, names_of
from flume.reader.ffmpeg.ts_alignment import LOOK_AHEAD, find_alignment
from flume.reader.ffmpeg.ts_sections import PlacedSection, SectionReader

SDT_PID = 0x11
LAST_RESERVED_PID = 0x1F
FLAGS = tuple(flag << 13 for flag in range(8))
"""What stands beside the PID in bytes 1 and 2 of a packet."""

_SYNC = bytes([SYNC_BYTE])


class Tables(NamedTuple):
    """What the tables of a stream say at some place: immutable, as they are in the file."""

    numbers: Mapping[int, int] = {}
    """The number of the known program by each number in the PAT."""
    pmt_pids: Mapping[int, int] = {}
    """The PID of the PMT by the number in the PAT."""
    pids: Mapping[int, Mapping[int, int]] = {}
    """By the number of a known program: the PID of the known track by each PID of its PMT, the newest PMT last."""

    @property
    def are_complete(self) -> bool:
        """Whether the PMT of each program is known."""
        return bool(self.numbers) and set(self.numbers.values()) <= set(self.pids)


def _fields(pids: Mapping[int, int]) -> dict[int, int]:
    """Return *pids* as bytes 1 and 2 of a packet, read as this host reads numbers."""
    if sys.byteorder == "big":
        return {flag | old: flag | new for old, new in pids.items() for flag in FLAGS}
    return {
        (old & 0xFF) << 8 | (flag | old) >> 8: (new & 0xFF) << 8 | (flag | new) >> 8
        for old, new in pids.items()
        for flag in FLAGS
    }


class PidMapper:
    """Changes a file's bytes in place, in any order of places.

    Example::

        mapper = PidMapper()
        end = mapper.feed(window, begin=0, place=0)  # whole packets up to the index *end* are as they are to be
    """

    def __init__(self) -> None:
        """Begin before the first packet."""
        self._identities = Identities()
        self._names: dict[int, str] = {}
        self._stride = PACKET_BYTES
        self.changes: dict[int, Tables] = {}
        """The tables from each place on at which PIDs changed."""
        self.moves: set[int] = set()
        """The places at which tracks went on with other PIDs."""
        self.go_to(Tables())

    def go_to(self, tables: Tables) -> None:
        """Go on anywhere in the file, where *tables* hold."""
        self.tables = tables
        self._readers: dict[int, SectionReader] = {}
        self._unchanged: dict[tuple[int, int], bytes] = {}
        """The last section of each table that was left as it was: most tables repeat the one before."""
        self._pat: dict[int, tuple[bytes, dict[int, int]]] = {}
        self._pids: dict[int, int] = {}
        self._update()

    @property
    def programs(self) -> tuple[ProgramTracks, ...]:
        """The programs of the stream by its first tables, with all tracks that were announced so far."""
        return tuple(
            ProgramTracks(
                number,
                self._names.get(number, ""),
                tuple(track for track in program.tracks if track.codec != CLOCK),
            )
            for number, program in self._identities.programs.items()
        )

    @property
    def held_from(self) -> int | None:
        """The place of the first packet that may still be changed: a section begins in it that is not complete."""
        begun = [reader.begun_at for reader in self._readers.values()]
        return min((place for place in begun if place is not None), default=None)

    # --- packets -----------------------------------------------------------------------------------------------

    def feed(self, window: bytearray, *, begin: int, place: int, is_end: bool = False) -> int:
        """Look at the packets of *window* from index *begin* on; return the index up to which it did.

        *place*: where the window begins in the file. *is_end*: no more bytes follow.
        """
        at = begin
        while True:
            count = (len(window) - at - PACKET_BYTES) // self._stride + 1
            if count <= 0:
                return at
            syncs = window[at : at + (count - 1) * self._stride + 1 : self._stride]
            good = count - len(syncs.lstrip(_SYNC))
            if good:
                self._run(window, at, good, place)
                at += good * self._stride
            if good < count:
                # What looks like a packet may be cut off, and the next one begin in it.
                found = find_alignment(window, max(begin, at - self._stride + 1))
                if found is None:
                    return len(window) if is_end else max(at, len(window) - LOOK_AHEAD)
                at, self._stride = found

    def _run(self, window: bytearray, start: int, count: int, place: int) -> None:
        """Look at *count* packets, the first of which begins at index *start*."""
        stride, last = self._stride, start + (count - 1) * self._stride
        raw = bytearray(2 * count)
        raw[0::2], raw[1::2] = window[start + 1 : last + 2 : stride], window[start + 2 : last + 3 : stride]
        changed = False
        fields = array("H", raw)
        done = 0
        for index in self._table_packets(fields):
            at = start + index * stride
            if self._read_table(window, at, place):
                changed |= self._map(fields, done, index + 1)
                done = index + 1
                self._update(place + at)
        changed |= self._map(fields, done, count)
        if changed:
            new = fields.tobytes()
            window[start + 1 : last + 2 : stride], window[start + 2 : last + 3 : stride] = new[0::2], new[1::2]

    def _table_packets(self, fields: "array[int]") -> Iterator[int]:
        """Yield the index of each packet with a table; which they are may change meanwhile."""
        index = 0
        while index < len(fields) and not self._table_fields.isdisjoint(fields[index:]):
            watched = self._table_fields
            for field in fields[index:]:
                index += 1
                if field in watched:
                    yield index - 1
                    if self._table_fields is not watched:
                        break

    def _map(self, fields: "array[int]", begin: int, end: int) -> bool:
        """Change the PIDs of the packets from *begin* to *end*; return whether any was to be changed."""
        mapping = self._mapping
        if not mapping or begin == end or mapping.keys().isdisjoint(fields[begin:end]):
            return False
        fields[begin:end] = array("H", [mapping.get(field, field) for field in fields[begin:end]])
        return True

    def _update(self, place: int | None = None) -> None:
        """Derive from the tables what is to be done with packets. *place*: a table changed there."""
        tables = self.tables
        watched = {PAT_PID, SDT_PID, *tables.pmt_pids.values()}
        self._table_fields = frozenset(_fields(dict.fromkeys(watched, 0)))
        self._readers = {pid: reader for pid, reader in self._readers.items() if pid in watched}
        pids: dict[int, int] = {}
        for each in tables.pids.values():
            pids |= each
        for number, pid in tables.pmt_pids.items():
            if number in tables.numbers:
                pids[pid] = self._identities.programs[tables.numbers[number]].pmt_pid
        # A PID to which another one leads is of no use to packets that no table announces any more.
        stray = {new for old, new in pids.items() if old != new} - set(pids)
        pids = {old: new for old, new in pids.items() if old != new} | dict.fromkeys(stray, NULL_PID)
        pids = {old: new for old, new in pids.items() if LAST_RESERVED_PID < old < NULL_PID}
        if pids != self._pids and place is not None:
            self.changes[place] = tables
        self._pids, self._mapping = pids, _fields(pids)

    # --- tables ------------------------------------------------------------------------------------------------

    def _read_table(self, window: bytearray, at: int, place: int) -> bool:
        """Read the packet at index *at*, which is part of a table; return whether the tables changed."""
        packet = bytes(window[at : at + PACKET_BYTES])
        pid = (packet[1] & 0x1F) << 8 | packet[2]
        before = self.tables
        for section in self._readers.setdefault(pid, SectionReader()).feed_untrusted(packet, place + at):
            data = section.data
            key = (pid, psi.program_number_untrusted(data))
            if self._unchanged.get(key) == data or psi.is_damaged(data):
                continue
            changed = self._changed(pid, data, place + at)
            if changed is not None:
                _write(window, section, changed, place)
                self._unchanged.pop(key, None)
            else:
                self._unchanged[key] = data
        return self.tables is not before

    def _changed(self, pid: int, data: bytes, place: int) -> bytes | None:
        """Follow the section *data*; return what is to stand in its place, or ``None`` if it may stay."""
        if pid == PAT_PID:
            pat = psi.parse_pat_untrusted(data)
            return None if pat is None else self._follow_pat(data, self._whole_pat(pat, data))
        if pid == SDT_PID:
            for number, name in names_of(data).items():
                self._names.setdefault(self.tables.numbers.get(number, number), name)
            return None
        pmt = psi.parse_pmt_untrusted(data)
        known = self.tables.numbers.get(psi.program_number_untrusted(data))
        return None if pmt is None or known is None else self._follow_pmt(known, pmt, data, place)

    def _whole_pat(self, pat: dict[int, int], data: bytes) -> dict[int, int] | None:
        """Return the PAT of which the section *data* is a part, which says *pat*; ``None``: others are missing."""
        version, number, last = data[3:6], data[6], data[7]
        self._pat = {each: part for each, part in self._pat.items() if part[0] == version and each <= last}
        self._pat[number] = version, pat
        if len(self._pat) <= last:
            return None
        return {program: pid for each in sorted(self._pat) for program, pid in self._pat[each][1].items()}

    def _follow_pat(self, data: bytes, pat: dict[int, int] | None) -> bytes | None:
        if pat is not None and pat != self.tables.pmt_pids:
            self._unchanged.clear()
            numbers = self._identities.follow_pat(pat)
            self.tables = Tables(
                numbers, pat, {each: pids for each, pids in self.tables.pids.items() if each in numbers.values()}
            )
        changed = bytearray(data)
        for at in range(8, len(data) - 7, 4):
            known = self.tables.numbers.get(int.from_bytes(data[at : at + 2], "big"))
            if known is not None:
                changed[at : at + 2] = known.to_bytes(2, "big")
                _set_pid(changed, at + 2, self._identities.programs[known].pmt_pid)
        return _with_crc(changed) if changed != data else None

    def _follow_pmt(self, number: int, pmt: psi.Program, data: bytes, place: int) -> bytes | None:
        others = {old: new for each, pids in self.tables.pids.items() if each != number for old, new in pids.items()}
        pids = self._identities.follow_pmt(number, pmt, shared=others)
        before = self.tables.pids.get(number, {})
        if pids != before:
            if any(before.get(old) != new and new in before.values() for old, new in pids.items()):
                self.moves.add(place)
            rest = {each: old for each, old in self.tables.pids.items() if each != number}
            self.tables = self.tables._replace(pids=rest | {number: pids})
        changed = bytearray(data)
        changed[3:5] = number.to_bytes(2, "big")
        _set_pid(changed, 8, pids.get(pmt.pcr_pid, pmt.pcr_pid))
        at = 12 + len(pmt.descriptors)
        for row in pmt.streams:
            _set_pid(changed, at + 1, pids[row.pid])
            at += 5 + len(row.descriptors)
        return _with_crc(changed) if changed != data else None


def _set_pid(section: bytearray, at: int, pid: int) -> None:
    section[at] = section[at] & 0xE0 | pid >> 8
    section[at + 1] = pid & 0xFF


def _with_crc(section: bytearray) -> bytes:
    return bytes(section[:-4]) + psi.crc32(bytes(section[:-4])).to_bytes(4, "big")


def _write(window: bytearray, section: PlacedSection, data: bytes, place: int) -> None:
    """Write *data* where *section* lies; *place*: where the window begins in the file."""
    done = 0
    for piece in section.pieces:
        at = piece.place - place
        if at >= 0:  # else it has been read already, or is not read: the file was entered in its middle
            window[at : at + piece.size] = data[done : done + piece.size]
        done += piece.size
