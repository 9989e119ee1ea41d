"""Restamps the packets of an item that has its place on the timeline, and writes them and what belongs between them."""

from collections.abc import Mapping

from flume.media import mpegts
from flume.media.account import ItemAccount
from flume.media.datagrams import DatagramBuilder
from flume.media.item_start import ItemStart
from flume.media.keyframes import RandomAccessFinder
from flume.media.mpegts import PCR_HZ, PesStart
from flume.media.output import Output
from flume.media.parameter_sets import ParameterSets, insert_position
from flume.media.pes import UnfinishedPes
from flume.media.program import ProgramMap, Route
from flume.media.restamper import Restamper

MAIN_SILENT_TICKS = 10 * PCR_HZ
"""After 10 s without the main stream, or twice its last step in a slide show, clients may join at another stream's PES.
Otherwise a new client would begin at the main stream's last keyframe, long in the past."""


class PacketWriter:
    """Everything between an item's packets and the :class:`~flume.media.datagrams.DatagramBuilder`.

    Example::

        writer.begin_item(trusted_clock=False, live=False)
        writer.place(start)
        for packet, route in start.packets:
            writer.write(packet, route)
        writer.end_item()
    """

    def __init__(self, program: ProgramMap, builder: DatagramBuilder) -> None:
        """Begin before the first item."""
        self._program, self._builder = program, builder
        self.restamper = Restamper()
        self.timeline = self.restamper.timeline
        self.finder = RandomAccessFinder()
        self.unfinished = UnfinishedPes()
        self.account = ItemAccount()
        self.sets = ParameterSets()
        self.output = Output(program, self.timeline, builder, self.account)
        self._main_at = self._main_pes_at = self._main_step = 0

    def begin_item(self, *, trusted_clock: bool, live: bool) -> None:
        """What follows has another clock; see :meth:`flume.media.packetizer.Packetizer.begin_item`."""
        self.restamper.begin_item(trusted_clock=trusted_clock, live=live)
        self.finder.begin_item()
        self.sets.begin_item()
        self.unfinished.clear()
        self._main_at = self.timeline.now

    def place(self, start: ItemStart) -> None:
        """Give the item its place on the timeline, and write its tables if they differ from the last ones."""
        self.restamper.place(start, main=self._program.main)
        self._program.is_placed = True
        if self._program.tables_differ:
            self.output.write_tables()

    def end_item(self, last_durations: Mapping[int, int] | None = None) -> None:
        """Write what belongs to the item's end; *last_durations* (90 kHz) by outgoing PID."""
        counters = self.unfinished.take_back()
        self._program.rewind(counters)
        self.account.pause(self._builder.packets)
        self.account.take_back(counters)
        end = self.timeline.end_of_item(last_durations)
        if end is not None:
            self.timeline.advance_to(self.output.bridge(end))
        self._builder.end(end)

    def write(self, packet: bytearray, route: Route) -> None:
        """Write *packet* of *route*, restamped, and what belongs before it."""
        pes = mpegts.parse_pes_start_untrusted(packet) if packet[1] & 0x40 else None
        pcr = self.restamper.restamp_pcr(packet, route, not_before=self._builder.extrapolated_pcr)
        if pes is not None:
            self._begin_pes(packet, route, pes, pcr)
            return
        if self.sets.is_collecting and route is self._program.main:
            self.sets.follow(bytes(packet[mpegts.payload_offset(packet) :]))
        if pcr is not None:
            self.output.bridge(pcr)
            self.output.keep_tables(pcr)
        self._send(packet, route, pcr)

    def _begin_pes(self, packet: bytearray, route: Route, pes: PesStart, pcr: int | None) -> None:
        self.account.pause(self._builder.packets)
        dts = self.restamper.restamp_pes(packet, route, pes)
        estimate = self.restamper.estimate_pcr(dts, route, is_main=route is self._program.main)
        pcr = pcr if estimate is None else estimate
        if pcr is not None:
            self.output.bridge(pcr)
        if route is self._program.main:
            self.sets.begin(route.stream_type, bytes(packet[pes.payload_offset :]))
        moved = self._begin_random_access(packet, route, pes)
        if pcr is not None:
            self.output.keep_tables(pcr)
        self.output.begin_pes()
        number, before = self._builder.packets, self._program.counter(route.pid)
        self.account.on_pes(mpegts.pid_of(packet), route, dts=dts, number=number)
        self.unfinished.begin_untrusted(route.pid, packet, number=number, counter_before=before)
        self._send(packet, route, pcr)
        for further in moved:
            self.unfinished.follow(route.pid, further)
            self._program.insert(further, route)
            self._builder.write(further)
        if estimate is not None:
            self.output.write_pcr(estimate)

    def _send(self, packet: bytearray, route: Route, pcr: int | None) -> None:
        self.unfinished.follow(route.pid, packet)
        self._program.remap(packet, route)
        self._builder.write(packet, pcr)
        if pcr is not None and route.carries_pcr and route.pid != self._program.pcr_pid:
            self.output.write_pcr(pcr)  # the tables still name the PID that carried it before

    def _begin_random_access(self, packet: bytearray, route: Route, pes: PesStart) -> list[bytearray]:
        """Let clients join at *packet* if they can; return the packets that it needs for what was inserted into it."""
        now, is_main = self.timeline.now, route is self._program.main
        if is_main:
            self._main_step = now - self._main_pes_at
            self._main_at = self._main_pes_at = now
        elif not route.is_timed or now - self._main_at < max(MAIN_SILENT_TICKS, 2 * self._main_step):
            return []
        start = pes.payload_offset
        is_open = is_main and self.sets.is_collecting
        if not self.finder.accept_untrusted(packet, start, route.stream_type, now, is_open=is_open):
            return []
        self.output.begin_random_access()
        mpegts.mark_random_access(packet)
        if not is_main or self.sets.are_present or not self.sets.kept:
            return []
        self.sets.inserted += 1
        position = start + insert_position(route.stream_type, bytes(packet[start:]))
        return mpegts.insert_into_pes(packet, position, self.sets.kept)
