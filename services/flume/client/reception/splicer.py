"""What the player needs where the stream was cut: a clock to begin with, and an end for its last picture. Pure.

After a pause libvlc finds the next clock reference (PCR) late, takes a new one, and drops what comes until the
reference after that: measured, two pictures at the 70 ms between references that libvlc's own multiplexer writes.
Two packets that carry nothing but the clock, put before the first datagram, take these places.

A decoder knows that a picture is complete when the next one begins. When the session is over no next one comes, so
an access unit delimiter stands in for it. After a mere interruption nothing is put there: the stream may go on in the
middle of the picture.
"""

from flume.media import mpegts
from flume.media.program import ProgramMap
from flume.media.rtp import CLOCK_HZ, timestamp_distance

CUT_S = 0.25
"""Silence, or a step of the timestamps, above which the stream counts as cut. libvlc is late above its own 0.3 s."""

_DELIMITERS = {
    "H.264": b"\x00\x00\x00\x01\x09\xf0",
    "H.265": b"\x00\x00\x00\x01\x46\x01\x50",
}
"""ITU-T H.264, 7.3.2.4 and H.265, 7.3.2.5: any picture type may follow."""

_PES_WITHOUT_TIMES = b"\x00\x00\x01\xe0\x00\x00\x80\x00\x00"


class Splicer:
    """Watches what goes to the player in order to know the clock and the video's PID."""

    def __init__(self) -> None:
        """Begin before the first datagram."""
        self._map = ProgramMap()
        self._clock: tuple[int, int, int] | None = None  # PID, PCR base, RTP timestamp beside it
        self._last_timestamp = 0
        self._last_s = float("-inf")
        self._counters: dict[int, int] = {}

    def forget(self) -> None:
        """Another server, or the same one after a restart: its clock has nothing to do with the one before."""
        self._clock = None

    def before(self, timestamp: int, payload: memoryview, now_s: float) -> bytes:
        """Return what to write before *payload*, nothing mostly; *timestamp* is its RTP timestamp."""
        step_s = abs(timestamp_distance(timestamp, self._last_timestamp)) / CLOCK_HZ
        is_cut = now_s - self._last_s > CUT_S or step_s > CUT_S
        self._last_timestamp, self._last_s = timestamp, now_s
        primer = self._primer(timestamp) if is_cut else b""
        self._watch(timestamp, payload)
        return primer

    def _primer(self, timestamp: int) -> bytes:
        if self._clock is None:
            return b""
        pid, base, beside = self._clock
        packet = bytearray(mpegts.PACKET_BYTES)
        # Adaptation field only: the continuity counter stays (ISO/IEC 13818-1, 2.4.3.3). 0x10: PCR_flag.
        packet[:6] = bytes([mpegts.SYNC_BYTE, 0, 0, 0x20 | self._counters.get(pid, 0), mpegts.PACKET_BYTES - 5, 0x10])
        packet[12:] = b"\xff" * (mpegts.PACKET_BYTES - 12)
        mpegts.set_pid(packet, pid)
        mpegts.write_pcr(packet, (base + timestamp_distance(timestamp, beside)) * mpegts.TICKS_PER_PTS)
        return bytes(packet) * 2

    def _watch(self, timestamp: int, payload: memoryview) -> None:
        for start in range(0, len(payload) - mpegts.PACKET_BYTES + 1, mpegts.PACKET_BYTES):
            pid = (payload[start + 1] & 0x1F) << 8 | payload[start + 2]
            control = payload[start + 3]
            self._counters[pid] = control & 0x0F
            if control & 0x20:
                pcr = mpegts.read_pcr(payload, start)
                if pcr is not None:
                    self._clock = pid, pcr // mpegts.TICKS_PER_PTS, timestamp
            if payload[start + 1] & 0x40 and self._map.main is None:
                self._map.route_untrusted(bytearray(payload[start : start + mpegts.PACKET_BYTES]))

    def ending(self) -> bytes:
        """Return what completes the last picture, empty for codecs that need nothing or are not known."""
        route = self._map.main
        delimiter = _DELIMITERS.get(self._map.video_codec or "")
        if route is None or delimiter is None:
            return b""
        # Each holds two: a unit ends where the next start code is. The second packet pushes the first one on.
        return b"".join(self._delimiter_packet(route.pid, delimiter) for _ in range(2))

    def _delimiter_packet(self, pid: int, delimiter: bytes) -> bytes:
        self._counters[pid] = counter = (self._counters.get(pid, 0) + 1) % 16
        body = _PES_WITHOUT_TIMES + delimiter * 2
        stuffing = mpegts.PACKET_BYTES - 6 - len(body)
        header = bytes([mpegts.SYNC_BYTE, 0x40 | pid >> 8, pid & 0xFF, 0x30 | counter, stuffing + 1, 0])
        return header + b"\xff" * stuffing + body
