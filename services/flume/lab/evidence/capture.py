"""Reads a tcpdump file into facts. The only importer of scapy.

scapy reads the file, and dissects a sample of the packets beside :mod:`flume.capture.dissect`. Where the two
decoders differ, the capture counts as unreadable.

A capture that cannot be trusted raises no exception. It has a :attr:`~flume.lab.evidence.facts.Tap.problem`, so that a
report can still be written, with the verdict ERROR. Problems are: a file that is missing or cut off, packets that were
shortened or dropped, tcpdump not closed cleanly, bytes missing from a control connection, a clock that was set back.
"""

import re
from pathlib import Path

from scapy.config import conf
from scapy.error import Scapy_Exception
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.packet import NoPayload, Packet, Padding
from scapy.utils import RawPcapReader

from flume.errors import EvidenceError
from flume.capture import dissect
from flume.lab.evidence.collector import Collector
from flume.capture.dissect import LINK_HEADER, Dissector, Segment
from flume.lab.evidence.facts import Tap, TapFacts
from flume.capture.fragments import Fragment

CLOCK_STEP_S = 0.05
"""Time stamps of two CPUs may swap by microseconds in the file; a step back of this size is a set clock."""
_SAMPLE = 2000
"""scapy dissects every packet of this number as well: it takes 0.2 ms for each."""
_SAMPLE_FIRST = 16
"""scapy dissects each of the first packets as well, so that a short capture is checked, too."""
_FILE_HEADER_BYTES = 24
_MAGIC = frozenset(bytes.fromhex(number) for number in ("a1b2c3d4", "d4c3b2a1", "a1b23c4d", "4d3cb2a1"))
"""pcap with micro- or nanoseconds, of either byte order."""

_LISTENING = re.compile(r"listening on ([^,\s]+)")
_CAPTURED = re.compile(r"^(\d+) packets? captured", re.MULTILINE)
_DROPPED = re.compile(r"^(\d+) packets? dropped by kernel", re.MULTILINE)


def _check_with_scapy(frame: bytes, link_type: int, ours: Segment | Fragment) -> str | None:
    """Return how scapy's dissection of *frame* differs from *ours*, or None."""
    packet = conf.l2types[link_type](frame)
    if isinstance(ours, Fragment):
        found = _fragment_by_scapy(packet)
        return None if found == ours else f"scapy reads {found}, we read {ours}"
    network = packet.getlayer(IP) or packet.getlayer(IPv6)
    transport = packet.getlayer(TCP if ours.protocol == dissect.TCP else UDP)
    if network is None or transport is None:
        return "scapy finds no such transport layer"
    theirs = ((network.src, transport.sport), (network.dst, transport.dport))
    data = b"" if isinstance(transport.payload, NoPayload | Padding) else transport.payload.original
    if theirs != (ours.source, ours.destination) or data != ours.data:
        return f"scapy reads {theirs} with {len(data)} bytes, we read {ours[1:3]} with {len(ours.data)}"
    return None


def _fragment_by_scapy(packet: Packet) -> Fragment | None:
    """Return the fragment that *packet* is according to scapy."""
    network = packet.getlayer(IP)
    if network is not None:
        place = (network.id, 8 * network.frag, not network.flags.MF)
        return Fragment(network.proto, network.src, network.dst, *place, network.payload.original)
    network, part = packet.getlayer(IPv6), packet.getlayer(IPv6ExtHdrFragment)
    if network is None or part is None:
        return None
    return Fragment(part.nh, network.src, network.dst, part.id, 8 * part.offset, not part.m, part.payload.original)


def _open(path: Path) -> RawPcapReader:
    """Return scapy's reader of *path*. Raises :class:`EvidenceError` when it is no capture file.

    The header is checked first, because scapy leaves the file open when it refuses one.
    """
    try:
        with path.open("rb") as file:
            header = file.read(_FILE_HEADER_BYTES)
        if len(header) < _FILE_HEADER_BYTES or header[:4] not in _MAGIC:
            raise EvidenceError(f"{path} is no capture file: write it with tcpdump -w")
        return RawPcapReader(str(path))
    except (OSError, Scapy_Exception) as error:
        raise EvidenceError(f"{path} is no capture file: {error}") from error


class _Reading:
    """One pass over a capture file."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self.packets = self.snaplen = 0
        self.first_s = self.last_s = 0.0
        self.problems: list[str] = []
        self._consumed_bytes = self._shortened = self._broken = 0
        self._step_s = 0.0
        self._disagreement: str | None = None

    def read(self, path: Path) -> None:
        """Read *path* to its end. Raises :class:`EvidenceError` when it is no capture file."""
        reader = _open(path)
        with reader:
            if type(reader) is not RawPcapReader or reader.linktype not in LINK_HEADER:
                kind = getattr(reader, "linktype", "pcapng")
                raise EvidenceError(f"{path} has link type {kind}: write it with tcpdump -w on one Ethernet interface")
            dissector = Dissector(reader.linktype)
            self.snaplen = reader.snaplen
            fraction = 1e-9 if reader.nano else 1e-6
            for frame, meta in reader:
                if len(frame) < meta.caplen:
                    break  # the file ends within this packet
                self._consumed_bytes += 16 + len(frame)
                self._packet(meta.sec + meta.usec * fraction, frame, meta.wirelen, dissector, reader.linktype)
        cut = path.stat().st_size != _FILE_HEADER_BYTES + self._consumed_bytes
        self.problems = [text for wrong, text in self._findings(cut=cut) if wrong]

    def _packet(self, time_s: float, frame: bytes, wire_bytes: int, dissector: Dissector, link_type: int) -> None:
        self.first_s = self.first_s or time_s
        self.last_s = max(self.last_s, time_s)
        self._step_s = max(self._step_s, self.last_s - time_s)
        self.packets += 1
        if len(frame) < wire_bytes:
            self._shortened += 1
            return
        try:
            packet = dissector.packet_untrusted(frame)
        except EvidenceError:
            self._broken += 1
            return
        if packet is None:
            return
        sampled = packet.protocol != dissect.ICMP and (self.packets <= _SAMPLE_FIRST or self.packets % _SAMPLE == 0)
        if self._disagreement is None and sampled:
            self._disagreement = _check_with_scapy(frame, link_type, packet)
        self._collector.add_untrusted(time_s, packet)

    def _findings(self, *, cut: bool) -> list[tuple[object, str]]:
        return [
            (cut, "the file is cut off within a packet"),
            (self.packets == 0, "it holds no packet at all"),
            (self._shortened, f"{self._shortened} packets were cut by the snapshot length {self.snaplen}"),
            (self._broken, f"{self._broken} packets could not be read"),
            (self._step_s > CLOCK_STEP_S, f"its clock went back by {self._step_s * 1000:.0f} ms"),
            (self._disagreement, f"two decoders disagree: {self._disagreement}"),
        ]


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


def read_tap(path: Path, *, name: str, log_text: str, port: int) -> TapFacts:
    """Return what the capture at *path* holds of the stream and its control connections on *port*.

    *name* is the tap's name in the report. *log_text* is what tcpdump wrote to its standard error, to the end. A file
    that is missing, damaged or not a capture raises nothing: ``tap.problem`` names it, and the verdict is ERROR.

    Example::

        facts = read_tap(Path("server.pcap"), name="server", log_text=log, port=5004)
        facts.tap.problem is None, len(facts.media)
    """
    collector = Collector(port)
    listening = _LISTENING.search(log_text)
    reading = _Reading(collector)
    try:
        reading.read(path)
    except EvidenceError as error:
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
