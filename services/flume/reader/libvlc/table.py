"""The program table that libvlc writes: it may begin with too few tracks, and loses tracks at the end of an item.

libvlc's multiplexer adds a track when its first frame comes and removes it after its last one, and writes a table each
time. At the end of an item whose audio is transcoded, a table without the picture precedes the last audio (seen in 32
of 32 runs). A server that took it for the truth would tell all players, at each seam, that the picture is gone.
"""

from flume.media.keyframes import VIDEO_CODECS
from flume.media.mpegts import PACKET_BYTES, PAT_PID, SYNC_BYTE, starts_unit
from flume.media.psi import Program
from flume.media.table_reader import TableReader
from flume.reader.messages import TrackKind

_HEADER_BYTES = 4


class ItemTable:
    """Follows the table of one item, in which no track is lost again. Pure.

    Example::

        table = ItemTable()
        packets = table.feed(data)  # whole packets of 188 bytes
        table.pids("audio")
    """

    def __init__(self) -> None:
        """Begin before the first packet."""
        self._rest = b""
        self._reader = TableReader()
        self._fullest: Program | None = None
        self._first: frozenset[int] | None = None
        self._packet = b""
        """The packet of the fullest table. libvlc fills it up by an adaptation field, so its header counts too."""

    def pids(self, kind: TrackKind | None = None) -> tuple[int, ...]:
        """Return the PIDs of the tracks, of *kind* or all, in the table's order; none before the first table.

        What is no video is audio: the engine tells libvlc to write nothing else.
        """
        rows = self._fullest.streams if self._fullest else ()
        kinds = {row.pid: "video" if row.stream_type in VIDEO_CODECS else "audio" for row in rows}
        return tuple(pid for pid, each in kinds.items() if kind in {None, each})

    @property
    def has_grown(self) -> bool:
        """Whether the first table had fewer tracks than the fullest one: what came before lacks their frames."""
        return self._fullest is not None and self._first != _pids(self._fullest)

    def feed(self, data: bytes) -> bytearray:
        """Return the packets that *data* completes, with the fullest table in place of each one that lacks tracks."""
        data = self._rest + data
        whole = len(data) - len(data) % PACKET_BYTES
        packets, self._rest = bytearray(data[:whole]), data[whole:]
        if self._reader.pmt_pid is None:
            for at in _starts(packets, PAT_PID):
                self._reader.read_pat_untrusted(packets[at : at + PACKET_BYTES])
        if self._reader.pmt_pid is not None:
            for at in _starts(packets, self._reader.pmt_pid):
                self._take(packets, at)
        return packets

    def completed(self, packets: bytes | bytearray) -> bytearray:
        """Return *packets*, which :meth:`feed` returned earlier, with the fullest table in place of each one."""
        completed = bytearray(packets)
        if self._reader.pmt_pid is not None:
            for at in _starts(completed, self._reader.pmt_pid):
                self._replace(completed, at)
        return completed

    def _take(self, packets: bytearray, at: int) -> None:
        packet = packets[at : at + PACKET_BYTES]
        if not self._reader.read_pmt_untrusted(packet) or self._reader.program is None:
            return
        program = self._reader.program
        if self._first is None:
            self._first = _pids(program)
        if self._fullest is not None and _pids(program) < _pids(self._fullest):
            self._replace(packets, at)
        else:
            self._fullest = program
            self._packet = bytes(packet)

    def _replace(self, packets: bytearray, at: int) -> None:
        if self._packet:
            counter = packets[at + 3] & 0x0F
            packets[at : at + PACKET_BYTES] = self._packet
            packets[at + 3] = self._packet[3] & 0xF0 | counter


def _pids(program: Program) -> frozenset[int]:
    return frozenset(row.pid for row in program.streams)


def _starts(packets: bytes | bytearray, pid: int) -> list[int]:
    """Return where the packets of *pid* are in which a section begins; a search in C instead of a loop over all."""
    header = bytes([SYNC_BYTE, 0x40 | pid >> 8, pid & 0xFF])
    found, at = [], packets.find(header)
    while at >= 0:
        if at % PACKET_BYTES == 0 and starts_unit(packets[at : at + _HEADER_BYTES]):
            found.append(at)
        at = packets.find(header, at + 1)
    return found
