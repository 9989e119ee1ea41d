"""Writes capture files, packet by packet, with scapy, and makes the transport packets that a test needs in them."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from scapy.layers.inet import IP, TCP, UDP, fragment
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

PORT = 5004
SERVER = "198.18.0.2"
CLIENT = "198.18.0.11"
START_S = 1_700_000_000.0
ETHER: dict[str, Any] = {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"}
PMT_PID, VIDEO_PID, AUDIO_PID = 0x20, 0x44, 0x45


def ts(pid: int, payload: bytes = b"", *, unit_start: bool = False) -> bytes:
    """One transport packet without adaptation field."""
    return struct.pack("!BHB", 0x47, pid | (0x4000 if unit_start else 0), 0x10) + payload.ljust(184, b"\xff")


def pat() -> bytes:
    return ts(0, bytes((0, 0x00, 0xB0, 13, 0, 1, 0xC1, 0, 0, 0, 1, 0xE0, PMT_PID, 0, 0, 0, 0)), unit_start=True)


def pmt(video_type: int = 0x1B) -> bytes:
    streams = (video_type, 0xE0, VIDEO_PID, 0xF0, 0, 0x0F, 0xE0, AUDIO_PID, 0xF0, 0)
    section = (0x02, 0xB0, 13 + len(streams), 0, 1, 0xC1, 0, 0, 0xE0, VIDEO_PID, 0xF0, 0, *streams, 0, 0, 0, 0)
    return ts(PMT_PID, bytes((0, *section)), unit_start=True)


def rtp(sequence: int, *packets: bytes) -> bytes:
    """An RTP datagram of *packets*, filled up to seven with null packets."""
    filled = [*packets, *[ts(0x1FFF)] * (7 - len(packets))]
    return struct.pack("!BBHII", 0x80, 33, sequence, 3600 * sequence, 7) + b"".join(filled)


def in_fragments(
    payload: bytes,
    *,
    client: str = CLIENT,
    number: int = 7,
    most_bytes: int = 1256,
    sport: int = PORT,
    source: str = SERVER,
) -> list[Packet]:
    """The frames of one datagram from the server on a path that carries *most_bytes* behind the IP header.

    *number* is the identification. The UDP checksum is right, as the server's kernel makes it.
    """
    whole = IP(src=source, dst=client, id=number) / UDP(sport=sport, dport=50000) / Raw(payload)
    return [Ether(**ETHER) / part for part in fragment(IP(bytes(whole)), most_bytes)]


class Pcap:
    """A capture that a test writes. Each client has one control connection, whose TCP numbers are kept here."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now_s = START_S
        self.packets = 0
        self.server = SERVER
        """Whose ports are those of a server; of a relay's capture a test changes it from side to side."""
        self._numbers: dict[tuple[str, str], int] = {}
        path.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))

    def frame(self, frame: Packet | bytes, *, wire_bytes: int | None = None) -> Self:
        raw = bytes(frame)
        micro = round(self.now_s * 1e6)
        header = struct.pack("<IIII", micro // 1_000_000, micro % 1_000_000, len(raw), wire_bytes or len(raw))
        with self.path.open("ab") as file:
            file.write(header + raw)
        self.packets += 1
        self.now_s += 0.001
        return self

    def frames(self, *frames: Packet | bytes) -> Self:
        for frame in frames:
            self.frame(frame)
        return self

    def udp(self, source: str, destination: str, payload: bytes, *, sport: int = PORT, dport: int = 50000) -> Self:
        return self.frame(
            Ether(**ETHER) / IP(src=source, dst=destination) / UDP(sport=sport, dport=dport) / Raw(payload)
        )

    def media(self, payload: bytes, client: str = CLIENT) -> Self:
        return self.udp(self.server, client, payload)

    def token(self, payload: bytes, client: str = CLIENT) -> Self:
        return self.udp(client, self.server, payload, sport=50000, dport=PORT)

    def segment(
        self,
        source: str,
        destination: str,
        data: bytes = b"",
        *,
        flags: str = "A",
        offset: int = 0,
        acked: int | None = None,
    ) -> Self:
        """A TCP segment. With *offset* it is moved from its place in the stream, and the stream does not advance."""
        number = self._numbers.setdefault((source, destination), 0xFFFFFFF0)
        sport, dport = (PORT, 40000) if source == self.server else (40000, PORT)
        ack = self._numbers.get((destination, source), 0)
        tcp = TCP(
            sport=sport, dport=dport, seq=(number + offset) % (1 << 32), ack=ack if "A" in flags else 0, flags=flags
        )
        packet = Ether(**ETHER) / IP(src=source, dst=destination) / tcp
        if offset == 0:
            self._numbers[source, destination] = (number + len(data) + ("S" in flags) + ("F" in flags)) % (1 << 32)
        return self.frame(packet / Raw(data) if data else packet)

    def handshake(self, client: str = CLIENT) -> Self:
        self.segment(client, self.server, flags="S").segment(self.server, client, flags="SA")
        return self.segment(client, self.server)

    def request(self, command: str, client: str = CLIENT) -> Self:
        return self.segment(client, self.server, line({"command": command}), flags="PA")

    def reply(self, message: Mapping[str, object], client: str = CLIENT) -> Self:
        return self.segment(self.server, client, line(message), flags="PA")

    def log(self, *, captured: int | None = None, dropped: int = 0) -> str:
        """What tcpdump prints when it is stopped."""
        seen = self.packets if captured is None else captured
        return (
            "tcpdump: listening on eth0, link-type EN10MB (Ethernet), snapshot length 262144 bytes\n"
            f"{seen} packet{'s' * (seen != 1)} captured\n{seen} packets received by filter\n"
            f"{dropped} packets dropped by kernel\n"
        )


def line(message: Mapping[str, object]) -> bytes:
    """One control line."""
    return json.dumps(message).encode() + b"\n"
