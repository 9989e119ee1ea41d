"""Reads the incoming program tables of one item: which program it carries, and on which PID its PMT comes."""

from flume.media import psi
from flume.media.mpegts import NULL_PID, PAT_PID
from flume.media.psi import Program, SectionAssembler


class TableReader:
    """Takes the packets of PAT and PMT; keeps to one program, as long as the PAT names it."""

    def __init__(self) -> None:
        """Begin before the first item."""
        self.damaged = 0
        """PAT and PMT sections with a wrong CRC. What was known before stays."""
        self.begin_item()

    def begin_item(self) -> None:
        """Forget what was read: the next item comes from another multiplexer."""
        self.pmt_pid: int | None = None
        """The PID on which the program's PMT comes; ``None`` before the first PAT."""
        self.program: Program | None = None
        """The program as its last PMT describes it; another object after each PMT that says something else."""
        self._pat, self._pmt = SectionAssembler(), SectionAssembler()
        self._pat_section = self._pmt_section = b""
        self._program_number = 0
        self._other_programs: frozenset[int] = frozenset()
        """Numbers of programs whose PMT comes on the same PID."""

    def read_pat_untrusted(self, packet: bytearray) -> bool:
        """Take a packet of the PAT; return whether PMTs are awaited on :attr:`pmt_pid` anew. Never raises."""
        section = self._pat.feed_untrusted(packet)
        if section is None or section == self._pat_section:
            return False
        programs = psi.parse_pat_untrusted(section)
        if programs is None:
            self._count_damage(section)
            return False
        self._pat_section = section
        programs = {number: pid for number, pid in programs.items() if pid not in {PAT_PID, NULL_PID}}
        if not programs:
            return False
        if self._program_number not in programs:  # the first program at first; later the same one, in any order
            self._program_number = next(iter(programs))
        pid = programs[self._program_number]
        others = frozenset(number for number, other in programs.items() if other == pid) - {self._program_number}
        if pid == self.pmt_pid and others == self._other_programs:
            return False
        self.pmt_pid, self._other_programs = pid, others
        self._pmt, self._pmt_section = SectionAssembler(), b""
        return True

    def read_pmt_untrusted(self, packet: bytearray) -> bool:
        """Take a packet of :attr:`pmt_pid`; return whether it completes a PMT of the program. Never raises.

        :attr:`program` is up to date afterwards.
        """
        section = self._pmt.feed_untrusted(packet)
        if section is None or psi.program_number_untrusted(section) in self._other_programs:
            return False
        if section != self._pmt_section:
            program = psi.parse_pmt_untrusted(section)
            if program is None:
                self._count_damage(section)
                return False
            self._pmt_section, self.program = section, program
        return True

    def _count_damage(self, section: bytes) -> None:
        # A section that announces a later table cannot be used yet, and is intact.
        self.damaged += psi.is_damaged(section)
