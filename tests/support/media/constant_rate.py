"""A small transport stream of exactly 1000 packets a second, whose every packet has a known place; and faults in it.

Of 100 packets: 0 PAT, 1 PMT, 2 SDT. Of 40 packets: 5 begins a picture, with PCR and PTS, 6 to 25 are the rest of it, 30
begins sound with PTS, 31 and 32 are its rest. All others are null packets.
"""

from collections.abc import Callable, Iterable

from support.media.ts_stream import section

VIDEO, AUDIO, PMT, SDT = 0x100, 0x101, 0x1000, 0x11
TICKS = 27_000
"""Of 27 MHz, a packet."""

Packets = list[bytes]
Found = tuple[str, int, int | None]
"""Indicator, number of the packet, PID."""


def stamp(prefix: int, ticks: int) -> bytes:
    """Return a PTS or DTS of 90 kHz."""
    value = ticks % (1 << 33)
    high, middle, low = value >> 30 & 7, value >> 15 & 0x7FFF, value & 0x7FFF
    return (
        bytes([prefix << 4 | high << 1 | 1]) + (middle << 1 | 1).to_bytes(2, "big") + (low << 1 | 1).to_bytes(2, "big")
    )


def pcr_field(pcr: int) -> bytes:
    """Return the six bytes of a PCR of 27 MHz."""
    base, extension = divmod(pcr % ((1 << 33) * 300), 300)
    return (base << 15 | 0x7E00 | extension).to_bytes(6, "big")


def pat(*, pmt: int = PMT, table: int = 0) -> bytes:
    return section(table, 1, b"\0\1" + (0xE000 | pmt).to_bytes(2, "big"))


def pmt(*streams: tuple[int, int], pcr: int = VIDEO) -> bytes:
    body = (0xE000 | pcr).to_bytes(2, "big") + b"\xf0\0"
    for kind, pid in streams:
        body += bytes([kind]) + (0xE000 | pid).to_bytes(2, "big") + b"\xf0\0"
    return section(2, 1, body)


ROWS = (0x1B, VIDEO), (0x0F, AUDIO)


class Multiplex:
    """Makes the packets. Counters begin at 0, the clock at *clock*."""

    def __init__(self, *, clock: int = 0, streams: Iterable[tuple[int, int]] = ROWS) -> None:
        self._clock = clock
        self._counters: dict[int, int] = {}
        self._tables = {0: (0, pat()), 1: (PMT, pmt(*streams)), 2: (SDT, section(0x42, 1, b"\0\1\xff"))}

    def packets(self, count: int) -> Packets:
        return [self._packet(number) for number in range(count)]

    def _packet(self, number: int) -> bytes:
        table = self._tables.get(number % 100)
        if table is not None:
            return self._write(table[0], (b"\0" + table[1]).ljust(184, b"\xff"), start=True)
        place, pts = number % 40, (self._clock + number * TICKS) // 300 + 9000
        if place == 5:
            field = b"\x10" + pcr_field(self._clock + number * TICKS)
            content = b"\0\0\1\xe0\0\0\x80\x80\x05" + stamp(2, pts)
            return self._write(VIDEO, content.ljust(176, b"v"), start=True, field=field)
        if 5 < place <= 25:
            return self._write(VIDEO, number.to_bytes(4, "big") * 46)
        if place == 30:
            content = b"\0\0\1\xc0\0\0\x80\x80\x05" + stamp(2, pts)
            return self._write(AUDIO, content.ljust(184, b"a"), start=True)
        if place in {31, 32}:
            return self._write(AUDIO, number.to_bytes(4, "big") * 46)
        return b"\x47\x1f\xff\x10".ljust(188, b"\xff")

    def _write(self, pid: int, content: bytes, *, start: bool = False, field: bytes = b"") -> bytes:
        counter = self._counters.get(pid, -1) + 1 & 15
        self._counters[pid] = counter
        control = 0x30 if field else 0x10
        head = bytes([0x47, start << 6 | pid >> 8, pid & 0xFF, control | counter])
        packet = head + (bytes([len(field)]) + field if field else b"") + content
        assert len(packet) == 188
        return packet


def pid_of(packet: bytes) -> int:
    return (packet[1] & 0x1F) << 8 | packet[2]


def changed(packet: bytes, at: int, value: int) -> bytes:
    """Return *packet* with the byte at *at* set to *value*."""
    return packet[:at] + bytes([value]) + packet[at + 1 :]


def edit(packets: Packets, number: int, change: Callable[[bytes], bytes]) -> Packets:
    """Return *packets* with one changed."""
    return [*packets[:number], change(packets[number]), *packets[number + 1 :]]


def nulled(packets: Packets, chosen: Callable[[int, bytes], bool]) -> Packets:
    """Return *packets* with null packets in place of the *chosen*, and counters that close the hole."""
    counters: dict[int, int] = {}
    out = []
    for number, packet in enumerate(packets):
        if chosen(number, packet):
            out.append(b"\x47\x1f\xff\x10".ljust(188, b"\xff"))
            continue
        pid = pid_of(packet)
        if pid != 0x1FFF:
            counters[pid] = counters.get(pid, -1) + 1 & 15
        out.append(packet if pid == 0x1FFF else changed(packet, 3, packet[3] & 0xF0 | counters[pid]))
    return out


def shifted_clock(packets: Packets, begin: int, ticks: int, *, end: int | None = None) -> Packets:
    """Return *packets* with all PCRs from packet *begin* on, before *end*, moved by *ticks* of 27 MHz."""
    out = list(packets)
    for number in range(begin, len(packets) if end is None else end):
        packet = packets[number]
        if packet[3] & 0x20 and packet[4] >= 7 and packet[5] & 0x10:
            value = int.from_bytes(packet[6:12], "big")
            out[number] = packet[:6] + pcr_field((value >> 15) * 300 + (value & 0x1FF) + ticks) + packet[12:]
    return out


def with_section(packet: bytes, table: bytes) -> bytes:
    """Return *packet* with another section in it."""
    return packet[:4] + (b"\0" + table).ljust(184, b"\xff")
