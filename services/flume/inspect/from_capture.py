"""A capture file in, the streams in it out. It reads as it goes, so the file may be of any size. Pure."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from flume.capture import dissect
from flume.capture.dissect import LINK_HEADER, Dissector, Segment, transport_untrusted
from flume.capture.files import CaptureFile, CrossCheck, Record
from flume.capture.fragments import Fragment, Reassembler
from flume.errors import CaptureError
from flume.inspect.arrival_meter import CLOCK_STEP_S
from flume.inspect.stream_table import Datagram, StreamTable
from flume.inspect.values import Inspection
from flume.measures.ts.values import Thresholds

_PROGRESS_EACH = 4096

Progress = Callable[[int, int], None]
"""Is told how many bytes of how many have been read; may raise :class:`KeyboardInterrupt` to stop."""


class _Reading:
    """One pass over a capture file."""

    def __init__(self, limits: Thresholds) -> None:
        self.table = StreamTable(limits)
        self.others: Counter[str] = Counter()
        self.packets = 0
        self.first_s: float | None = None
        self.last_s = 0.0
        self._step_s = 0.0
        self._shortened = self._broken = self._first_shortened = self._first_broken = 0
        self._check = CrossCheck()
        self._dissectors: dict[int, Dissector] = {}
        self._reassembler, self._incomplete = Reassembler(), 0

    def take(self, record: Record) -> None:
        """Take one frame."""
        self.packets += 1
        if self.first_s is None:
            self.first_s = self.last_s = record.time_s
        self.last_s = max(self.last_s, record.time_s)
        self._step_s = max(self._step_s, self.last_s - record.time_s)
        if len(record.frame) < record.wire_bytes:
            self._shortened += 1
            self._first_shortened = self._first_shortened or self.packets
            return
        dissector = self._dissector(record.link_type)
        if dissector is None:
            self.others[f"link type {record.link_type}"] += 1
            return
        try:
            packet = dissector.packet_untrusted(record.frame)
        except CaptureError:
            self._broken += 1
            self._first_broken = self._first_broken or self.packets
            return
        if packet is None:
            self.others["not TCP, UDP or ICMP"] += 1
            return
        self._check.see(record, packet)
        self._packet(record.time_s, packet)

    @property
    def is_falsified(self) -> bool:
        """Whether frames are missing that came, or times are wrong: figures may be wrong then."""
        unread = self._shortened + self._broken + self._incomplete + len(self._reassembler.incomplete())
        return unread > 0 or self._step_s > CLOCK_STEP_S or bool(self._check.disagreement)

    @property
    def started(self) -> str | None:
        """When the first packet came; None where there is none, or its time is no date."""
        try:
            started = None if self.first_s is None else datetime.fromtimestamp(self.first_s, UTC)
        except (ValueError, OverflowError, OSError):
            return None
        return None if started is None else started.isoformat(timespec="milliseconds")

    def _dissector(self, link_type: int) -> Dissector | None:
        found = self._dissectors.get(link_type)
        if found is None and link_type in LINK_HEADER:
            found = self._dissectors[link_type] = Dissector(link_type)
        return found

    def _packet(self, time_s: float, packet: Segment | Fragment) -> None:
        if isinstance(packet, Fragment):
            whole = self._reassembler.take_untrusted(time_s, packet)
            if whole is None:
                self._incomplete += self._reassembler.forget_given_up()
                return
            ends = whole.source, whole.destination
            try:
                segment = transport_untrusted(whole.protocol, *ends, whole.beginning)
            except CaptureError:
                segment = None
        else:
            segment = packet
        if segment is None or segment.protocol != dissect.UDP:
            is_tcp = segment is not None and segment.protocol == dissect.TCP
            self.others["TCP" if is_tcp else "ICMP or incomplete"] += 1
            return
        self.table.add_untrusted(Datagram(self.packets, time_s, segment.source, segment.destination, segment.data))

    def problems(self, capture: CaptureFile) -> list[str]:
        """Return why the answer is not whole."""
        incomplete = self._incomplete + len(self._reassembler.incomplete())
        strange = sorted(capture.link_types - set(LINK_HEADER))
        known = ", ".join(map(str, LINK_HEADER))
        found = [
            (self.packets == 0, "it holds no packet at all"),
            (self.packets and self.started is None, "its first time stamp is no date"),
            (strange, f"link type {', '.join(map(str, strange))} cannot be read: known are {known}"),
            (
                self._shortened,
                f"{self._shortened} packets, the first one {self._first_shortened}, were cut by the snapshot length "
                f"{capture.snaplen}: capture with tcpdump -s 0",
            ),
            (self._broken, f"{self._broken} packets, the first one {self._first_broken}, end within their headers"),
            (incomplete, f"{incomplete} datagrams in IP fragments are not complete"),
            (self._step_s > CLOCK_STEP_S, f"its clock went back by {self._step_s * 1000:.0f} ms"),
            (self._check.disagreement, f"two decoders disagree: {self._check.disagreement}"),
        ]
        return [*capture.problems, *(text for wrong, text in found if wrong), *self.table.problems()]


def inspect_capture(path: Path, limits: Thresholds, progress: Progress) -> Inspection:
    """Return what the capture file *path* holds. Raises :class:`CaptureError` when it is no capture file.

    A file that ends too soon raises nothing: :attr:`Inspection.problems` names it. So does :class:`KeyboardInterrupt`.
    """
    reading = _Reading(limits)
    with CaptureFile(path) as capture:
        stopped = None
        try:
            for record in capture.records():
                reading.take(record)
                if reading.packets % _PROGRESS_EACH == 0:
                    progress(capture.position, capture.size)
        except KeyboardInterrupt:
            stopped = f"stopped after {capture.position} of {capture.size} bytes"
        problems = reading.problems(capture)
        return Inspection(
            input=str(path),
            kind=capture.kind,
            started=reading.started,
            duration_s=round(reading.last_s - (reading.first_s or 0.0), 6),
            packets=reading.packets,
            others=dict(reading.others + Counter(reading.table.all_others())),
            falsified=capture.is_falsified or reading.is_falsified,
            problems=problems if stopped is None else [stopped, *problems],
            streams=reading.table.streams(),
        )
