"""A transport stream as it comes, examined by ETSI TR 101 290: first priority, and the second without buffers. Pure.

Most packets cost one comparison: they begin with the four bytes that :class:`Continuity` expects of their PID. Only
packets with an adaptation field, the start of a unit, a table, or something unexpected are looked into.
"""

import struct
from collections import Counter

from flume.measures.ts import tables
from flume.measures.ts.clock import StreamClock
from flume.measures.ts.continuity import PACKET_BYTES, Continuity
from flume.measures.ts.findings import FindingLog, Interval, finding
from flume.measures.ts.pcr import PcrWatch
from flume.measures.ts.programs import Programs
from flume.measures.ts.summary import examined, pid_figures, reasons
from flume.measures.ts.values import INDICATORS, StreamFigures, StreamFinding, Thresholds

SYNC_BYTE = 0x47
ACQUIRED_AFTER = 5
"""Correct sync bytes one after the other, until a stream that lost sync has it again (ISO/IEC 13818-1, annex G)."""
TICK_S = 0.1
"""How exactly the absence of a PID is timed."""
_HEADERS = struct.Struct(">I184x")
_IDS_WITHOUT_HEADER = frozenset((0xBC, 0xBE, 0xBF, 0xF0, 0xF1, 0xF2, 0xF8, 0xFF))
"""stream_ids of PES packets without PTS (ISO/IEC 13818-1, 2.4.3.7)."""


class TransportStream:
    """Examines packets in the order in which they came. Memory is bounded, whatever they contain.

    Example::

        analysis = TransportStream()
        for payload, time_s in datagrams:
            analysis.add_untrusted(payload, time_s)
        print(analysis.result().counts)

    Whole packets of a file come from :class:`~flume.measures.ts.framing.Framer`:
    they have no time, ``add_untrusted(block, None)``.
    """

    def __init__(self, thresholds: Thresholds | None = None) -> None:
        """Use the limits of TR 101 290, or other *thresholds*."""
        self.thresholds = limits = thresholds or Thresholds()
        self._clock = StreamClock()
        self._log = FindingLog(self._clock)
        self._continuity = Continuity(self._log)
        self._pcrs = PcrWatch(self._log, self._clock, limits)
        self._programs = Programs(self._log, limits, self._pcrs)
        self._packets = 0
        self._begins = True
        self._last_bad = -ACQUIRED_AFTER
        self._lost_sync = False
        self._next_tick_s = 0.0
        self._ticked: dict[int, int] = {}
        self._absent: set[int] = set()
        self._flagged: set[int] = set()
        self._stamps: dict[int, Interval] = {}
        self._scrambled: dict[int, int] = {}
        self._watched_tables: set[int] = set()
        self._watch_tables()

    def add_untrusted(self, packets: bytes | bytearray | memoryview, time_s: float | None) -> None:
        """Take whole packets of 188 bytes that arrived at *time_s* seconds; None: of a file, whose PCRs tell the time.

        Never raises, whatever the bytes are. Bytes behind the last whole packet are an error 1.1.
        """
        data = packets if isinstance(packets, bytes) else bytes(packets)
        self._arrive(time_s)
        rest = len(data) % PACKET_BYTES
        first = number = self._packets
        if self._begins and len(data) > rest:
            self._begins = False
            self._programs.start(first)
        expected, counts = self._continuity.expected, self._continuity.counts
        headers = _HEADERS.iter_unpack(memoryview(data)[: len(data) - rest] if rest else data)
        for number, (header,) in enumerate(headers, first):
            pid = header >> 8 & 0x1FFF
            if header == expected[pid]:
                counts[pid] += 1
                expected[pid] = header + 1 if header & 15 < 15 else header - 15
            else:
                self._packets = number
                self._look_untrusted(header, pid, number, data, (number - first) * PACKET_BYTES)
        self._packets = first + len(data) // PACKET_BYTES
        self._continuity.remember(data[: len(data) - rest] if rest else data)
        if rest:
            self.lose_sync(f"{rest} bytes that are no whole packet")

    def _arrive(self, time_s: float | None) -> None:
        self._clock.arrive(time_s)
        if time_s is not None and time_s >= self._next_tick_s:
            self._next_tick_s = time_s + TICK_S
            self._tick()

    def lose_sync(self, detail: str) -> None:
        """Packets do not follow on each other here: *detail* says what is in between. An error 1.1."""
        self._log.add("1.1", self._packets, None, detail)
        self._pcrs.losses += 1

    def interrupt(self) -> None:
        """The stream stops here on purpose, such as at the end of a delivery window, and goes on at any other place.

        A pause is no error then, nor are the counters, PCRs and tables behind it compared with those before.
        """
        for found in self._overdue():
            self._log.add_at(found.indicator, found.packet, found.time_s, found.pid, found.detail)
        self._clock.interrupt()
        self._continuity.forget()
        self._pcrs.interrupt()
        self._programs.interrupt()
        for row in self._stamps.values():
            row.forget()
        self._flagged.clear()
        self._ticked.clear()
        self._absent.clear()
        self._begins = True

    def _look_untrusted(self, header: int, pid: int, number: int, data: bytes, offset: int) -> None:
        """Take a packet that is not the ordinary next one of its PID."""
        if header >> 24 != SYNC_BYTE:
            self._bad_sync(header, pid, number)
            return
        if header & 0x800000:
            self._log.add("2.1", number, pid, "the transport_error_indicator is set")
            self._continuity.glimpse(header, pid)
            return
        control = header >> 4 & 3
        if control == 0 and pid != tables.NULL_PID:
            self._continuity.counts[pid] += 1  # reserved: decoders discard it (2.4.3.4)
            return
        flags = length = 0
        if control & 2:
            length = data[offset + 4]
            flags = data[offset + 5] if 0 < length <= 183 else 0
        errors = self._log.counts["1.4"]
        flagged = bool(flags & 0x80)
        new, follows = self._continuity.take(header, pid, number, data, offset, flagged=flagged)
        self._pcrs.losses += self._log.counts["1.4"] - errors
        if pid in self._absent:
            self._returned(pid, number)
        if flagged:
            self._flagged.add(pid)
        if new and flags & 0x10 and length >= 7:
            self._pcr(pid, number, data, offset + 6)
        if new and control & 1:
            begin = offset + 4 + (1 + length if control & 2 else 0)
            self._payload(header, pid, number, data[begin : offset + PACKET_BYTES], follows=follows)

    def _bad_sync(self, header: int, pid: int, number: int) -> None:
        distance = number - self._last_bad
        self._last_bad = number
        self._pcrs.losses += 1
        if distance > ACQUIRED_AFTER:
            self._lost_sync = False
        if distance == 1 and not self._lost_sync:
            self._lost_sync = True
            self._log.add("1.1", number, None, "two packets one after the other without the sync byte 0x47")
        elif not self._lost_sync:
            self._log.add("1.2", number, None, f"the packet begins with {header >> 24:#04x} instead of 0x47")
        if distance > 1:  # with a single one, sync is kept, and the packet is one of the stream
            self._continuity.glimpse(header, pid)

    def _pcr(self, pid: int, number: int, data: bytes, at: int) -> None:
        value = int.from_bytes(data[at : at + 6], "big")
        flagged = pid in self._flagged
        self._flagged.discard(pid)
        pcr = (value >> 15) * 300 + (value & 0x1FF)
        if self._pcrs.add(pid, number, pcr, flagged=flagged) and self._clock.arrival_s is None:
            self._tick()

    def _payload(self, header: int, pid: int, number: int, payload: bytes, *, follows: bool) -> None:
        starts = bool(header & 0x400000)
        if pid in self._programs.collectors:
            if header & 0xC0:
                self._note_scrambled(pid, number)
                self._programs.scrambled(pid, number)
                return
            if not follows:
                self._programs.collectors[pid].drop()
            if self._programs.feed_untrusted(pid, number, payload, starts=starts):
                self._watch_tables()
        elif header & 0xC0:
            self._note_scrambled(pid, number)
            if pid in self._stamps:
                self._stamps[pid].forget()
        elif starts and pid in self._stamps:
            self._pes(pid, number, payload)

    def _pes(self, pid: int, number: int, payload: bytes) -> None:
        has_header = payload[:3] == b"\0\0\1" and len(payload) > 7 and payload[3] not in _IDS_WITHOUT_HEADER
        # A header that goes on in the next packet may have a PTS, and is no proof of its absence.
        if len(payload) < 8 or (has_header and payload[7] & 0x80):
            self._stamps[pid].seen(number)

    def _note_scrambled(self, pid: int, number: int) -> None:
        self._scrambled.setdefault(pid, number)

    def _watch_tables(self) -> None:
        """The tables changed: look at every packet of their PIDs, and at the PTSs of what they name."""
        wanted = set(self._programs.collectors)
        for pid in self._watched_tables - wanted:
            self._continuity.unwatch(pid)
        for pid in wanted - self._watched_tables:
            self._continuity.watch(pid)
        self._watched_tables = wanted
        for pid in set(self._stamps) - set(self._programs.referenced):
            del self._stamps[pid]
        for pid in set(self._programs.referenced) - set(self._stamps):
            self._stamps[pid] = Interval(self._log, "2.5", pid, limit_s=self.thresholds.pts_s, what="a PTS")

    def _tick(self) -> None:
        """See which of the PIDs of sound and picture had no packet since the last tick."""
        counts, number = self._continuity.counts, self._packets
        for pid, interval in self._programs.referenced.items():
            if pid in self._absent:
                continue
            if self._ticked.get(pid) == counts[pid]:
                self._absent.add(pid)
                self._continuity.watch(pid)
            else:
                self._ticked[pid] = counts[pid]
                if counts[pid]:
                    interval.start(number)

    def _returned(self, pid: int, number: int) -> None:
        self._absent.discard(pid)
        if pid not in self._watched_tables:
            self._continuity.unwatch(pid)
        if pid in self._programs.referenced:
            self._programs.referenced[pid].seen(number)
        self._ticked.pop(pid, None)

    def _overdue(self) -> list[StreamFinding]:
        last = max(self._packets - 1, 0)
        found = self._programs.overdue(last) + self._pcrs.overdue(last, self._programs.pcr_pids)
        found += [late for row in self._stamps.values() if (late := row.overdue(last)) is not None]
        if self._scrambled and not self._programs.has_cat:
            packet, pid = min((number, pid) for pid, number in self._scrambled.items())
            detail = "a packet is scrambled, and the stream has no CAT"
            found.append(finding("2.6", packet, self._clock.time_s(packet), pid, detail))
        return found

    @property
    def counts(self) -> dict[str, int]:
        """Findings so far by indicator, of those that had one; :meth:`result` also knows what was examined."""
        return dict(self._log.counts)

    @property
    def findings(self) -> list[StreamFinding]:
        """The first findings so far, by packet, without what is overdue now."""
        return self._log.kept()

    def result(self) -> StreamFigures:
        """Return what was found up to now; more packets may follow."""
        overdue = self._overdue()
        counts = self._log.counts + Counter(found.indicator for found in overdue)
        span = self._clock.span(self._packets)
        duration_s = None if span is None else span[1]
        why = reasons(self._programs, self._pcrs, self.thresholds, duration_s, self._scrambled) if self._packets else {}
        packets = self._continuity.counts
        return StreamFigures(
            packets=self._packets,
            counts={row: counts[row] for row in INDICATORS if counts[row] or (self._packets and examined(row, why))},
            findings=sorted(self._log.kept() + overdue, key=lambda found: (found.packet, found.indicator)),
            not_examined=dict(why) if self._packets else dict.fromkeys(INDICATORS, "there is no packet"),
            duration_s=duration_s,
            rate_kbit=None if span is None else span[0] * PACKET_BYTES * 8 / span[1] / 1000,
            constant_rate=self._pcrs.constant(),
            programs=self._programs.figures(),
            pids=pid_figures(packets, self._programs, self._pcrs, span, self._packets),
            pcrs=self._pcrs.figures(),
        )
