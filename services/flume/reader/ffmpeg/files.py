"""Files as PyAV reads them: one that may still be written, and a transport stream whose PIDs stay the same."""

import io
import os
import time

from flume.reader.ffmpeg.pid_mapper import PidMapper, Tables
from flume.reader.ffmpeg.programs import ProgramTracks
from flume.reader.ffmpeg.ts_alignment import find_alignment

IO_BYTES = 256 << 10
"""How much is read at a time."""

GROWTH_S, GROWTH_POLL_S = 2.0, 0.05
"""A file that was written to so lately may grow: a recording that is watched while it is made."""

HEAD_BYTES = 4 << 20
"""How much of a stream is looked at for its programs: PAT and PMT come several times a second (ETSI TR 101 290, 1.3 and
1.5)."""

SEARCHED_BYTES = (256 << 10, 1 << 20, 4 << 20)
"""How much before a place is searched for the tables that hold there: at first little."""

HELD_BYTES = 1 << 20
"""So many bytes wait for the end of a table, which nearly always follows at once."""


class NamedFile:
    """A file for PyAV. Its name, from which FFmpeg takes the suffix only, is in UTF-8. It may still be written."""

    def __init__(self, file: io.FileIO, location: str) -> None:
        """Read *file*, which is at *location*."""
        self.name = os.fsencode(location).decode("utf-8", "replace").replace("%", "_")
        self.file, self.seek, self.tell = file, file.seek, file.tell

    def read(self, size: int) -> bytes:
        """Return the next bytes; at the end of a file that grows wait for more."""
        while not (data := self.file.read(size)) and self._grows():
            time.sleep(GROWTH_POLL_S)
        return data

    def _grows(self) -> bool:
        status = os.fstat(self.file.fileno())
        return self.file.tell() >= status.st_size and abs(time.time() - status.st_mtime) < GROWTH_S


class MappedFile:
    """A transport stream for PyAV, whose tracks keep the PIDs of its first tables.

    Example::

        file = MappedFile(NamedFile(opened, "film.ts"))
    """

    def __init__(self, inner: NamedFile, head: bytes) -> None:
        """Read *inner*, which begins with *head*."""
        self.name, self._inner = inner.name, inner
        self._mapper = PidMapper()
        self._mapper.feed(bytearray(head), begin=0, place=0, is_end=True)
        self._at = self._place = self._ready = self._looked_at = 0
        self._window = bytearray()
        self._go_to(0)

    @property
    def programs(self) -> tuple[ProgramTracks, ...]:
        """The programs of the stream, and the tracks that were announced in what has been read."""
        return self._mapper.programs

    @property
    def moves(self) -> int:
        """How often tracks have gone on with other PIDs."""
        return len(self._mapper.moves)

    def tell(self) -> int:
        """Return where the next byte lies."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to *offset*; returns the place."""
        if whence == io.SEEK_CUR:
            offset += self._at
        elif whence == io.SEEK_END:
            offset += os.fstat(self._inner.file.fileno()).st_size
        elif whence != io.SEEK_SET:
            raise OSError(f"seeking by {whence} is not possible")
        if offset < 0:
            raise OSError(f"{offset} lies before the file")
        self._at = offset
        return offset

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most *size*; at the end none."""
        if not self._place <= self._at <= self._place + self._ready:
            self._go_to(self._at)
        while self._at == self._place + self._ready:
            if not self._fill():
                self._ready = len(self._window)
                break
        begin = self._at - self._place
        data = bytes(self._window[begin : min(begin + size, self._ready)])
        self._at += len(data)
        return data

    def _fill(self) -> bool:
        """Read on; return whether there was anything."""
        done = min(self._at - self._place, self._ready)
        data = self._inner.read(IO_BYTES)
        del self._window[:done]
        self._place, self._ready = self._place + done, self._ready - done
        # At the end of a file, what is no whole packet is read unseen.
        self._looked_at = max(0, self._looked_at - done)
        self._window += data
        self._looked_at = self._mapper.feed(self._window, begin=self._looked_at, place=self._place)
        held = self._mapper.held_from
        ready = min(self._looked_at, len(self._window))
        if held is not None and len(self._window) < HELD_BYTES:
            ready = min(ready, held - self._place)
        self._ready = max(ready, self._ready)
        return bool(data)

    def _go_to(self, place: int) -> None:
        """Find the tables that hold at *place*, and go there."""
        for size in SEARCHED_BYTES:
            begin = max(0, place - size)
            self._inner.seek(begin)
            before = bytearray(self._inner.file.read(place - begin))
            self._mapper.go_to(Tables())
            self._mapper.feed(before, begin=0, place=begin, is_end=True)
            if not begin or self._mapper.tables.are_complete:
                break
        else:
            places = [each for each in self._mapper.changes if each < place]
            if places and not self._mapper.tables.numbers:
                self._mapper.go_to(self._mapper.changes[max(places)])
        self._inner.seek(place)
        self._window, self._place, self._ready, self._looked_at = bytearray(), place, 0, 0


def as_pyav_reads(file: io.FileIO, location: str) -> NamedFile | MappedFile:
    """Return *file*, which is at *location*, as PyAV is to read it."""
    named = NamedFile(file, location)
    head = file.read(IO_BYTES)
    is_ts = find_alignment(head) is not None
    if is_ts:
        head += file.read(HEAD_BYTES - len(head))
    file.seek(0)
    return MappedFile(named, head) if is_ts else named
