"""Writes the outgoing PAT and PMT: another version only where they say something else than the last ones written."""

from flume.media import psi
from flume.media.mpegts import PAT_PID
from flume.media.psi import Program

PROGRAM_NUMBER = 1
PMT_PID = 0x1000


class TableWriter:
    """Set :attr:`current`; :meth:`next` returns the tables that say so.

    Example::

        tables.current = Program(pcr_pid=0x100, descriptors=b"", streams=streams)
        packets = tables.next()
    """

    def __init__(self) -> None:
        """Begin without tables."""
        self.sent: Program | None = None
        """What the tables said when they were written last."""
        self.current: Program | None = None
        """What they will say the next time."""
        self._version = -1
        self._packets: tuple[bytes, ...] = ()

    @property
    def differ(self) -> bool:
        """Whether :meth:`next` will return other tables than the last time."""
        return self.sent is not None and self.current is not self.sent and self.current != self.sent

    @property
    def lacks_streams(self) -> bool:
        """Whether :attr:`current` names only some of the streams that were written last, or is not known yet."""
        current, sent = self.current, self.sent
        if current is None or sent is None:
            return True
        return current.is_part_of(sent) and len(current.streams) < len(sent.streams)

    def next(self) -> list[bytearray]:
        """Return PAT and PMT as packets whose continuity counters are 0; none before :attr:`current` is known."""
        if self.current is not None and self.current != self.sent:
            self._build(self.current)
        return [bytearray(packet) for packet in self._packets]

    def _build(self, program: Program) -> None:
        self.sent = program
        self._version = (self._version + 1) % 32
        pat = psi.build_pat(program_number=PROGRAM_NUMBER, pmt_pid=PMT_PID, version=0)
        try:
            pmt = psi.build_pmt(program, program_number=PROGRAM_NUMBER, version=self._version)
        except ValueError:  # 48 streams with long descriptors; players do without descriptors
            plain = tuple(row._replace(descriptors=b"") for row in program.streams)
            pmt = psi.build_pmt(Program(program.pcr_pid, b"", plain), program_number=1, version=self._version)
        self._packets = psi.packets_of_section(pat, PAT_PID) + psi.packets_of_section(pmt, PMT_PID)
