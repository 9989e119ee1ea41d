"""Reads a tcpdump file into facts. The only importer of scapy.

scapy reads the file and dissects a sample of the packets beside :mod:`flume.lab.evidence.dissect`; where the two
differ the capture counts as unreadable.

A capture that cannot be trusted is not an exception but a :attr:`~flume.lab.evidence.facts.Tap.problem`, so that a
report can still be written, with the verdict ERROR: file missing or cut off, packets shortened or dropped, tcpdump not
closed cleanly, bytes missing from a control connection, a clock that was set back.
"""

import json
import re
import struct
from hashlib import blake2b
from pathlib import Path

from scapy.config import conf
from scapy.error import Scapy_Exception
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import NoPayload, Padding
from scapy.utils import RawPcapReader

from flume.errors import EvidenceError
from flume.lab.evidence import dissect
from flume.lab.evidence.dissect import LINK_HEADER, Dissector, Segment
from flume.lab.evidence.facts import (
    END_GRACE_S,
    Address,
    Consent,
    ControlEnd,
    ControlLine,
    ControlStart,
    MediaDatagram,
    Refusal,
    Tap,
    TapFacts,
)
from flume.lab.evidence.frames import TS_PACKET_BYTES, FrameCounter
from flume.lab.evidence.reassembly import LineStream, MixedStream, Unit

RTP_HEADER_BYTES = 12
PAYLOAD_BYTES = 7 * TS_PACKET_BYTES
"""Transport packets in one datagram: 7, the most that fits an Ethernet frame beside RTP."""
_PAT = frozenset({b"\x40\x00", b"\x00\x00"})
"""What follows the sync byte of a packet of the PAT: PID 0, usually with payload_unit_start."""
CLOCK_STEP_S = 0.05
"""Time stamps of two processors may swap by microseconds in the file; a step back of this size is a set clock."""
_SAMPLE = 2000
"""Every how many packets scapy dissects one as well; the first :data:`_SAMPLE_FIRST` all."""
_SAMPLE_FIRST = 16
_FILE_HEADER_BYTES = 24
_MAGIC = frozenset(bytes.fromhex(number) for number in ("a1b2c3d4", "d4c3b2a1", "a1b23c4d", "4d3cb2a1"))
"""pcap with micro- or nanoseconds, of either byte order."""

_FIN, _SYN, _RST, _ACK = 0x01, 0x02, 0x04, 0x10

_LISTENING = re.compile(r"listening on ([^,\s]+)")
_CAPTURED = re.compile(r"^(\d+) packets? captured", re.MULTILINE)
_DROPPED = re.compile(r"^(\d+) packets? dropped by kernel", re.MULTILINE)


class _Connection:
    """Both directions of one control connection."""

    def __init__(self) -> None:
        self.initial: int | None = None
        self.ended = False
        self.to_server, self.to_client = LineStream(), MixedStream()

    @property
    def missing_bytes(self) -> int:
        return self.to_server.missing_bytes + self.to_client.missing_bytes


class _Collector:
    """Sorts the packets of one capture into facts."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._frames = FrameCounter()
        self._frames_of: dict[bytes, int] = {}  # every client gets the same datagrams: look into each once
        self._connections: dict[Address, _Connection] = {}
        self._echoes = dissect.Echoes()
        self.media: list[MediaDatagram] = []
        self.starts: list[ControlStart] = []
        self.lines: list[ControlLine] = []
        self.ends: list[ControlEnd] = []
        self.consents: list[Consent] = []
        self.refusals: list[Refusal] = []
        self.sources: set[str] = set()
        self.batches = 0
        self.missing_bytes = 0

    def add_untrusted(self, time_s: float, segment: Segment) -> None:
        """Take one packet."""
        self.sources.add(segment.source[0])
        from_server, to_server = segment.source[1] == self._port, segment.destination[1] == self._port
        if segment.protocol == dissect.TCP:
            if from_server or to_server:
                self._control(time_s, segment, to_server=to_server)
            return
        if segment.protocol == dissect.ICMP:
            ports = dissect.refused_untrusted(segment.data)
            if ports is not None and ports[0] == self._port:
                self.refusals.append(Refusal(time_s, (segment.source[0], ports[1])))
            return
        unit = _datagram_bytes(segment.data)
        if to_server and self._echoes.asks_untrusted(segment.source, segment.data):
            return
        if from_server and self._echoes.answers_untrusted(time_s, segment.destination, segment.data):
            return
        if to_server and not (from_server and unit):
            self.consents.append(Consent(time_s, segment.source, segment.data))
        elif from_server or unit:
            self._media(time_s, segment, unit)

    def _media(self, time_s: float, segment: Segment, unit: int) -> None:
        data = segment.data
        if not unit or len(data) <= unit:
            self.media.append(self._datagram(time_s, segment, data))
            return
        self.batches += 1
        for start in range(0, len(data), unit):
            self.media.append(self._datagram(time_s, segment, data[start : start + unit]))

    def _datagram(self, time_s: float, segment: Segment, data: bytes, *, offset: int | None = None) -> MediaDatagram:
        identity = blake2b(data, digest_size=16).digest()
        sequence = ssrc = None
        start = 0
        if _is_rtp(data):
            sequence, ssrc = struct.unpack_from("!xxHxxxxI", data)
            start = RTP_HEADER_BYTES
        frames = self._frames_of.get(identity)
        if frames is None:
            frames = self._frames_of[identity] = self._frames.count_untrusted(memoryview(data)[start:])
        ends = segment.source, segment.destination
        is_entry = data[start : start + 1] == b"\x47" and data[start + 1 : start + 3] in _PAT
        return MediaDatagram(time_s, *ends, identity, sequence, ssrc, len(data), frames, offset, is_entry)

    def _control(self, time_s: float, segment: Segment, *, to_server: bool) -> None:
        client = segment.source if to_server else segment.destination
        connection = self._connections.setdefault(client, _Connection())
        if to_server and segment.flags & (_SYN | _ACK) == _SYN and connection.initial != segment.sequence:
            self.missing_bytes += connection.missing_bytes
            connection = self._connections[client] = _Connection()
            connection.initial = segment.sequence
            self.starts.append(ControlStart(time_s, client))
        mine: LineStream = connection.to_server if to_server else connection.to_client
        other: LineStream = connection.to_client if to_server else connection.to_server
        sequence = segment.sequence
        if segment.flags & _SYN:
            mine.begin(sequence)
            sequence += 1
        if segment.flags & _ACK and not segment.flags & _RST:
            other.acknowledge(segment.acknowledgement)
        if to_server:
            for raw in mine.feed_untrusted(sequence % (1 << 32), segment.data):
                self.lines.append(ControlLine(time_s, client, to_server, _json_object(raw), raw))
        else:
            for unit in connection.to_client.units_untrusted(sequence % (1 << 32), segment.data):
                self._from_server(time_s, segment, unit, is_known=connection.to_client.has_begun)
        if segment.flags & _FIN:
            mine.finish()
        if segment.flags & (_FIN | _RST) and not connection.ended:
            connection.ended = True
            self.ends.append(ControlEnd(time_s, client, by_server=not to_server))
            self._echoes.ended(client, time_s + (END_GRACE_S if to_server else 0.0))

    def _from_server(self, time_s: float, segment: Segment, unit: Unit, *, is_known: bool) -> None:
        """Take a line of the server, or a packet in a frame.

        As over UDP, whatever it sends that is not the protocol counts as media: nothing is hidden behind bad framing.
        """
        message = None if unit.is_frame else _json_object(unit.data)
        if unit.is_frame or (is_known and message is None and unit.data.strip()):
            self.media.append(self._datagram(time_s, segment, unit.data, offset=unit.offset))
            return
        client = segment.destination
        line = ControlLine(time_s, client, False, message, unit.data, unit.offset)  # noqa: FBT003
        self.lines.append(line)
        if message is None:
            return
        if message.get("reply") == "disconnect" or message.get("event") == "closed":
            self._echoes.ended(client, time_s)
        elif message.get("reply") == "connect":
            self._echoes.issued(client, message.get("token"))

    def facts(self, tap: Tap) -> TapFacts:
        """Return everything in the order of time."""
        return TapFacts(
            tap,
            tuple(sorted(self.media, key=lambda datagram: datagram.time_s)),
            tuple(self.starts),
            tuple(sorted(self.lines, key=lambda line: line.time_s)),
            tuple(self.ends),
            tuple(sorted(self.consents, key=lambda consent: consent.time_s)),
            tuple(self.refusals),
            frozenset(self.sources),
            self.batches,
        )

    def close(self) -> int:
        """Return the control bytes that were acknowledged and are not in the capture."""
        return self.missing_bytes + sum(connection.missing_bytes for connection in self._connections.values())


def _is_rtp(data: bytes) -> bool:
    """Whether *data* begins like RTP version 2 with MPEG-TS (RFC 2250)."""
    return (
        len(data) > RTP_HEADER_BYTES and data[0] >> 6 == 2 and data[1] & 0x7F == 33 and data[RTP_HEADER_BYTES] == 0x47
    )


def _datagram_bytes(data: bytes) -> int:
    """Return the length of one datagram of the stream that *data* belongs to; 0 when it is no stream."""
    if _is_rtp(data):
        return RTP_HEADER_BYTES + PAYLOAD_BYTES
    return PAYLOAD_BYTES if data[:1] == b"\x47" and len(data) % TS_PACKET_BYTES == 0 else 0


def _json_object(raw: bytes) -> dict[str, object] | None:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _check_with_scapy(frame: bytes, link_type: int, segment: Segment) -> str | None:
    """Return how scapy's dissection of *frame* differs from ours, or None."""
    packet = conf.l2types[link_type](frame)
    network = packet.getlayer(IP) or packet.getlayer(IPv6)
    transport = packet.getlayer(TCP if segment.protocol == dissect.TCP else UDP)
    if network is None or transport is None:
        return "scapy finds no such transport layer"
    theirs = ((network.src, transport.sport), (network.dst, transport.dport))
    data = b"" if isinstance(transport.payload, NoPayload | Padding) else transport.payload.original
    if theirs != (segment.source, segment.destination) or data != segment.data:
        return f"scapy reads {theirs} with {len(data)} bytes, we read {segment[1:3]} with {len(segment.data)}"
    return None


def _open(path: Path) -> RawPcapReader:
    """Return scapy's reader of *path*, or raise :class:`EvidenceError` when it is no capture file.

    The header is looked at beforehand, because scapy leaves the file open when it refuses one.
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

    def __init__(self, collector: _Collector) -> None:
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
        self.problems = [text for wrong, text in self._findings(dissector, cut=cut) if wrong]

    def _packet(self, time_s: float, frame: bytes, wire_bytes: int, dissector: Dissector, link_type: int) -> None:
        self.first_s = self.first_s or time_s
        self.last_s = max(self.last_s, time_s)
        self._step_s = max(self._step_s, self.last_s - time_s)
        self.packets += 1
        if len(frame) < wire_bytes:
            self._shortened += 1
            return
        try:
            segment = dissector.segment_untrusted(frame)
        except EvidenceError:
            self._broken += 1
            return
        if segment is None:
            return
        sampled = segment.protocol != dissect.ICMP and (self.packets <= _SAMPLE_FIRST or self.packets % _SAMPLE == 0)
        if self._disagreement is None and sampled:
            self._disagreement = _check_with_scapy(frame, link_type, segment)
        self._collector.add_untrusted(time_s, segment)

    def _findings(self, dissector: Dissector, *, cut: bool) -> list[tuple[object, str]]:
        return [
            (cut, "the file is cut off within a packet"),
            (self.packets == 0, "it holds no packet at all"),
            (self._shortened, f"{self._shortened} packets were cut by the snapshot length {self.snaplen}"),
            (self._broken, f"{self._broken} packets could not be read"),
            (dissector.fragments, f"{dissector.fragments} IP fragments, which cannot be attributed"),
            (self._step_s > CLOCK_STEP_S, f"its clock went back by {self._step_s * 1000:.0f} ms"),
            (self._disagreement, f"two decoders disagree: {self._disagreement}"),
        ]


def _problems_in_log(log_text: str, packets: int) -> tuple[int, list[str]]:
    """Return tcpdump's count of dropped packets, and what its closing lines give reason to doubt."""
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

    *log_text* is what tcpdump wrote to its standard error, to the end. Nothing in the file or missing from it raises;
    whatever is wrong stands in ``tap.problem`` and makes the verdict ERROR.
    """
    collector = _Collector(port)
    listening = _LISTENING.search(log_text)
    reading = _Reading(collector)
    try:
        reading.read(path)
    except EvidenceError as error:
        reading.problems = [str(error)]
    dropped, doubts = _problems_in_log(log_text, reading.packets)
    missing = collector.close()
    if missing:
        doubts.append(f"{missing} acknowledged bytes of control connections are not in the file")
    tap = Tap(
        name=name,
        interface=listening[1] if listening else "?",
        path=str(path),
        packets=reading.packets,
        dropped_by_kernel=dropped,
        snaplen=reading.snaplen,
        first_s=reading.first_s,
        last_s=reading.last_s,
        problem="; ".join([*reading.problems, *doubts]) or None,
    )
    return collector.facts(tap)
