"""Reads a tcpdump file into facts. The only importer of scapy.

scapy reads the file, and dissects a sample of the packets beside :mod:`flume.capture.dissect`. Where the two
decoders differ, the capture counts as unreadable.

A capture that cannot be trusted raises no exception. It has a :attr:`~flume.lab.evidence.facts.Tap.problem`, so that a
report can still be written, with the verdict ERROR. Problems are: a file that is missing or cut off, packets that were
shortened or dropped, tcpdump not closed cleanly, bytes missing from a control connection, a clock that was set back.
"""

import re
from pathlib import Path

from flume.capture.dissect import LINK_HEADER, Dissector, Segment
from flume.capture.files import CaptureFile, CrossCheck, Record
from flume.capture.fragments import Fragment
from flume.errors import CaptureError
from flume.lab.evidence.collector import Collector
from flume.lab.evidence.datagrams import Keep
from flume.lab.evidence.facts import Tap, TapFacts

CLOCK_STEP_S = 0.05
"""Time stamps of two CPUs may swap by microseconds in the file; a step back of this size is a set clock."""

_LISTENING = re.compile(r"listening on ([^,\s]+)")
_CAPTURED = re.compile(r"^(\d+) packets? captured", re.MULTILINE)
_DROPPED = re.compile(r"^(\d+) packets? dropped by kernel", re.MULTILINE)


class _Reading:
    """One pass over a capture file."""

    def __init__(self, collector: Collector, host: str | None) -> None:
        self._collector = collector
        self._host = host
        self.packets = self.snaplen = 0
        self.first_s = self.last_s = 0.0
        self.problems: list[str] = []
        self._shortened = self._broken = 0
        self._step_s = 0.0
        self._check = CrossCheck()

    def read(self, path: Path) -> None:
        """Read *path* to its end. Raises :class:`CaptureError` when it is no capture file of tcpdump."""
        with CaptureFile(path) as capture:
            (kind,) = capture.link_types if capture.kind == "pcap" else (capture.kind,)
            if kind not in LINK_HEADER:
                raise CaptureError(f"{path} has link type {kind}: write it with tcpdump -w on one Ethernet interface")
            dissector = Dissector(kind)
            self.snaplen = capture.snaplen
            for record in capture.records():
                self._packet(record, dissector)
            self.problems = [*capture.problems, *(text for wrong, text in self._findings() if wrong)]

    def _packet(self, record: Record, dissector: Dissector) -> None:
        time_s = record.time_s
        self.first_s = self.first_s or time_s
        self.last_s = max(self.last_s, time_s)
        self._step_s = max(self._step_s, self.last_s - time_s)
        self.packets += 1
        if len(record.frame) < record.wire_bytes:
            self._shortened += 1
            return
        try:
            packet = dissector.packet_untrusted(record.frame)
        except CaptureError:
            self._broken += 1
            return
        if packet is not None:
            self._check.see(record, packet)
            if self._host is None or self._host in _ends(packet):
                self._collector.add_untrusted(time_s, packet)

    def _findings(self) -> list[tuple[object, str]]:
        return [
            (self.packets == 0, "it holds no packet at all"),
            (self._shortened, f"{self._shortened} packets were cut by the snapshot length {self.snaplen}"),
            (self._broken, f"{self._broken} packets could not be read"),
            (self._step_s > CLOCK_STEP_S, f"its clock went back by {self._step_s * 1000:.0f} ms"),
            (self._check.disagreement, f"two decoders disagree: {self._check.disagreement}"),
        ]


def _ends(packet: Segment | Fragment) -> tuple[str, str]:
    """Return the addresses of the hosts that *packet* is from and for."""
    if isinstance(packet, Fragment):
        return packet.source, packet.destination
    return packet.source[0], packet.destination[0]


def _problems_in_log(log_text: str, packets: int) -> tuple[int, list[str]]:
    """Return tcpdump's count of dropped packets, and the problems in its closing lines.

    *packets* is the number of packets in the file.
    """
    captured, dropped = _CAPTURED.search(log_text), _DROPPED.search(log_text)
    if captured is None or dropped is None:
        return 0, ["tcpdump did not report its end: the capture was not closed cleanly"]
    lost = int(dropped[1])
    problems = [f"tcpdump dropped {lost} packets: give it a larger buffer (-B)"] if lost else []
    if int(captured[1]) != packets:
        problems.append(f"tcpdump captured {captured[1]} packets, the file holds {packets}")
    return lost, problems


def read_tap(
    path: Path, *, name: str, log_text: str, port: int, keep: Keep | None = None, host: str | None = None
) -> TapFacts:
    """Return what the capture at *path* holds of the stream and its control connections on *port*.

    *name* is the tap's name in the report. *log_text* is what tcpdump wrote to its standard error, to the end. A file
    that is missing, damaged or not a capture raises nothing: ``tap.problem`` names it, and the verdict is ERROR.
    *keep* gets the bytes of each datagram of the stream, which the facts do not have. *host*: only packets from or for
    this address are taken. A bridge that does not know yet where an address is sends to all of its ports, so a tap sees
    packets between others.

    Example::

        facts = read_tap(Path("server.pcap"), name="server", log_text=log, port=5004)
        facts.tap.problem is None, len(facts.media)
    """
    collector = Collector(port, keep)
    listening = _LISTENING.search(log_text)
    reading = _Reading(collector, host)
    try:
        reading.read(path)
    except CaptureError as error:
        reading.problems = [str(error)]
    dropped, problems = _problems_in_log(log_text, reading.packets)
    missing = collector.missing_bytes
    if missing:
        problems.append(f"{missing} acknowledged bytes of control connections are not in the file")
    tap = Tap(
        name=name,
        interface=listening[1] if listening else "?",
        path=str(path),
        packets=reading.packets,
        dropped_by_kernel=dropped,
        snaplen=reading.snaplen,
        first_s=reading.first_s,
        last_s=reading.last_s,
        problem="; ".join([*reading.problems, *problems]) or None,
    )
    return collector.build(tap)
