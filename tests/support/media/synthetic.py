"""A source that needs no video file: a small, valid transport stream of numbered frames, as fast as it is read."""

import struct
import threading

from flume.media.mpegts import PACKET_BYTES
from flume.media.psi import ElementaryStream, Program, build_pat, build_pmt, packets_of_section
from flume.server.sources.source import ItemEnded, ItemStarted, SourceEnded, SourceEvent, TsBytes

PMT_PID, VIDEO_PID = 0x1000, 0x100
FPS = 25
GOP_FRAMES = 25
PCR_LEAD_S = 0.1


def _timestamp(prefix: int, ticks: int) -> bytes:
    return struct.pack("!BHH", prefix << 4 | ticks >> 29 & 0x0E | 1, ticks >> 14 & 0xFFFE | 1, ticks << 1 & 0xFFFE | 1)


def _packet(*, start: bool, counter: int, payload: bytes, pcr: int | None = None) -> bytes:
    """Return one packet of the video PID; the adaptation field stuffs what *payload* leaves free."""
    adaptation = b""
    if pcr is not None:
        base, extension = divmod(pcr, 300)
        adaptation = b"\x10" + (base << 15 | 0x7E00 | extension).to_bytes(6, "big")
    room = PACKET_BYTES - 4 - len(payload)
    if adaptation or room:
        adaptation = (adaptation or (b"\0" if room > 1 else b"")).ljust(room - 1, b"\xff")
        adaptation = bytes([len(adaptation)]) + adaptation
    control = 0x30 if adaptation else 0x10
    head = bytes([0x47, (0x40 if start else 0) | VIDEO_PID >> 8, VIDEO_PID & 0xFF, control | counter & 15])
    packet = head + adaptation + payload
    assert len(packet) == PACKET_BYTES
    return packet


class TsWriter:
    """Writes numbered frames that look like H.264, and hold no picture."""

    def __init__(self, *, bitrate_kbit: int = 2000, gop_frames: int = GOP_FRAMES) -> None:
        self._gop_frames = gop_frames
        self._bytes_per_frame = bitrate_kbit * 1000 // 8 // FPS
        self._counter = 0
        self._frame = 0

    def tables(self) -> bytes:
        program = Program(VIDEO_PID, b"", (ElementaryStream(0x1B, VIDEO_PID, b""),))
        sections = packets_of_section(build_pat(program_number=1, pmt_pid=PMT_PID, version=0), 0) + packets_of_section(
            build_pmt(program, program_number=1, version=0), PMT_PID
        )
        return b"".join(sections)

    def frame(self) -> bytes:
        """Return the packets of the next frame, tables before each keyframe."""
        number, self._frame = self._frame, self._frame + 1
        keyframe = number % self._gop_frames == 0
        pts = round(number / FPS * 90_000) + 90_000
        head = b"\0\0\1\xe0\0\0\x80\x80\x05" + _timestamp(2, pts)
        units = b"\0\0\0\1\x09\xf0" + (b"\0\0\0\1\x67\x42\0\x1e\0\0\0\1\x65" if keyframe else b"\0\0\0\1\x41")
        body = head + units + b"FRAME" + struct.pack("!I", number)
        body = body.ljust(self._bytes_per_frame, b"\xaa")
        packets = [self.tables()] if keyframe else []
        pcr = round((number / FPS + 1 - PCR_LEAD_S) * 27_000_000)
        first = True
        while body:
            room = PACKET_BYTES - 4 - (8 if first else 0)
            packets.append(_packet(start=first, counter=self._counter, payload=body[:room], pcr=pcr if first else None))
            body, first, self._counter = body[room:], False, self._counter + 1
        return b"".join(packets)


class SyntheticSource:
    """Implements the server's ``Source``: *frames* frames, then the end; ``None``: without end."""

    def __init__(
        self,
        *,
        bitrate_kbit: int = 2000,
        frames: int | None = None,
        live: bool = False,
        gop_frames: int = GOP_FRAMES,
    ) -> None:
        self._writer = TsWriter(bitrate_kbit=bitrate_kbit, gop_frames=gop_frames)
        self._left = frames
        self._started = False
        self._closed = threading.Event()
        self._live = live
        self.stops = 0
        self.starts = 0
        self.reads = 0

    @property
    def name(self) -> str:
        return "synthetic"

    @property
    def live(self) -> bool:
        return self._live

    def read(self, *, timeout_s: float) -> SourceEvent | None:
        self.reads += 1
        if self._closed.is_set():
            return None
        if not self._started:
            self._started = True
            self.starts += 1
            return ItemStarted(self.name)
        if self._left == 0:
            self._left = -1
            return ItemEnded(self.name)
        if self._left == -1:
            return SourceEnded("every item was played once")
        if self._left is not None:
            self._left -= 1
        return TsBytes(self._writer.frame())

    def stop(self) -> None:
        self.stops += 1
        self._started = False

    def close(self) -> None:
        self._closed.set()
