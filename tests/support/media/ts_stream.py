"""MPEG-TS for tests: a builder of small synthetic items, and a checker that does not use the product's parsers."""

import zlib
from typing import NamedTuple

H264_KEYFRAME = b"\0\0\0\1\x09\x10\0\0\0\1\x67\x4d\x40\x1f\0\0\0\1\x68\xee\0\0\0\1\x65"
H264_OTHER = b"\0\0\0\1\x09\x30\0\0\0\1\x41"


def crc32_mpeg(data: bytes) -> int:
    """Return the CRC of MPEG sections, computed by zlib: bits are reflected in and out, without the final inversion."""
    flipped = zlib.crc32(bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)) ^ 0xFFFFFFFF
    return int(f"{flipped:032b}"[::-1], 2)


def section(table: int, identifier: int, body: bytes, version: int = 0) -> bytes:
    """Return a section with header and CRC."""
    data = bytes([table]) + (0xB000 | len(body) + 9).to_bytes(2, "big") + identifier.to_bytes(2, "big")
    data += bytes([0xC1 | version << 1, 0, 0]) + body
    return data + crc32_mpeg(data).to_bytes(4, "big")


class Builder:
    """Writes packets. Continuity counters begin at *first_counter*, as every multiplexer chooses its own."""

    def __init__(
        self, *, video: int | None = 100, audio: int | None = 200, video_type: int = 0x1B, first_counter: int = 0
    ):
        self.video, self.audio, self.video_type = video, audio, video_type
        self.pmt_pid, self.version = 66, 0
        self.pcr_pid = next((pid for pid in (video, audio) if pid is not None), 0x1FFF)
        """What the PMT says. A test may write PCRs on another PID."""
        self.announce_gap = False
        """Whether the next PCR comes with the discontinuity_indicator."""
        self.counters: dict[int, int] = {}
        self.first_counter = first_counter
        self.data = bytearray()

    def packet(self, pid: int, payload: bytes, *, start: bool = False, pcr: int | None = None, flags: int = 0) -> int:
        """Append one packet, stuffed by an adaptation field; return how much of *payload* went in."""
        field = b""
        if pcr is not None:
            base, extension = divmod(pcr % (2**33 * 300), 300)
            flags, self.announce_gap = flags | self.announce_gap << 7, False
            field = bytes([flags | 0x10]) + (base << 15 | 0x7E00 | extension).to_bytes(6, "big")
        elif flags:
            field = bytes([flags])
        room = 184 - (1 + len(field) if field else 0)
        part = payload[:room]
        stuffing = room - len(part)
        if stuffing and not field:
            field, stuffing = (b"", 0) if stuffing == 1 else (b"\0", stuffing - 2)
            adaptation = bytes([len(field) + stuffing]) + field + b"\xff" * stuffing
        else:
            adaptation = bytes([len(field) + stuffing]) + field + b"\xff" * stuffing if field else b""
        counter = self.counters.get(pid, self.first_counter)
        self.counters[pid] = (counter + 1) % 16
        head = bytes([0x47, start << 6 | pid >> 8, pid & 255, (0x30 if adaptation else 0x10) | counter])
        written = head + adaptation + part
        assert len(written) == 188
        self.data += written
        return len(part)

    def tables(self) -> None:
        """Append PAT and PMT."""
        self.pat()
        self.pmt()

    def pat(self, *programs: tuple[int, int]) -> None:
        """Append a PAT of *programs*, each a number and the PID of its PMT; without any, of program 1 alone."""
        listed = programs or ((1, self.pmt_pid),)
        rows = b"".join(number.to_bytes(2, "big") + (0xE000 | pid).to_bytes(2, "big") for number, pid in listed)
        self.packet(0, b"\0" + section(0, 77, rows), start=True)

    def pmt(self, *, program_number: int = 1) -> None:
        """Append the PMT."""
        rows = b""
        for pid, kind in ((self.video, self.video_type), (self.audio, 0x0F)):
            if pid is not None:
                rows += bytes([kind]) + (0xE000 | pid).to_bytes(2, "big") + b"\xf0\0"
        body = (0xE000 | self.pcr_pid).to_bytes(2, "big") + b"\xf0\0" + rows
        self.packet(self.pmt_pid, b"\0" + section(2, program_number, body, self.version), start=True)

    def pes(self, pid: int, payload: bytes, *, pts: int, dts: int | None = None, pcr: int | None = None) -> None:
        """Append one PES in as many packets as it takes."""
        stamps = self._stamp(2 if dts is None else 3, pts) + (b"" if dts is None else self._stamp(1, dts))
        header = bytes([0x84, 0x80 if dts is None else 0xC0, len(stamps)]) + stamps
        length = 0 if pid == self.video else len(header) + len(payload)
        data = b"\0\0\1" + (b"\xe0" if pid == self.video else b"\xc0") + length.to_bytes(2, "big") + header + payload
        start = True
        while data:
            data = data[self.packet(pid, data, start=start, pcr=pcr) :]
            start, pcr = False, None

    @staticmethod
    def _stamp(prefix: int, value: int) -> bytes:
        value %= 2**33
        parts = (prefix << 4 | value >> 29 & 0xE | 1, value >> 22 & 255, value >> 14 & 0xFE | 1, value >> 7 & 255)
        return bytes([*parts, value << 1 & 0xFE | 1])


def item(
    *,
    frames: int = 50,
    start: int = 900_000,
    frame_bytes: int = 3000,
    gop: int = 25,
    video: int | None = 100,
    audio: int | None = 200,
    first_counter: int = 0,
    step: int = 3600,
) -> bytes:
    """Return a clip: a frame each *step* (90 kHz) from *start*, each with two audio PES; tables before keyframes."""
    builder = Builder(video=video, audio=audio, first_counter=first_counter)
    for number in range(frames):
        dts = start + number * step
        pcr = (dts - 36_000) * 300
        if number % gop == 0:
            builder.tables()
        if video is not None:
            payload = (H264_KEYFRAME if number % gop == 0 else H264_OTHER) + bytes([number % 256]) * frame_bytes
            builder.pes(video, payload, pts=dts + 2 * step, dts=dts, pcr=pcr)
        if audio is not None:
            for half in (0, step // 2):
                clock = pcr if video is None and half == 0 else None
                builder.pes(audio, b"\xff\xf1" + bytes(300), pts=dts + half, pcr=clock)
    return bytes(builder.data)


class Pes(NamedTuple):
    """A PES that the checker found: the number of its first packet, and whether that is marked for random access."""

    packet: int
    dts: int
    pts: int
    marked: bool


class Check:
    """Reads a transport stream as a strict receiver would, without the product's parsers.

    Has *continuity_errors*; *pcrs* as pairs of packet number and 27 MHz ticks; *pids*, *pes* and *tables* by PID.
    """

    def __init__(self, data: bytes) -> None:
        assert len(data) % 188 == 0
        self.continuity_errors = 0
        self.pids: dict[int, int] = {}
        self.pcrs: list[tuple[int, int]] = []
        self.pes: dict[int, list[Pes]] = {}
        self.tables: dict[int, set[bytes]] = {}
        last: dict[int, int] = {}
        for number in range(len(data) // 188):
            self._packet(number, data[number * 188 : number * 188 + 188], last)

    def _packet(self, number: int, packet: bytes, last: dict[int, int]) -> None:
        assert packet[0] == 0x47
        pid = int.from_bytes(packet[1:3], "big") & 0x1FFF
        self.pids[pid] = self.pids.get(pid, 0) + 1
        if pid == 0x1FFF:
            return
        counter = packet[3] & 15
        if packet[3] & 0x10:
            if pid in last and counter != (last[pid] + 1) % 16:
                self.continuity_errors += 1
            last[pid] = counter
        offset, marked = 4, False
        if packet[3] & 0x20:
            offset = 5 + packet[4]
            flags = packet[5] if packet[4] else 0
            marked = bool(flags & 0x40)
            if flags & 0x10:
                bits = int.from_bytes(packet[6:12], "big")
                self.pcrs.append((number, (bits >> 15) * 300 + (bits & 0x1FF)))
        if packet[1] & 0x40 and pid in {0, 0x1000}:
            length = int.from_bytes(packet[offset + 2 : offset + 4], "big") & 0xFFF
            whole = packet[offset + 1 : offset + 4 + length]
            assert crc32_mpeg(whole) == 0
            self.tables.setdefault(pid, set()).add(whole)
        elif packet[1] & 0x40 and packet[offset : offset + 3] == b"\0\0\1" and packet[offset + 7] & 0x80:
            pts = self._stamp(packet[offset + 9 : offset + 14])
            dts = self._stamp(packet[offset + 14 : offset + 19]) if packet[offset + 7] & 0x40 else pts
            self.pes.setdefault(pid, []).append(Pes(number, dts, pts, marked))

    @staticmethod
    def _stamp(data: bytes) -> int:
        bits = int.from_bytes(data, "big")
        return (bits >> 33 & 7) << 30 | (bits >> 17 & 0x7FFF) << 15 | bits >> 1 & 0x7FFF
