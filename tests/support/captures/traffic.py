"""Reads what went to whom, and when, from a capture of tcpdump: IPv4 over Ethernet, no options of IP."""

import ipaddress
import struct
from pathlib import Path
from typing import NamedTuple

_RECORD = struct.Struct("<IIII")
_UDP, _TCP = 17, 6


class Seen(NamedTuple):
    """One packet that carried bytes."""

    time_s: float
    """Since the epoch."""
    protocol: str
    source: tuple[str, int]
    destination: tuple[str, int]
    size: int
    """Bytes behind the header of UDP or TCP."""


def read_traffic(path: Path) -> list[Seen]:
    """Return the packets of UDP and TCP in *path* that carried bytes, in their order."""
    data = path.read_bytes()
    assert struct.unpack_from("<I", data)[0] == 0xA1B2C3D4, "microseconds, of this machine's byte order"
    found, at = [], 24
    while at + _RECORD.size <= len(data):
        seconds, micro, kept, _ = _RECORD.unpack_from(data, at)
        packet = data[at + _RECORD.size : at + _RECORD.size + kept]
        at += _RECORD.size + kept
        seen = _seen(packet, seconds + micro / 1e6)
        if seen is not None and seen.size:
            found.append(seen)
    return found


def _seen(frame: bytes, time_s: float) -> Seen | None:
    ip = frame[14:]
    if frame[12:14] != b"\x08\x00" or ip[9] not in {_UDP, _TCP}:
        return None
    header = (ip[0] & 15) * 4
    whole = struct.unpack_from("!H", ip, 2)[0]
    sport, dport = struct.unpack_from("!HH", ip, header)
    above = 8 if ip[9] == _UDP else (ip[header + 12] >> 4) * 4
    source, destination = (str(ipaddress.ip_address(ip[at : at + 4])) for at in (12, 16))
    name = "udp" if ip[9] == _UDP else "tcp"
    return Seen(time_s, name, (source, sport), (destination, dport), whole - header - above)
