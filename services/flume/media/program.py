"""The program that goes out: identifiers, tables and continuity counters that stay the same over all items."""

import enum
from collections.abc import Mapping

from flume.media import psi
from flume.media.keyframes import AUDIO_CODECS, VIDEO_CODECS
from flume.media.mpegts import NULL_PID, PAT_PID, has_payload, is_discontinuous, pid_of, read_pcr, set_pid
from flume.media.psi import ElementaryStream, Program
from flume.media.table_reader import TableReader

PROGRAM_NUMBER = 1
PMT_PID = 0x1000
PCR_PID = 0x1F0
"""For a PCR on a PID of its own."""
LAST_RESERVED_PID = 0x1F
"""Up to here there are only tables of services, times and networks, which every broadcast has and nobody misses."""
PAYLOAD_ONLY = 0x10
"""Fourth byte of a packet without adaptation field and scrambling, beside the counter."""
STREAMS_PER_KIND = 16
"""Most video, audio and other streams that are carried, each; the rest is dropped as foreign."""


class StreamKind(enum.IntEnum):
    """What an elementary stream is; the value is the first outgoing PID of its kind."""

    VIDEO = 0x100
    AUDIO = 0x110
    OTHER = 0x120
    PCR = PCR_PID


class Route:
    """Where one incoming PID goes, and how its continuity counter runs on."""

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
        """Lead to the outgoing *pid*; *carries_pcr* when the program's PCR comes with it."""
        self.pid, self.kind, self.stream_type, self.carries_pcr = pid, kind, stream_type, carries_pcr
        self.counter_shift: int | None = None
        self.last_counter = -1
        self.expected = -1
        """Fourth byte of the packet that comes next, if it has a payload only and nothing was lost; -1 if unknown."""
        self.last_packet: bytes | bytearray = b""
        """The last one that carried a payload, as it came in but for its first four bytes."""

    def continue_from(self, other: "Route") -> None:
        """Take over the counters of *other*, which led from the same PID to the same PID."""
        self.counter_shift, self.last_counter = other.counter_shift, other.last_counter
        self.last_packet, self.expected = other.last_packet, other.expected

    @property
    def is_timed(self) -> bool:
        """Whether its timestamps tell where an item begins and ends; subtitles are too sparse."""
        return self.kind in {StreamKind.VIDEO, StreamKind.AUDIO}


def _kind_of(stream_type: int) -> StreamKind:
    if stream_type in VIDEO_CODECS:
        return StreamKind.VIDEO
    return StreamKind.AUDIO if stream_type in AUDIO_CODECS else StreamKind.OTHER


class ProgramMap:
    """Reads the incoming tables, routes packets, and writes PAT and PMT."""

    def __init__(self) -> None:
        """Begin before the first item."""
        self.foreign_packets = 0
        self.continuity_gaps = 0
        self.duplicate_packets = 0
        self.table_changes = 0
        """How often a PMT said something else than the one before it in the same item."""
        self.tables_differ = False
        """Whether :meth:`next_tables` has something else to say than the last time."""
        self._reader = TableReader()
        self._counters: dict[int, int] = {}
        self._version = -1
        self._sent: Program | None = None
        self._tables: tuple[bytes, ...] = ()
        self.pcr_pid = PCR_PID
        """The outgoing PID of clock references."""
        self.begin_item()

    def begin_item(self) -> None:
        """Forget the incoming tables and identifiers; the outgoing ones stay."""
        self._reader.begin_item()
        self._source: Program | None = None
        self.tables_due = False
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
        """The stream at which a client may begin: the first video, or audio, or whatever there is."""
        return self._main

    # --- in ----------------------------------------------------------------------------------------------------

    def route_untrusted(self, packet: bytearray) -> Route | None:
        """Return where *packet* goes, or ``None`` when it is a table or is dropped. Never raises.

        Sets :attr:`tables_due` when a PMT was complete, that is, where the incoming stream repeats its tables.
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
            self.foreign_packets += 1
        return None

    def record(self, packet: bytearray, route: Route) -> bool:
        """Follow the continuity counter of *route*, count what was lost before *packet*, and return whether it is new.

        ``False``: it is the last one once more, as section 2.4.3.3 allows.
        """
        counter, carries = packet[3] & 0x0F, has_payload(packet)
        if counter != route.last_counter + carries & 0x0F and route.last_counter >= 0 and not is_discontinuous(packet):
            # The clock reference in a duplicate is that of its own place.
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
            # Where the table comes now may have been a stream, if another multiplexer has taken over.
            pmt_pid = self._reader.pmt_pid
            self._set_routes({pid: route for pid, route in self._routes.items() if pid != pmt_pid})

    def _read_pmt(self, packet: bytearray) -> None:
        if not self._reader.read_pmt_untrusted(packet):
            return
        program = self._reader.program
        if program is not None and program is not self._source:
            self._adopt(program)
        self.tables_due = bool(self._tables)

    @property
    def damaged_tables(self) -> int:
        """How many PAT and PMT sections had a wrong CRC."""
        return self._reader.damaged

    def _adopt(self, program: Program) -> None:
        self.table_changes += self._source is not None and program != self._source
        self._source = program
        counts = dict.fromkeys(StreamKind, 0)
        routes: dict[int, Route] = {}
        streams = []
        for stream in program.streams:
            kind = _kind_of(stream.stream_type)
            if counts[kind] == STREAMS_PER_KIND or stream.pid in routes or stream.pid in {PAT_PID, NULL_PID}:
                continue
            pid = kind + counts[kind]
            counts[kind] += 1
            routes[stream.pid] = Route(pid, kind, stream.stream_type, carries_pcr=stream.pid == program.pcr_pid)
            streams.append(ElementaryStream(stream.stream_type, pid, stream.descriptors))
        if program.pcr_pid not in routes and program.pcr_pid not in {PAT_PID, NULL_PID}:
            routes[program.pcr_pid] = Route(PCR_PID, StreamKind.PCR, 0, carries_pcr=True)
        for pid, route in self._routes.items():
            if pid in routes and routes[pid].pid == route.pid:
                routes[pid].continue_from(route)
        self._set_routes(routes)
        # Without a PID for the clock there may yet be one of our own: the packetizer writes it by the timestamps.
        self.pcr_pid = routes[program.pcr_pid].pid if program.pcr_pid in routes else PCR_PID
        self._build_tables(Program(self.pcr_pid, program.descriptors, tuple(sorted(streams, key=lambda row: row.pid))))

    # --- out ---------------------------------------------------------------------------------------------------

    def _build_tables(self, program: Program) -> None:
        if program == self._sent:
            return
        self.tables_differ = self._sent is not None
        self._sent = program
        self._version = (self._version + 1) % 32
        pat = psi.build_pat(program_number=PROGRAM_NUMBER, pmt_pid=PMT_PID, version=0)
        try:
            pmt = psi.build_pmt(program, program_number=PROGRAM_NUMBER, version=self._version)
        except ValueError:  # 48 streams with long descriptors; players do without those
            bare = tuple(row._replace(descriptors=b"") for row in program.streams)
            pmt = psi.build_pmt(Program(program.pcr_pid, b"", bare), program_number=1, version=self._version)
        self._tables = psi.packets_of_section(pat, PAT_PID) + psi.packets_of_section(pmt, PMT_PID)

    def next_tables(self) -> list[bytearray]:
        """Return PAT and PMT as packets, numbered on from the last ones."""
        self.tables_due = self.tables_differ = False
        packets = [bytearray(packet) for packet in self._tables]
        for packet in packets:
            pid = pid_of(packet)
            self._counters[pid] = counter = (self._counters.get(pid, -1) + 1) % 16
            packet[3] |= counter
        return packets

    def remap(self, packet: bytearray, route: Route) -> None:
        """Write the outgoing PID and a continuity counter that runs on from the item before."""
        counter = packet[3] & 0x0F
        if route.counter_shift is None:
            carries = packet[3] >> 4 & 1
            route.counter_shift = (self._counters.get(route.pid, -1) + carries - counter) % 16
        route.expected = PAYLOAD_ONLY | counter + 1 & 0x0F
        self._counters[route.pid] = outgoing = (counter + route.counter_shift) % 16
        packet[3] = packet[3] & 0xF0 | outgoing
        set_pid(packet, route.pid)

    def remap_expected(self, packet: bytearray, route: Route) -> None:
        """Do what :meth:`record` and :meth:`remap` do, for a packet that is the *expected* one of *route*."""
        counter = packet[3] & 0x0F
        route.last_counter, route.last_packet = counter, packet  # only its header will be written to
        route.expected = PAYLOAD_ONLY | counter + 1 & 0x0F
        outgoing = counter + (route.counter_shift or 0) & 0x0F
        pid = route.pid
        self._counters[pid] = outgoing
        packet[1], packet[2], packet[3] = pid >> 8, pid & 0xFF, PAYLOAD_ONLY | outgoing

    def counter(self, pid: int) -> int | None:
        """Return the last continuity counter written on the outgoing *pid*, ``None`` before the first packet."""
        return self._counters.get(pid)

    def forget_counters(self) -> None:
        """Let the outgoing counters run on, whatever the incoming ones will be: something is left out on purpose."""
        for route in self._routes.values():
            route.counter_shift, route.expected = None, -1

    def rewind(self, counters: Mapping[int, int]) -> None:
        """Go on from *counters*, by outgoing PID: the packets after them were taken back."""
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
