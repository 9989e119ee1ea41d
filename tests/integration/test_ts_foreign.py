"""The same faults beside what tshark, tstools and ffmpeg say about them, each in what it can see."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw
from scapy.utils import PcapWriter

from flume.measures.ts import examine_untrusted
from support.media import ffmpeg
from support.media.constant_rate import Multiplex, Packets
from support.media.ts_faults import FAULTS, LIMITS

CLEAN = Multiplex().packets(3000)
FIRST_PORT = 20_000
SPAN = range(995, 1100)
"""The packets that are sent to tshark: all faults that it knows lie there, and each packet is a datagram."""

SEEN_BY_TSHARK = (
    "a packet of the picture is missing",
    "a packet of the sound is missing",
    "two packets in the wrong order",
    "the counter goes on without payload",
    "a wrong CRC of the PAT",
    "a wrong CRC of the PMT",
)


def ours(packets: Packets, *indicators: str) -> list[int]:
    """Return the numbers of the packets with findings of *indicators*."""
    figures = examine_untrusted([b"".join(packets)], LIMITS)
    return [row.packet for row in figures.findings if row.indicator in indicators]


@pytest.fixture(scope="module")
def seen_by_tshark(tmp_path_factory: pytest.TempPathFactory) -> Mapping[int, list[int]]:
    """Port → numbers of the packets with a warning or an error, each fault on a port of its own."""
    path = tmp_path_factory.mktemp("tshark") / "faults.pcap"
    places: list[tuple[int, int, bytes]] = []
    with PcapWriter(str(path), linktype=101) as writer:
        for port, name in enumerate(("", *SEEN_BY_TSHARK), FIRST_PORT):
            packets = FAULTS[name][0](CLEAN) if name else CLEAN
            for number in SPAN:
                datagram = IP(src="198.18.0.2", dst="198.18.0.3") / UDP(sport=port, dport=port, chksum=0)
                writer.write(datagram / Raw(packets[number]))
                places.append((port, number, packets[number]))
    command = ["tshark", "-n", "-r", str(path), "-o", "mpeg_sect.verify_crc:TRUE"]
    command += ["-d", f"udp.port=={FIRST_PORT}-{FIRST_PORT + len(SEEN_BY_TSHARK)},mp2t"]
    command += [
        "-Y",
        "_ws.expert.severity >= 0x600000",
        "-T",
        "fields",
        "-e",
        "frame.number",
        "-e",
        "_ws.expert.message",
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    found = [places[int(line.split("\t")[0]) - 1] for line in done.stdout.splitlines()]
    # What a version of tshark says of packets of the stream without faults, it says of them in each stream.
    always = {packet for port, _, packet in found if port == FIRST_PORT}
    seen: dict[int, list[int]] = {}
    for port, number, packet in found:
        if packet not in always:
            seen.setdefault(port, []).append(number)
    return seen


def test_tshark_finds_the_same_packets(seen_by_tshark: Mapping[int, list[int]]) -> None:
    expected = {
        port: ours(FAULTS[name][0](CLEAN), "1.4", "2.2") for port, name in enumerate(SEEN_BY_TSHARK, FIRST_PORT + 1)
    }
    assert all(expected.values())
    assert seen_by_tshark == expected


def tsreport(path: Path) -> str:
    done = subprocess.run(["tsreport", path], check=False, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("a wrong sync byte", "Error reading TS packet {packet} at {byte}"),
        ("a wrong table_id on PID 0", "Error extracting program list from PAT in TS packet at {byte}"),
        ("a wrong CRC of the PAT", "Error extracting program list from PAT in TS packet at {byte}"),
        ("a wrong CRC of the PMT", "Error extracting stream list from PMT in TS packet at {byte}"),
        ("junk between packets", "Error reading TS packet {packet} at {byte}"),
        ("a last packet that is cut", "100 bytes ignored at end of file - not enough to make a TS packet"),
    ],
)
def test_tsreport_finds_the_same_packet(tmp_path: Path, name: str, complaint: str) -> None:
    path = tmp_path / "fault.ts"
    path.write_bytes(b"".join(CLEAN))
    assert not re.search(r"###|!!!", tsreport(path))
    packets = FAULTS[name][0](CLEAN)
    path.write_bytes(b"".join(packets))
    (number,) = ours(packets, "1.1", "1.2", "1.3.a", "2.2")
    assert complaint.format(packet=number, byte=number * 188) in tsreport(path)


def corrupt(path: Path) -> int:
    """Return how many frames ffmpeg's demultiplexer calls corrupt."""
    done = ffmpeg.call("-hide_banner", "-i", path, "-map", "0", "-c", "copy", "-f", "null", "-")
    return done.stderr.count(b"Packet corrupt")


@pytest.mark.parametrize(
    "name",
    [
        "a packet of the picture is missing",
        "a packet of the sound is missing",
        "fifteen packets of the picture are missing",
        "a packet comes three times",
        "a transport error",
    ],
)
def test_ffmpeg_calls_the_same_streams_corrupt(tmp_path: Path, name: str) -> None:
    path = tmp_path / "fault.ts"
    path.write_bytes(b"".join(CLEAN))
    assert corrupt(path) == 0
    packets = FAULTS[name][0](CLEAN)
    path.write_bytes(b"".join(packets))
    assert corrupt(path) == len(ours(packets, "1.4", "2.1"))
