"""A foreign tool on the same capture: Wireshark's statistics of RTP streams (``tshark -z rtp,streams``)."""

import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from flume.measures.jitter import InterarrivalJitter
from flume.measures.rtp import account

PORT = 5004
LOST = frozenset({40, 41, 42, 77, 120})
SWAPPED = (90, 91)


def arrivals(swapped: tuple[int, int] | None = SWAPPED) -> list[tuple[int, int, float]]:
    """200 datagrams, one each 10 ms: number, time stamp, arrival. Each seventh comes 5 ms late; two are *swapped*."""
    sent = [(65_500 + n, n * 900, 1000 + n * 0.01 + (0.005 if n % 7 == 0 else 0)) for n in range(200)]
    kept = [one for n, one in enumerate(sent) if n not in LOST]
    times = [time_s for _, _, time_s in kept]
    if swapped is not None:
        first, second = (kept.index(sent[n]) for n in swapped)
        kept[first], kept[second] = kept[second], kept[first]
    return [(number % 65536, stamp, time_s) for (number, stamp, _), time_s in zip(kept, times, strict=True)]


def write_capture(path: Path, datagrams: Sequence[tuple[int, int, float]]) -> None:
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))  # link type 101: raw IP
        for number, stamp, time_s in datagrams:
            rtp = struct.pack("!BBHII", 0x80, 33, number, stamp, 0x1234) + bytes(188)
            udp = struct.pack("!HHHH", PORT, 40_000, 8 + len(rtp), 0) + rtp
            addresses = bytes([198, 18, 0, 2, 198, 18, 0, 11])
            packet = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + addresses + udp
            seconds = int(time_s)
            file.write(struct.pack("<IIII", seconds, round((time_s - seconds) * 1e6), len(packet), len(packet)))
            file.write(packet)


def tshark(path: Path) -> list[str]:
    command = ["tshark", "-n", "-r", str(path), "-d", f"udp.port=={PORT},rtp", "-q", "-z", "rtp,streams"]
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (row,) = [line for line in table.splitlines() if "198.18.0.2" in line]
    return row.split()


def test_loss_is_that_of_wireshark(tmp_path: Path) -> None:
    path = tmp_path / "stream.pcap"
    write_capture(path, arrivals())
    packets, lost = tshark(path)[-10:-8]
    ours = account(number for number, _, _ in arrivals())
    assert (ours.lost, ours.reordered, ours.loss_runs) == (5, 1, {3: 1, 1: 2})
    assert (int(packets), int(lost)) == (ours.received, ours.lost)


def test_jitter_is_that_of_wireshark(tmp_path: Path) -> None:
    """In order: of datagrams that overtake each other the tshark of Debian 13 (4.4) has another jitter."""
    path = tmp_path / "stream.pcap"
    in_order = arrivals(swapped=None)
    write_capture(path, in_order)
    jitter = InterarrivalJitter()
    for _, stamp, time_s in in_order:
        jitter.add(stamp, time_s)
    assert jitter.most_ms > 1
    assert float(tshark(path)[-2]) == pytest.approx(jitter.most_ms, abs=0.002)
