"""The program that is sent: PIDs and tables that stay the same over all items, and continuity counters that run on."""

import enum
from collections.abc import Mapping

from flume.media.keyframes import AUDIO_CODECS, VIDEO_CODECS
from flume.media.mpegts import NULL_PID, PAT_PID, PCR_HZ, has_payload, is_discontinuous, pid_of, read_pcr, set_pid
from flume.media.psi import ElementaryStream, Program
from flume.media.table_reader import TableReader
from flume.media.table_writer import TableWriter

PCR_PID = 0x1F0
"""The outgoing PID of a PCR that has a PID of its own."""
LAST_RESERVED_PID = 0x1F
"""PIDs up to here hold service, time and network tables. Every broadcast has them, and players do without."""
PAYLOAD_ONLY = 0x10
"""Fourth byte, without the counter, of a packet that has a payload only: no adaptation field, not scrambled."""
SETTLE_TICKS = 3 * PCR_HZ // 4
"""So long a PMT that names fewer streams than the one before is not believed, 0.75 s: libvlc takes its streams out one
by one at an item's end (measured). A table that came and went with each item would turn clients out at each seam."""
STREAMS_PER_KIND = 16
"""Most streams of each kind (video, audio, other) that are carried. The rest is dropped like an unreferenced PID."""


class StreamKind(enum.IntEnum):
    """What an elementary stream holds. The value is the first outgoing PID of its kind."""

    VIDEO = 0x100
    AUDIO = 0x110
    OTHER = 0x120
    PCR = PCR_PID


class Route:
    """The outgoing PID of one incoming PID, and how its continuity counter runs on."""

    __slots__ = (
        "carries_pcr",
        "counter_shift",
        "expected",
        "kind",
        "last_counter",
        "last_packet",
        "pid",
        "stream_type",
    )

    def __init__(self, pid: int, kind: StreamKind, stream_type: int, *, carries_pcr: bool) -> None:
        """Lead to the outgoing *pid*; *carries_pcr*: the PMT names it as the program's PCR PID."""
        self.pid, self.kind, self.stream_type, self.carries_pcr = pid, kind, stream_type, carries_pcr
        self.counter_shift: int | None = None
        self.last_counter = -1
        self.expected = -1
        """Fourth byte of the next packet, provided it has a payload only and none was lost; -1 if unknown."""
        self.last_packet: bytes | bytearray = b""
        """The last packet with a payload, as it came in except for its first four bytes."""

    def continue_from(self, other: "Route") -> None:
        """Take over the counters of *other*, a route between the same two PIDs."""
        self.counter_shift, self.last_counter = other.counter_shift, other.last_counter
        self.last_packet, self.expected = other.last_packet, other.expected

    @property
    def is_timed(self) -> bool:
        """Whether its timestamps show where an item begins and ends; those of subtitles are too sparse."""
        return self.kind in {StreamKind.VIDEO, StreamKind.AUDIO}


def _kind_of(stream_type: int) -> StreamKind:
    if stream_type in VIDEO_CODECS:
        return StreamKind.VIDEO
    return StreamKind.AUDIO if stream_type in AUDIO_CODECS else StreamKind.OTHER


class ProgramMap:
    """Routes packets by the incoming tables, counts their continuity, and writes PAT and PMT.

    Example::

        route = program.route_untrusted(packet)
        if route is not None and program.record(packet, route):
            program.remap(packet, route)
    """

    def __init__(self) -> None:
        """Begin before the first item."""
        self.unreferenced_packets = 0
        self.continuity_gaps = 0
        self.duplicate_packets = 0
        self.table_changes = 0
        """How often a PMT differed from the one before it in the same item."""
        self._reader = TableReader()
        self._counters: dict[int, int] = {}
        self._tables = TableWriter()
        self.pcr_pid = PCR_PID
        """The outgoing PID of the PCR."""
        self.is_placed = False
        """Whether the present item has its place on the timeline. Before, its tables may still grow."""
        self.begin_item()

    def begin_item(self) -> None:
        """Forget the incoming tables and PIDs; the outgoing ones stay."""
        self._reader.begin_item()
        self._source: Program | None = None
        self._adopted: Program | None = None
        self._shrunk_at: int | None = None
        self.tables_due = self.is_placed = False
        self._set_routes({})

    def _set_routes(self, routes: dict[int, Route]) -> None:
        self._routes = routes
        self._ordered = tuple(sorted(routes.values(), key=lambda route: route.pid))
        self._main = next((route for route in self._ordered if route.kind is not StreamKind.PCR), None)

    @property
    def incoming(self) -> Mapping[int, Route]:
        """The present item's streams by incoming PID; another mapping after each change."""
        return self._routes

    @property
    def routes(self) -> tuple[Route, ...]:
        """The present item's streams, video first, then audio."""
        return self._ordered

    @property
    def main(self) -> Route | None:
        """The main stream, at whose keyframes clients join: the first video, else the first audio, else any stream."""
        return self._main

    # --- input -------------------------------------------------------------------------------------------------

    def route_untrusted(self, packet: bytearray) -> Route | None:
        """Return the route of *packet*, or ``None`` if it is part of a table or is dropped. Never raises.

        Reads the tables. Sets :attr:`tables_due` when a PMT is complete: the output repeats its tables where the
        input does.
        """
        pid = pid_of(packet)
        route = self._routes.get(pid)
        if route is not None:
            return route
        if pid == PAT_PID:
            self._read_pat(packet)
        elif pid == self._reader.pmt_pid:
            self._read_pmt(packet)
        elif LAST_RESERVED_PID < pid != NULL_PID:
            self.unreferenced_packets += 1
        return None

    def record(self, packet: bytearray, route: Route) -> bool:
        """Record the continuity counter of *packet*, and count a gap before it; return whether the packet is new.

        ``False``: it repeats the packet before it, as ISO/IEC 13818-1, section 2.4.3.3 allows.
        """
        counter, carries = packet[3] & 0x0F, has_payload(packet)
        if counter != route.last_counter + carries & 0x0F and route.last_counter >= 0 and not is_discontinuous(packet):
            # A duplicate has a PCR of its own, for its own position.
            start = 4 if read_pcr(packet) is None else 12
            if carries and counter == route.last_counter and packet[start:] == route.last_packet[start:]:
                self.duplicate_packets += 1
                return False
            self.continuity_gaps += 1
        route.last_counter = counter
        if carries:
            route.last_packet = bytes(packet)  # a copy: timestamps will be written into this one
        return True

    def _read_pat(self, packet: bytearray) -> None:
        if self._reader.read_pat_untrusted(packet):
            # With another multiplexer, the PMT may come on a PID that was a stream.
            pmt_pid = self._reader.pmt_pid
            self._set_routes({pid: route for pid, route in self._routes.items() if pid != pmt_pid})

    def _read_pmt(self, packet: bytearray) -> None:
        if not self._reader.read_pmt_untrusted(packet):
            return
        program = self._reader.program
        if program is not None and program is not self._source:
            self._source = program
            self._follow(program)
        self.tables_due = self._tables.current is not None

    @property
    def damaged_tables(self) -> int:
        """How many PAT and PMT sections had a wrong CRC."""
        return self._reader.damaged

    def _follow(self, program: Program) -> None:
        """Adopt *program*, or wait and see if it only names fewer streams than the one before."""
        adopted, self._shrunk_at = self._adopted, None
        if adopted is None or not program.is_part_of(adopted):
            self._adopt(program)
            return
        for pid, route in self._routes.items():
            route.carries_pcr = pid == program.pcr_pid

    def settle(self, now: int) -> None:
        """Adopt a PMT with fewer streams if it has stayed for :data:`SETTLE_TICKS`; *now* is the last PCR, 27 MHz."""
        source, adopted = self._source, self._adopted
        if source is None or adopted is None or source == adopted:
            return
        if self._shrunk_at is None:
            self._shrunk_at = now
        elif now - self._shrunk_at >= SETTLE_TICKS:
            self._adopt(source)

    def _adopt(self, program: Program) -> None:
        self.table_changes += self.is_placed and self._adopted is not None and program != self._adopted
        self._adopted = program
        routes: dict[int, Route] = {}
        streams = []
        kinds = {stream.pid: _kind_of(stream.stream_type) for stream in program.streams}
        kept = {pid: route.pid for pid, route in self._routes.items() if kinds.get(pid) is route.kind}
        taken = set(kept.values())
        for stream in program.streams:
            kind = _kind_of(stream.stream_type)
            free = (pid for pid in range(kind, kind + STREAMS_PER_KIND) if pid not in taken)
            pid = kept.get(stream.pid) or next(free, None)
            if pid is None or stream.pid in routes or stream.pid in {PAT_PID, NULL_PID}:
                continue
            taken.add(pid)
            routes[stream.pid] = Route(pid, kind, stream.stream_type, carries_pcr=stream.pid == program.pcr_pid)
            streams.append(ElementaryStream(stream.stream_type, pid, stream.descriptors))
        if program.pcr_pid not in routes and program.pcr_pid not in {PAT_PID, NULL_PID}:
            routes[program.pcr_pid] = Route(PCR_PID, StreamKind.PCR, 0, carries_pcr=True)
        for pid, route in self._routes.items():
            if pid in routes and routes[pid].pid == route.pid:
                routes[pid].continue_from(route)
        self._set_routes(routes)
        # A source without a PCR PID gets one here: the packetizer writes PCRs that it estimates from DTS.
        self.pcr_pid = routes[program.pcr_pid].pid if program.pcr_pid in routes else PCR_PID
        ordered = tuple(sorted(streams, key=lambda row: row.pid))
        self._tables.current = Program(self.pcr_pid, program.descriptors, ordered)

    # --- output ------------------------------------------------------------------------------------------------

    @property
    def tables_differ(self) -> bool:
        """Whether :meth:`next_tables` will return other tables than the last time."""
        return self._tables.differ

    @property
    def may_grow(self) -> bool:
        """Whether the present item's PMT names only some of the streams that were sent before, or no video.

        libvlc's multiplexer writes its first PMT before it knows all streams (measured).
        """
        if self._tables.sent is None:
            return all(route.kind is not StreamKind.VIDEO for route in self._ordered)
        return self._tables.lacks_streams

    def next_tables(self) -> list[bytearray]:
        """Return PAT and PMT as packets whose continuity counters follow those of the last ones."""
        self.tables_due = False
        packets = self._tables.next()
        for packet in packets:
            pid = pid_of(packet)
            self._counters[pid] = counter = (self._counters.get(pid, -1) + 1) % 16
            packet[3] |= counter
        return packets

    def remap(self, packet: bytearray, route: Route) -> None:
        """Write the outgoing PID and a continuity counter that runs on from the item before, in place."""
        counter = packet[3] & 0x0F
        if route.counter_shift is None:
            carries = packet[3] >> 4 & 1
            route.counter_shift = (self._counters.get(route.pid, -1) + carries - counter) % 16
        route.expected = PAYLOAD_ONLY | counter + 1 & 0x0F
        self._counters[route.pid] = outgoing = (counter + route.counter_shift) % 16
        packet[3] = packet[3] & 0xF0 | outgoing
        set_pid(packet, route.pid)

    def remap_expected(self, packet: bytearray, route: Route) -> None:
        """Do what :meth:`record` and :meth:`remap` do, for a packet that is :attr:`Route.expected`: the fast path."""
        counter = packet[3] & 0x0F
        route.last_counter, route.last_packet = counter, packet  # no copy: only its first four bytes will change
        route.expected = PAYLOAD_ONLY | counter + 1 & 0x0F
        outgoing = counter + (route.counter_shift or 0) & 0x0F
        pid = route.pid
        self._counters[pid] = outgoing
        packet[1], packet[2], packet[3] = pid >> 8, pid & 0xFF, PAYLOAD_ONLY | outgoing

    def insert(self, packet: bytearray, route: Route) -> None:
        """Write the outgoing PID and counter into *packet*, which the source did not send; those after it count on."""
        self._counters[route.pid] = outgoing = (self._counters.get(route.pid, -1) + 1) % 16
        if route.counter_shift is not None:
            route.counter_shift = (route.counter_shift + 1) % 16
        packet[3] = packet[3] & 0xF0 | outgoing
        set_pid(packet, route.pid)

    def counter(self, pid: int) -> int | None:
        """Return the last continuity counter written on the outgoing *pid*, ``None`` before the first packet."""
        return self._counters.get(pid)

    def forget_counters(self) -> None:
        """Let the outgoing counters run on whatever the incoming ones are: packets are left out on purpose."""
        for route in self._routes.values():
            route.counter_shift, route.expected = None, -1

    def rewind(self, counters: Mapping[int, int]) -> None:
        """Continue from *counters*, by outgoing PID: the packets after them were taken back."""
        self._counters.update(counters)

    # --- names -------------------------------------------------------------------------------------------------

    @property
    def video_pid(self) -> int | None:
        """The first video's outgoing PID."""
        main = self.main
        return main.pid if main is not None and main.kind is StreamKind.VIDEO else None

    @property
    def video_codec(self) -> str | None:
        """The first video's codec."""
        main = self.main
        return VIDEO_CODECS.get(main.stream_type) if main is not None else None

    @property
    def audio_codecs(self) -> tuple[str, ...]:
        """All audio codecs, in order."""
        return tuple(AUDIO_CODECS[route.stream_type] for route in self.routes if route.kind is StreamKind.AUDIO)
