"""A stream of RTP with MPEG-TS in a capture, of which every datagram has a known place; and faults in it.

The stream has seven transport packets a datagram and one datagram each 7 ms, which is what its PCRs say too. Datagram
*n* is frame *n* + 1 of the capture.
"""

import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from support.captures.pcap import CLIENT, PORT, SERVER, Pcap
from support.captures.pcapng import PcapNg
from support.media.constant_rate import Multiplex

STEP_S = 0.007
TS_PACKETS = 7


class Sent(NamedTuple):
    """One datagram, and when it arrives."""

    time_s: float
    data: bytes


def rtp_header(sequence: int, timestamp: int, *, ssrc: int = 7, payload_type: int = 33) -> bytes:
    return struct.pack("!BBHII", 0x80, payload_type, sequence % (1 << 16), timestamp % (1 << 32), ssrc)


def clean(count: int = 300, *, first: int = 0, ssrc: int = 7, rtp: bool = True) -> list[Sent]:
    """The stream without a fault; its first number is *first*."""
    packets = Multiplex().packets(count * TS_PACKETS)
    sent = []
    for number in range(count):
        media = b"".join(packets[number * TS_PACKETS : (number + 1) * TS_PACKETS])
        header = rtp_header(first + number, number * 630, ssrc=ssrc) if rtp else b""
        sent.append(Sent(number * STEP_S, header + media))
    return sent


def without(sent: list[Sent], *places: int) -> list[Sent]:
    return [each for place, each in enumerate(sent) if place not in places]


def edited(sent: list[Sent], place: int, change: Callable[[bytes], bytes]) -> list[Sent]:
    return [*sent[:place], sent[place]._replace(data=change(sent[place].data)), *sent[place + 1 :]]


def set_byte(at: int, value: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + bytes([value]) + data[at + 1 :]


def renumbered(sent: list[Sent], place: int, sequence: int) -> list[Sent]:
    return edited(sent, place, lambda data: data[:2] + struct.pack("!H", sequence % (1 << 16)) + data[4:])


def moved(sent: list[Sent], place: int, behind: int) -> list[Sent]:
    """The datagram at *place* arrives right behind the one at *behind*."""
    late = sent[place]._replace(time_s=sent[behind].time_s + 0.0001)
    return [*sent[:place], *sent[place + 1 : behind + 1], late, *sent[behind + 1 :]]


def repeated(sent: list[Sent], place: int) -> list[Sent]:
    again = sent[place]._replace(time_s=sent[place].time_s + 0.0001)
    return [*sent[: place + 1], again, *sent[place + 1 :]]


def frame(data: bytes, *, client: str = CLIENT, dport: int = 50_000) -> bytes:
    """An Ethernet frame from the server."""
    ends = bytes(map(int, SERVER.split("."))) + bytes(map(int, client.split(".")))
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 28 + len(data), 7, 0, 64, 17, 0) + ends
    udp = struct.pack("!HHHH", PORT, dport, 8 + len(data), 0)
    return bytes.fromhex("0200000000020200000000010800") + ip + udp + data


def write_pcap(path: Path, sent: Iterable[Sent]) -> Pcap:
    pcap = Pcap(path)
    begin_s = pcap.now_s
    for each in sent:
        pcap.now_s = begin_s + each.time_s
        pcap.frame(frame(each.data))
    return pcap


def write_pcapng(path: Path, sent: Iterable[Sent]) -> PcapNg:
    pcapng = PcapNg(path).interface()
    begin_s = pcapng.now_s
    for each in sent:
        pcapng.now_s = begin_s + each.time_s
        pcapng.frame(frame(each.data))
    return pcapng
