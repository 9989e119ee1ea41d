"""Reads capture files, pcap and pcapng, frame by frame. The only importer of scapy.

scapy's readers decide what a file holds. Its dissection of a sample of the frames is compared with that of
:mod:`flume.capture.dissect`, which dissects all of them: :class:`CrossCheck`.
"""

import io
import logging
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

from scapy.config import conf
from scapy.error import Scapy_Exception
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.packet import NoPayload, Packet, Padding
from scapy.utils import RawPcapNgReader

from flume.capture import dissect
from flume.capture.dissect import Segment
from flume.capture.fragments import Fragment
from flume.errors import CaptureError

# scapy reports on standard error what this module reports as a problem of the file, in one line.
logging.getLogger("scapy.runtime").setLevel(logging.ERROR)

SAMPLE = 2000
"""scapy dissects every frame of this number as well: it takes 0.2 ms for each."""
SAMPLE_FIRST = 16
"""scapy dissects each of the first frames as well, so that a short capture is checked, too."""
MAGIC = {bytes.fromhex(number): "pcap" for number in ("a1b2c3d4", "d4c3b2a1", "a1b23c4d", "4d3cb2a1")} | {
    bytes.fromhex("0a0d0d0a"): "pcapng"
}
"""The first four bytes of a capture file: pcap with micro- or nanoseconds, of either byte order; pcapng."""
_PCAP_HEADER_BYTES, _PCAP_RECORD_BYTES = 24, 16
_BLOCK_BYTES = 12
"""The least of a block of pcapng: type, length, and the length once more."""
_SECTION = bytes.fromhex("0a0d0d0a")
_PACKETS = frozenset((2, 3, 6))
"""Types of the blocks that hold a packet: the old one, the simple one, the enhanced one."""
_MOST_BYTES = 16 << 20
"""No packet and no table of a capture is larger. Only a damaged length asks for more, and would get the memory."""


class Record(NamedTuple):
    """One frame as it was captured."""

    time_s: float
    """Since the epoch, by the capturing host's clock."""
    frame: bytes
    wire_bytes: int
    """Its length on the wire: above ``len(frame)`` where the snapshot length cut it."""
    link_type: int
    """Number of tcpdump.org/linktypes.html."""


class _Bounded(io.BufferedReader):
    """A file of which no reader gets more memory than a packet needs."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _MOST_BYTES:
            raise OSError(f"a block of {size} bytes")
        return super().read(size)


class CaptureFile:
    """One capture file, read once from its beginning, in memory that does not grow with it.

    Example::

        with CaptureFile(Path("server.pcap")) as capture:
            for record in capture.records():
                print(record.time_s, len(record.frame))
            print(capture.problems)
    """

    def __init__(self, path: Path) -> None:
        """Open *path*. Raises :class:`CaptureError` when it is no capture file."""
        self.path = path
        self.problems: list[str] = []
        """Why the file is not whole, one line each; known once all records have been read."""
        self.is_falsified = False
        """Whether they make figures wrong, and do not only say where the file ends; known then too."""
        self.position = 0
        """How many bytes of the file have been read."""
        try:
            self.size = path.stat().st_size
            self._file = _Bounded(path.open("rb", buffering=0), 1 << 20)
        except OSError as error:
            raise CaptureError(f"{path} is no capture file: {error.strerror}") from error
        try:
            self.kind = MAGIC.get(self._file.peek(4)[:4], "")
            if not self.kind or (self.kind == "pcap" and self.size < _PCAP_HEADER_BYTES):
                raise CaptureError(f"{path} is no capture file: write it with tcpdump -w")
            reader: Any = RawPcapNgReader  # its annotations know neither open files nor the metadata of pcapng
            self._reader = reader(self._file)
        except (OSError, EOFError, Scapy_Exception, struct.error) as error:
            self._file.close()
            raise CaptureError(f"{path} is no capture file: {error}") from error
        except CaptureError:
            self._file.close()
            raise
        self.position = self._file.tell()

    def __enter__(self) -> Self:
        """Return the file, which is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

    @property
    def snaplen(self) -> int:
        """The most bytes that were kept of a frame; 0 where the file does not say."""
        if self.kind == "pcap":
            return int(self._reader.snaplen)
        return max((int(each[1]) for each in self._reader.interfaces), default=0)

    @property
    def link_types(self) -> set[int]:
        """The link types of the interfaces that the file has named so far."""
        if self.kind == "pcap":
            return {int(self._reader.linktype)}
        return {int(each[0]) for each in self._reader.interfaces}

    def records(self) -> Iterator[Record]:
        """Yield the frames in their order. Raises nothing: how the file ends too soon is in :attr:`problems`."""
        yield from self._pcap() if self.kind == "pcap" else self._pcapng()

    def _pcap(self) -> Iterator[Record]:
        fraction, link_type = (1e-9 if self._reader.nano else 1e-6), self._reader.linktype
        for frame, meta in self._reader:
            if self.position + _PCAP_RECORD_BYTES + meta.caplen > self.size:
                break  # the file ends within this packet
            self.position += _PCAP_RECORD_BYTES + meta.caplen
            yield Record(meta.sec + meta.usec * fraction, frame, max(meta.wirelen, meta.caplen), link_type)
        if self.position != self.size:
            self.problems.append("the file is cut off within a packet")

    def _pcapng(self) -> Iterator[Record]:
        time_s, untimed, skipped = 0.0, 0, 0
        blocks = _Blocks(self._file.fileno(), self._reader.endian)
        try:
            for frame, meta in self._reader:
                begin, self.position = self.position, self._file.tell()
                skipped += blocks.packets(begin, self.position) - 1
                if meta.tshigh is None:
                    untimed += 1
                else:
                    time_s = (meta.tshigh << 32 | meta.tslow) / meta.tsresol
                yield Record(time_s, frame, meta.wirelen, meta.linktype)
        except Scapy_Exception as error:
            self.problems.append(str(error))
        if untimed:
            self.problems.append(f"{untimed} packets have no time of their own")
        if skipped:
            self.problems.append(f"{skipped} packets name an interface that the file does not describe")
        self.is_falsified = bool(untimed or skipped)
        self._look_behind_the_last_packet(blocks)

    def _look_behind_the_last_packet(self, blocks: "_Blocks") -> None:
        """Find out whether whole blocks follow, such as the statistics that a capture ends with, or a damaged one."""
        at = self.position
        while at < self.size:
            kind, length = blocks.head(at)
            if at + max(length, _BLOCK_BYTES) > self.size:
                self.problems.append("the file is cut off within a packet")
                return
            if length < _BLOCK_BYTES or kind in _PACKETS:
                behind = self.size - at
                self.problems.append(f"block at byte {at} is damaged: the last {behind} bytes could not be read")
                return
            at += length + -length % 4


class _Blocks:
    """A second reader of pcapng, which looks at the heads of blocks alone: does scapy's leave a packet out?"""

    def __init__(self, descriptor: int, order: str) -> None:
        self._descriptor, self._order = descriptor, order

    def head(self, at: int) -> tuple[int, int]:
        """Return type and length of the block at byte *at*; 0 and 0 where the file ends."""
        head = os.pread(self._descriptor, _BLOCK_BYTES, at)
        if len(head) < _BLOCK_BYTES:
            return 0, 0
        if head[:4] == _SECTION:
            self._order = "<" if head[8:] == b"\x4d\x3c\x2b\x1a" else ">"
        kind, length = struct.unpack_from(f"{self._order}II", head)
        return int(kind), int(length)

    def packets(self, begin: int, end: int) -> int:
        """Return how many blocks between the bytes *begin* and *end* hold a packet."""
        count = 0
        while begin < end:
            kind, length = self.head(begin)
            count += kind in _PACKETS
            begin += max(length + -length % 4, _BLOCK_BYTES)
        return count


class CrossCheck:
    """Compares our dissection of a sample of frames with scapy's."""

    def __init__(self) -> None:
        """Begin without a frame."""
        self.disagreement: str | None = None
        """The first difference, in one line."""
        self._frames = 0

    def see(self, record: Record, ours: Segment | Fragment) -> None:
        """Take one frame with our dissection of it: the first ones and a sample of the others are compared."""
        self._frames += 1
        sampled = self._frames <= SAMPLE_FIRST or self._frames % SAMPLE == 0
        if sampled and self.disagreement is None and ours.protocol != dissect.ICMP:
            self.disagreement = _difference(record.frame, record.link_type, ours)


def _difference(frame: bytes, link_type: int, ours: Segment | Fragment) -> str | None:
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
