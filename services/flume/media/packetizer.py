"""Turns many playlist items into one endless MPEG-TS, cut into datagrams, each with its due time.

The bytes of an item go in as its multiplexer wrote them. Datagrams of exactly seven packets come out. A receiver cannot
distinguish them from one uninterrupted broadcast:

- PIDs and table versions stay the same over all items, although each item has a multiplexer of its own. PAT and PMT are
  written here; null packets and PIDs that the PMT does not list are dropped (:mod:`flume.media.program`).
- Timestamps and continuity counters run on from item to item (:mod:`flume.media.restamper`,
  :mod:`flume.media.program`).
- Every random access point begins a datagram with PAT, PMT and the keyframe's first packet, so a client can join at
  that datagram. The datagram before it is filled up with null packets.
- Where such a point has no parameter sets of its own, those that came last are put there
  (:mod:`flume.media.parameter_sets`).
- A datagram's due time is interpolated between PCRs by its position (:mod:`flume.media.datagrams`). Where no PCR comes,
  the PCR is estimated from DTS and written (:mod:`flume.media.pcr_watch`).
- Where the next PCR is far ahead, as in a slide show, PCRs are written up to it, so that receivers can tell a slow
  stream from one that has stopped.
- A change of PAT or PMT starts a new datagram. Clients can no longer join at an earlier one.
- A live source that is faster than its clock is cut: packets are left out up to a keyframe
  (:meth:`Packetizer.skip`).

Continuity counters that jump *inside* an item also jump in the output, so that receivers see the source's losses.
"""

from collections.abc import Mapping

from flume.media import mpegts
from flume.media.account import TrackAccount
from flume.media.datagrams import PACKETS_PER_DATAGRAM, Datagram, DatagramBuilder
from flume.media.item_start import ItemStart
from flume.media.packet_writer import PacketWriter
from flume.media.program import ProgramMap, Route
from flume.media.skipper import Resumption, Skipper
from flume.media.statistics import PacketizerStatistics

_NO_ROUTES: Mapping[int, Route] = {}


class Packetizer:
    """Cuts items into datagrams; see the module. One thread feeds it, any thread may call :meth:`statistics`.

    Example::

        packetizer = Packetizer()
        for clip in clips:
            packetizer.begin_item()
            datagrams = packetizer.feed_untrusted(clip) + packetizer.end_item()
    """

    def __init__(self, *, packets_per_datagram: int = PACKETS_PER_DATAGRAM) -> None:
        """Begin before the first item."""
        self._framer = mpegts.Framer()
        self._program = ProgramMap()
        self._builder = DatagramBuilder(packets_per_datagram=packets_per_datagram)
        self._writer = PacketWriter(self._program, self._builder)
        self._skipper = Skipper()
        self._items = self._damaged = 0
        self._is_trusted, self._is_live = False, True
        self._start: ItemStart | None = self._new_start()
        """Holds packets until the item has its place on the timeline; ``None`` from then on."""

    def _new_start(self) -> ItemStart:
        follows = self._writer.timeline.follows_an_item
        return ItemStart(self._program, follows_an_item=follows, settles=not self._is_trusted)

    def begin_item(self, *, trusted_clock: bool = False, live: bool = True, bit_rate: int | None = None) -> None:
        """Begin another item: the bytes that follow have another multiplexer and another clock.

        *trusted_clock*: the item's reader has repaired its timestamps, so that they are believed however far apart
        they are (:mod:`flume.media.timeline`). *live*: it is transmitted, and a PCR far ahead is a jump; ``False``: it
        is stored. *bit_rate*: what it promises as its mean rate (bit/s), so that no absurd rate is sent
        (:mod:`flume.media.rate_guard`).
        """
        self._items += 1
        self._is_trusted, self._is_live = trusted_clock, live
        self._skipper.end()
        self._framer.clear()
        self._program.begin_item()
        self._builder.guard.begin_item(bit_rate=bit_rate)
        self._writer.account.begin_item()
        self._begin_timeline()

    def _begin_timeline(self) -> None:
        self._writer.begin_item(trusted_clock=self._is_trusted, live=self._is_live)
        self._start = self._new_start()

    def feed_untrusted(self, data: bytes) -> list[Datagram]:
        """Take the item's next bytes, in pieces of any length; return the datagrams whose due time is known now.

        Never raises: bytes that are no transport stream are skipped and counted.
        """
        # The fast path, for most packets: a payload only, no flag set, and the expected counter. Two comparisons find
        # them: with a flag set, the two bytes that hold the PID are another number.
        routes = self._fast_path_routes()
        unfinished = self._writer.unfinished
        follow, remap, write = unfinished.follow, self._program.remap_expected, self._builder.write
        for packet in self._framer.feed_untrusted(data):
            route = routes.get(packet[1] << 8 | packet[2])
            if route is not None and packet[3] == route.expected:
                follow(route.pid, packet)
                remap(packet, route)
                write(packet)
            else:
                self._take(packet)
                routes = self._fast_path_routes()
        unfinished.expire(written=self._builder.packets)
        return self._builder.collect(before=unfinished.oldest_number)

    def _fast_path_routes(self) -> Mapping[int, Route]:
        """Return the streams whose packets may take the fast path.

        None while packets are held or left out, or are searched for parameter sets.
        """
        may = self._start is None and not self._writer.sets.is_collecting
        return self._program.incoming if may else _NO_ROUTES

    def end_item(self, last_durations: Mapping[int, int] | None = None) -> list[Datagram]:
        """Return the item's last datagrams; the very last one is filled up with null packets.

        *last_durations*: how long the last frame of a stream lasts (ticks of 90 kHz), by incoming PID. For any other
        stream, the step to its last frame is taken.
        """
        self._framer.clear()
        routes = self._program.incoming
        durations = {routes[pid].pid: ticks for pid, ticks in (last_durations or {}).items() if pid in routes}
        return self._end_timeline(durations)

    def _end_timeline(self, last_durations: Mapping[int, int] | None = None) -> list[Datagram]:
        if self._start is not None and self._start.packets:
            self._place(self._start)
        self._start = self._new_start()  # holds packets back until another item begins
        self._writer.end_item(last_durations)
        return self._builder.collect()

    def item_account(self) -> Mapping[int, TrackAccount]:
        """Return what was sent of the present item, by incoming PID; from the feeding thread only.

        After :meth:`end_item` it stays until the next :meth:`begin_item`.
        """
        return self._writer.account.tracks(number=self._builder.packets)

    # --- skipping ----------------------------------------------------------------------------------------------

    @property
    def is_skipping(self) -> bool:
        """Whether packets are left out at present."""
        return self._skipper.is_skipping

    def skip(self) -> list[Datagram]:
        """Leave out the packets that follow, until :meth:`resume`; return the datagrams of those before.

        PCR, continuity counters and datagram numbers will continue without a gap, as from one item to the next.
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

    # --- one packet --------------------------------------------------------------------------------------------

    def _take(self, packet: bytearray) -> None:
        """Take *packet* on the slow path."""
        if packet[1] & 0x80:
            self._damaged += 1
            return
        route = self._program.route_untrusted(packet)
        if route is None:
            if self._program.tables_due and self._start is None:
                self._writer.output.write_tables()
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
            self._writer.write(packet, route)
        elif self._start.hold(packet, route):
            self._place(self._start)

    def _place(self, start: ItemStart) -> None:
        """Give the item its place on the timeline, and pass on the packets that were held."""
        self._start = None
        self._writer.place(start)
        for packet, route in start.packets:  # their routes may be older than the last PMT
            self._writer.write(packet, self._program.incoming.get(mpegts.pid_of(packet), route))

    def statistics(self) -> PacketizerStatistics:
        """Return the counters as they are now; from any thread, without a lock.

        Each counter is one attribute that only the feeding thread changes, and the routes are replaced as a whole. Two
        counters may therefore belong to slightly different times.
        """
        program, builder, writer = self._program, self._builder, self._writer
        return PacketizerStatistics(
            items=self._items,
            datagrams=builder.datagrams,
            packets=builder.packets,
            random_access_points=writer.finder.found,
            null_packets=builder.null_packets,
            unreferenced_packets=program.unreferenced_packets,
            damaged_packets=self._damaged,
            resyncs=self._framer.resyncs,
            skipped_bytes=self._framer.skipped_bytes,
            continuity_gaps=program.continuity_gaps,
            duplicate_packets=program.duplicate_packets,
            damaged_tables=program.damaged_tables,
            table_changes=program.table_changes,
            timestamp_jumps=writer.timeline.timestamp_jumps,
            pcr_gaps=writer.restamper.pcr_watch.gaps,
            stray_timestamps=writer.timeline.stray_timestamps,
            overrun_packets=self._skipper.packets,
            pcr_jumps=writer.timeline.pcr_jumps,
            cut_pes=writer.unfinished.taken_back,
            rate_limited_datagrams=builder.guard.limited,
            unclocked_datagrams=builder.unclocked,
            inserted_parameter_sets=writer.sets.inserted,
            video_codec=program.video_codec,
            audio_codecs=program.audio_codecs,
            video_pid=program.video_pid,
        )
