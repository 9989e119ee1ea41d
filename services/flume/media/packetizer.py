"""Cuts one endless MPEG-TS out of many items into datagrams, each with the time at which it is due.

Bytes of one item go in as its multiplexer wrote them; out come datagrams of exactly seven packets that a receiver
cannot tell from one uninterrupted broadcast:

- identifiers and table versions stay the same over all items (each item has a multiplexer of its own); PAT and PMT
  are our own; null packets and what is not in the PMT are dropped (:mod:`flume.media.program`);
- timestamps and continuity counters run on (:mod:`flume.media.timeline`);
- every random access point begins a datagram, with PAT, PMT and then the keyframe's first packet, so that a client
  may begin with that datagram; the one before is filled up with null packets;
- a datagram's due time is interpolated between clock references by its place (:mod:`flume.media.datagrams`); where they
  stay away, timestamps stand in (:mod:`flume.media.pcr_watch`), and references are written by them;
- where the tables change, a datagram begins, before which nobody may begin any more;
- what comes faster than it can go is left out from one keyframe to another (:meth:`Packetizer.skip`).

Counters that jump *inside* an item still jump in what goes out: the source's losses are not to be hidden.
"""

from collections.abc import Mapping

import msgspec

from flume.media import mpegts
from flume.media.datagrams import Datagram, DatagramBuilder
from flume.media.item_start import ItemStart
from flume.media.keyframes import RandomAccessFinder
from flume.media.mpegts import PCR_HZ, PesStart
from flume.media.pes import UnfinishedPes
from flume.media.program import ProgramMap, Route
from flume.media.restamper import Restamper
from flume.media.skipper import Resumption, Skipper

_NO_ROUTES: Mapping[int, Route] = {}

MAIN_SILENT_TICKS = 10 * PCR_HZ
"""After so long without the main stream clients may begin with another, or they would be sent what is long past."""

TABLES_TICKS = PCR_HZ // 2
"""Longest without PAT and PMT (ETSI TR 101 290, 1.3 and 1.5), however seldom the source repeats its own."""


class PacketizerStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen so far, over all items; codecs and *video_pid* (outgoing) are the present item's."""

    items: int
    datagrams: int
    packets: int
    random_access_points: int
    null_packets: int
    """Written to fill up the datagram before a random access point and an item's last one."""
    foreign_packets: int
    """Dropped: streams that are not in the PMT. Null packets and tables of services are dropped without a word."""
    damaged_packets: int
    """Dropped: marked with transport_error_indicator."""
    resyncs: int
    skipped_bytes: int
    continuity_gaps: int
    """Packets that the source had lost: their counters jump in what goes out, too."""
    duplicate_packets: int
    """Dropped: the same as the one before on their PID, which the standard allows once."""
    damaged_tables: int
    """PAT and PMT sections with a wrong CRC: what was known before stays."""
    table_changes: int
    """How often a PMT changed inside an item."""
    pcr_jumps: int
    pcr_gaps: int
    """How often clock references stayed away, and timestamps stood in for them."""
    stray_timestamps: int
    """PES whose timestamps were of another time than their stream and the clock: put where the stream was."""
    overrun_packets: int
    """Left out between :meth:`Packetizer.skip` and the keyframe at which the stream went on."""
    cut_pes: int
    """Taken back, because the item ended in the middle of them."""
    unclocked_datagrams: int
    """Given the last known rate, because no clock reference came in time."""
    video_codec: str | None
    audio_codecs: tuple[str, ...]
    video_pid: int | None


class Packetizer:
    """See the module. Call :meth:`begin_item`, :meth:`feed_untrusted` as often as needed, :meth:`end_item`; again."""

    def __init__(self) -> None:
        """Begin before the first item."""
        self._framer = mpegts.Framer()
        self._program = ProgramMap()
        self._restamper = Restamper()
        self._timeline = self._restamper.timeline
        self._finder = RandomAccessFinder()
        self._builder = DatagramBuilder()
        self._unfinished = UnfinishedPes()
        self._skipper = Skipper()
        self._items = self._damaged = 0
        self._tables_at = self._main_at = 0
        self._start: ItemStart | None = self._new_start()
        """Holds what comes until the item is placed; ``None`` from then on."""

    def _new_start(self) -> ItemStart:
        return ItemStart(self._program, follows_an_item=self._timeline.follows_an_item)

    def begin_item(self) -> None:
        """The bytes that follow are another item's: another multiplexer, another clock."""
        self._items += 1
        self._skipper.end()
        self._framer.clear()
        self._program.begin_item()
        self._begin_timeline()

    def _begin_timeline(self) -> None:
        self._restamper.begin_item()
        self._finder.begin_item()
        self._unfinished.clear()
        self._main_at = self._timeline.now
        self._start = self._new_start()

    def feed_untrusted(self, data: bytes) -> list[Datagram]:
        """Take the item's next bytes, in pieces of any length; return the datagrams whose time is known now.

        Never raises: what is no transport stream is skipped and counted.
        """
        # Most packets only go on with a stream: no flag, no adaptation field, the expected counter. They are found by
        # two comparisons, since a flag beside a PID makes another number of it, and take a way without questions.
        routes = self._fast_path_routes()
        follow, remap, write = self._unfinished.follow, self._program.remap_expected, self._builder.write
        for packet in self._framer.feed_untrusted(data):
            route = routes.get(packet[1] << 8 | packet[2])
            if route is not None and packet[3] == route.expected:
                follow(route.pid, packet)
                remap(packet, route)
                write(packet)
            else:
                self._take(packet)
                routes = self._fast_path_routes()
        self._unfinished.expire(written=self._builder.packets)
        return self._builder.collect(before=self._unfinished.oldest_number)

    def _fast_path_routes(self) -> Mapping[int, Route]:
        """Return the streams whose packets go out as they come: none while something is held back or left out."""
        return self._program.incoming if self._start is None else _NO_ROUTES

    def end_item(self) -> list[Datagram]:
        """Return what is left of the item; its last datagram is filled up with null packets."""
        self._framer.clear()
        return self._end_timeline()

    def _end_timeline(self) -> list[Datagram]:
        if self._start is not None and self._start.packets:
            self._place(self._start)
        self._start = self._new_start()  # nothing goes out until another timeline begins
        self._program.rewind(self._unfinished.take_back())
        self._builder.end(self._timeline.end_of_item())
        return self._builder.collect()

    # --- leaving out -------------------------------------------------------------------------------------------

    @property
    def is_skipping(self) -> bool:
        """Whether what comes is left out."""
        return self._skipper.is_skipping

    def skip(self) -> list[Datagram]:
        """Leave out what follows until :meth:`resume`; return what is left of what came before.

        The stream goes on without a hole in its clock, its counters and its numbers, as from one item to the next.
        """
        self._skipper.begin()
        return self._end_timeline()

    def resume(self, *, at: Resumption) -> None:
        """After :meth:`skip`: continue at the next keyframe, or at the next audio or video frame of any kind."""
        self._skipper.resume(at=at)

    def _end_skipping(self) -> None:
        self._skipper.end()
        self._program.forget_counters()
        self._begin_timeline()

    def _take(self, packet: bytearray) -> None:
        if packet[1] & 0x80:
            self._damaged += 1
            return
        route = self._program.route_untrusted(packet)
        if route is None:
            if self._program.tables_due and self._start is None:
                self._write_tables()
        elif self._program.record(packet, route):
            self._take_new(packet, route)

    def _take_new(self, packet: bytearray, route: Route) -> None:
        skipper = self._skipper
        if skipper.is_skipping:
            if not skipper.ends_at_untrusted(packet, route, main=self._program.main):
                skipper.packets += 1
                return
            self._end_skipping()
        if self._start is None:
            self._pass_on(packet, route)
        elif self._start.hold(packet, route):
            self._place(self._start)

    def _place(self, start: ItemStart) -> None:
        """Give the item its place on the timeline, and pass on what was held."""
        self._start = None
        self._restamper.place(start, main=self._program.main)
        if self._program.tables_differ:
            self._write_tables()
        for packet, route in start.packets:
            self._pass_on(packet, route)

    # --- the way out -------------------------------------------------------------------------------------------

    def _write_tables(self) -> None:
        if self._program.tables_differ:
            self._builder.begin_datagram(new_tables=True)
        self._write_tables_here()

    def _write_tables_here(self) -> None:
        self._tables_at = self._timeline.now
        for table in self._program.next_tables():
            self._builder.write(table)

    def _pass_on(self, packet: bytearray, route: Route) -> None:
        pes = mpegts.parse_pes_start_untrusted(packet) if packet[1] & 0x40 else None
        pcr = self._restamper.restamp_pcr(packet, route, not_before=self._builder.extrapolated_pcr)
        estimate = None
        if pes is not None:
            estimate = self._restamper.estimate_pcr(pes, route, is_main=route is self._program.main)
            pcr = pcr if estimate is None else estimate
            self._restamper.restamp_pes(packet, route, pes)
            self._begin_random_access(packet, route, pes)
        if pcr is not None and pcr - self._tables_at > TABLES_TICKS:
            self._write_tables()
        if pes is not None:
            before = self._program.counter(route.pid)
            self._unfinished.begin_untrusted(route.pid, packet, number=self._builder.packets, counter_before=before)
        self._unfinished.follow(route.pid, packet)
        self._program.remap(packet, route)
        self._builder.write(packet, pcr)
        if estimate is not None:
            self._write_pcr(estimate)

    def _write_pcr(self, pcr: int) -> None:
        pid = self._program.pcr_pid
        counter = self._program.counter(pid)
        self._builder.write(mpegts.pcr_packet(pid, pcr, 15 if counter is None else counter))

    def _begin_random_access(self, packet: bytearray, route: Route, pes: PesStart) -> None:
        now = self._timeline.now
        if route is self._program.main:
            self._main_at = now
        elif not route.is_timed or now - self._main_at < MAIN_SILENT_TICKS:
            return
        if self._finder.accept_untrusted(packet, pes.payload_offset, route.stream_type, now):
            self._builder.begin_datagram(random_access=True, new_tables=self._program.tables_differ)
            self._write_tables_here()
            mpegts.mark_random_access(packet)

    def statistics(self) -> PacketizerStatistics:
        """Return the counters as they are; from any thread.

        Each is one attribute that only the feeding thread changes, and the routes are replaced as a whole: nothing is
        locked and nothing copied while packets pass. Two counters may be of two moments.
        """
        program, builder = self._program, self._builder
        return PacketizerStatistics(
            items=self._items,
            datagrams=builder.datagrams,
            packets=builder.packets,
            random_access_points=self._finder.found,
            null_packets=builder.null_packets,
            foreign_packets=program.foreign_packets,
            damaged_packets=self._damaged,
            resyncs=self._framer.resyncs,
            skipped_bytes=self._framer.skipped_bytes,
            continuity_gaps=program.continuity_gaps,
            duplicate_packets=program.duplicate_packets,
            damaged_tables=program.damaged_tables,
            table_changes=program.table_changes,
            pcr_gaps=self._restamper.pcr_watch.gaps,
            stray_timestamps=self._timeline.stray_timestamps,
            overrun_packets=self._skipper.packets,
            pcr_jumps=self._timeline.pcr_jumps,
            cut_pes=self._unfinished.taken_back,
            unclocked_datagrams=builder.unclocked,
            video_codec=program.video_codec,
            audio_codecs=program.audio_codecs,
            video_pid=program.video_pid,
        )
