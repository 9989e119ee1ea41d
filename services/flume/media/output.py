"""Writes what the packetizer adds to an item's packets: tables, PCRs, and the beginning of datagrams at keyframes."""

from flume.media import mpegts
from flume.media.account import ItemAccount
from flume.media.datagrams import DatagramBuilder
from flume.media.mpegts import PCR_HZ
from flume.media.program import ProgramMap
from flume.media.timeline import Timeline

TABLES_TICKS = 2 * PCR_HZ // 5
"""After 0.4 s tables are repeated, even if the source repeats its own less often. They arrive within the 0.5 s that
ETSI TR 101 290 allows (1.3, 1.5): the next packet may be due a frame later, and a tick sends it up to 10 ms later."""

MAX_SILENCE_TICKS = 3 * PCR_HZ // 20
"""A longer interval between two PCRs, 0.15 s, is filled with PCRs, so that no seam and no slow film is silent for a
quarter of a second: a datagram may span two intervals. The standard allows 0.1 s between two PCRs."""

BRIDGE_TICKS = PCR_HZ // 10
"""The interval between such PCRs, 0.1 s: 10 datagrams a second, 105 kbit/s."""

MAX_BRIDGE_DATAGRAMS = 4000
"""Most datagrams that fill one interval, 5 MB: 7 minutes. In a longer one they are farther apart."""


class Output:
    """Packets between those of the items. PCRs are 27 MHz ticks on the timeline.

    Example::

        output.bridge(pcr)
        builder.write(packet, pcr)
    """

    def __init__(self, program: ProgramMap, timeline: Timeline, builder: DatagramBuilder, account: ItemAccount) -> None:
        """Write to *builder*, and count nothing of it in *account*."""
        self._program, self._timeline, self._builder, self._account = program, timeline, builder, account
        self._tables_at = self._pes = 0

    def write_tables(self) -> None:
        """Write PAT and PMT; where they differ from the last ones, at the beginning of a datagram."""
        number = self._builder.packets
        self._program.settle(self._timeline.now)
        if self._program.tables_differ:
            self._builder.begin_datagram(new_tables=True)
        self._write_tables_here(self._timeline.now)
        self._account.leave_out(self._builder.packets - number)

    def _write_tables_here(self, at: int) -> None:
        self._tables_at = at
        for table in self._program.next_tables():
            self._builder.write(table)

    def begin_random_access(self) -> None:
        """Begin a datagram with PAT and PMT, at which clients may join; the keyframe's first packet is next."""
        self._builder.begin_datagram(random_access=True, new_tables=self._program.tables_differ)
        self._write_tables_here(self._timeline.now)

    def begin_pes(self) -> None:
        """Note that a PES begins with the next packet."""
        self._pes += 1

    def keep_tables(self, pcr: int) -> None:
        """Write the tables if they are due at *pcr*, at which the next packet is due."""
        if pcr - self._tables_at > TABLES_TICKS:
            self.write_tables()

    def bridge(self, pcr: int) -> int:
        """Write PCRs where the step to *pcr* is long; return the last PCR that was written, at most *pcr*.

        None is written where the PCR stayed away and the stream went on. The packets since the last PCR, of several
        PES, are then spread over the step; packets of a single PES are due at its beginning.
        """
        last, pes = self._builder.last_pcr, self._pes
        self._pes = 0
        if last is None or pcr - last <= MAX_SILENCE_TICKS:
            return pcr if last is None else min(pcr, last)
        datagrams = self._builder.packets_since_pcr // self._builder.packets_per_datagram
        if pes > 1 and datagrams * MAX_SILENCE_TICKS >= pcr - last:
            return last
        step, number = max(BRIDGE_TICKS, (pcr - last) // MAX_BRIDGE_DATAGRAMS), self._builder.packets
        self._builder.fill_up()
        while pcr - last > step:
            last += step
            if last - self._tables_at > TABLES_TICKS and not self._program.tables_differ:
                self._write_tables_here(last)
            self.write_pcr(last)
            self._builder.fill_up()
        self._account.leave_out(self._builder.packets - number)
        return last

    def write_pcr(self, pcr: int) -> None:
        """Write a packet with *pcr* and no payload, due then."""
        pid = self._program.pcr_pid
        counter = self._program.counter(pid)
        self._builder.write(mpegts.pcr_packet(pid, pcr, 15 if counter is None else counter), pcr)
