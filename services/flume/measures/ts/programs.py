"""The tables of a stream, and the PIDs they name (indicators 1.3.a, 1.5.a, 1.6, 2.2 and 2.6). Pure."""

import itertools

from flume.measures.ts import tables
from flume.measures.ts.findings import FindingLog, Interval
from flume.measures.ts.pcr import PcrWatch
from flume.measures.ts.tables import PAT_PID, Pmt, Section, SectionCollector
from flume.measures.ts.values import ProgramFigures, StreamFinding, Thresholds

MAX_PROGRAMS, MAX_WATCHED = 256, 256
"""A transport stream of a satellite has about 20 programs. More than these are left out, whatever a PAT says."""


class Programs:
    """Reads the tables, and watches that they and what they name come again and again."""

    def __init__(self, log: FindingLog, limits: Thresholds, pcrs: PcrWatch) -> None:
        """Begin without tables."""
        self._log, self._limits, self._pcrs = log, limits, pcrs
        self.collectors = {pid: SectionCollector() for pid in tables.FIXED_PIDS}
        """Of every PID that carries tables."""
        self._pat = Interval(log, "1.3.a", PAT_PID, limit_s=limits.pat_s, what="a section of the PAT")
        self._pat_version: int | None = None
        self._programs: dict[int, int] = {}
        self._pmts: dict[int, Interval] = {}
        self._contents: dict[int, Pmt] = {}
        self.kinds: dict[int, str] = {}
        """What each PID that a PMT names carries."""
        self.referenced: dict[int, Interval] = {}
        """Of each PID of sound or picture: that it occurs."""
        self.checked_sections = 0
        self.has_cat = False

    def start(self, packet: int) -> None:
        """The stream begins, or goes on after an interruption, with *packet*."""
        for row in (self._pat, *self._pmts.values(), *self.referenced.values()):
            row.start(packet)

    def interrupt(self) -> None:
        """The stream stops here."""
        for row in (self._pat, *self._pmts.values(), *self.referenced.values()):
            row.forget()
        for collector in self.collectors.values():
            collector.drop()

    def scrambled(self, pid: int, packet: int) -> None:
        """A packet of a PID with tables is scrambled: an error for PAT and PMT."""
        self.collectors[pid].drop()
        if pid == PAT_PID:
            self._log.add("1.3.a", packet, pid, "a packet of the PAT is scrambled")
            self._pat.seen(packet)  # it came: one error is enough
        elif pid in self._pmts:
            self._log.add("1.5.a", packet, pid, "a packet of a PMT is scrambled")
            self._pmts[pid].seen(packet)

    def feed_untrusted(self, pid: int, packet: int, payload: bytes, *, starts: bool) -> bool:
        """Take the *payload* of a packet of a PID with tables; return whether the tables changed. Never raises."""
        changed = False
        for section in self.collectors[pid].feed_untrusted(payload, packet, starts=starts):
            changed |= self._take(pid, section, packet)
        return changed

    def _take(self, pid: int, section: Section, packet: int) -> bool:
        data, table = section.data, section.data[0]
        if pid == PAT_PID:
            if table != tables.PAT:
                detail = f"a section with table_id {table:#04x} instead of 0x00"
                self._log.add("1.3.a", section.first, pid, detail)
            else:
                self._pat.seen(packet)
        elif pid == tables.CAT_PID and table != tables.CAT:
            self._log.add("2.6", section.first, pid, f"a section with table_id {table:#04x} instead of 0x01")
        elif table == tables.PMT and pid in self._pmts:
            self._pmts[pid].seen(packet)
        if table not in tables.WITH_CRC:
            return False
        self.checked_sections += 1
        if tables.is_damaged(data):
            detail = f"the CRC of a section with table_id {table:#04x} and {len(data)} bytes is wrong"
            self._log.add("2.2", packet, pid, detail)
            return False
        return self._read(pid, table, data, packet)

    def _read(self, pid: int, table: int, data: bytes, packet: int) -> bool:
        if pid == tables.CAT_PID and table == tables.CAT:
            self.has_cat = True
        if len(data) < 12 or not data[5] & 1:  # a table that only announces a later one
            return False
        if pid == PAT_PID and table == tables.PAT:
            return self._read_pat(data, packet)
        if pid in self._pmts and table == tables.PMT:
            pmt = tables.read_pmt_untrusted(data)
            if pmt is not None and self._programs.get(pmt.number) == pid and self._contents.get(pmt.number) != pmt:
                self._contents[pmt.number] = pmt
                self._settle(packet)
                return True
        return False

    def _read_pat(self, data: bytes, packet: int) -> bool:
        version = data[5] >> 1 & 0x1F
        read = tables.read_pat_untrusted(data)
        # A PAT may have several sections of one version, each with a part of the programs.
        whole = {**self._programs, **read} if version == self._pat_version and data[7] else read
        whole = dict(itertools.islice(whole.items(), MAX_PROGRAMS))
        self._pat_version = version
        if whole == self._programs:
            return False
        self._programs = whole
        wanted = {pid for pid in whole.values() if pid not in tables.FIXED_PIDS}
        for pid in set(self._pmts) - wanted:
            self._pmts.pop(pid).forget()
            self.collectors.pop(pid, None)
        for pid in sorted(wanted - set(self._pmts)):
            self._pmts[pid] = Interval(self._log, "1.5.a", pid, limit_s=self._limits.pmt_s, what="a section of the PMT")
            self._pmts[pid].start(packet)
            self.collectors[pid] = SectionCollector()
        self._contents = {number: pmt for number, pmt in self._contents.items() if number in whole}
        self._settle(packet)
        return True

    def _settle(self, packet: int) -> None:
        """Watch the PIDs that the tables name from *packet* on."""
        self.kinds = {pid: kind for pmt in self._contents.values() for pid, kind in pmt.kinds.items()}
        streams = (pid for pid, kind in self.kinds.items() if tables.is_sound_or_picture(kind))
        wanted = set(itertools.islice(streams, MAX_WATCHED))
        for pid in set(self.referenced) - wanted:
            self.referenced.pop(pid).forget()
        for pid in sorted(wanted - set(self.referenced)):
            what = f"a packet of {self.kinds[pid]}"
            self.referenced[pid] = Interval(self._log, "1.6", pid, limit_s=self._limits.pid_s, what=what)
            self.referenced[pid].start(packet)
        for pid in self.pcr_pids:
            self._pcrs.due(pid, packet)

    @property
    def pcr_pids(self) -> frozenset[int]:
        """The PIDs that the tables name for PCRs."""
        return frozenset(pmt.pcr_pid for pmt in self._contents.values()) - {tables.NULL_PID}

    @property
    def pmt_pids(self) -> frozenset[int]:
        """The PIDs that the PAT names for PMTs."""
        return frozenset(self._pmts)

    def overdue(self, packet: int) -> list[StreamFinding]:
        """Return what has not come for too long up to *packet*, the newest one."""
        rows = (self._pat, *self._pmts.values(), *self.referenced.values())
        return [found for row in rows if (found := row.overdue(packet)) is not None]

    def figures(self) -> list[ProgramFigures]:
        """Return the programs in the order of the PAT."""
        return [
            ProgramFigures(
                number=number,
                pmt_pid=pid,
                pcr_pid=self._contents[number].pcr_pid if number in self._contents else None,
                streams=self._contents[number].kinds if number in self._contents else {},
            )
            for number, pid in self._programs.items()
        ]
