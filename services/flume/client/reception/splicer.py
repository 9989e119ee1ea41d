"""Splices the stream for the player: a PCR before a new beginning, and an end for the last frame. Pure.

After a pause libvlc finds that the next PCR is late, takes that as its new clock, and drops all packets until the PCR
after it. Measured: two frames, at the 70 ms between the PCRs of libvlc's own multiplexer. So two packets that carry
nothing but a PCR are written before the first datagram, and libvlc spends them instead.

A decoder knows that a frame is complete when the next frame begins. At the end of the session no next frame comes, so
an access unit delimiter is written in its place. After an interruption none is written: the stream may go on in the
middle of the frame.
"""

from flume.media import mpegts
from flume.media.program import ProgramMap
from flume.media.rtp import CLOCK_HZ, timestamp_distance

CUT_S = 0.25
"""Silence, or a step of the timestamps, above which the stream counts as cut. It is below libvlc's own buffer of 0.3 s,
beyond which libvlc finds data late."""

_DELIMITERS = {
    "H.264": b"\x00\x00\x00\x01\x09\xf0",
    "H.265": b"\x00\x00\x00\x01\x46\x01\x50",
}
"""ITU-T H.264, 7.3.2.4 and H.265, 7.3.2.5: any picture type may follow."""

_PES_WITHOUT_TIMES = b"\x00\x00\x01\xe0\x00\x00\x80\x00\x00"


class Splicer:
    """Sees every datagram that goes to the player, and so knows the clock and the PID of the video."""

    def __init__(self) -> None:
        """Begin before the first datagram."""
        self._map = ProgramMap()
        self._clock: tuple[int, int, int] | None = None  # PID, base of its last PCR, RTP timestamp there
        self._last_timestamp = 0
        self._last_s = float("-inf")
        self._counters: dict[int, int] = {}

    def forget(self) -> None:
        """Another server, or the same one after a restart: forget the clock, which the new stream does not share."""
        self._clock = None

    def before(self, timestamp: int, payload: memoryview, now_s: float) -> bytes:
        """Return what to write before *payload*: two PCR packets after a cut, otherwise nothing.

        *timestamp* is the RTP timestamp of *payload*, *now_s* the time in monotonic seconds.
        """
        step_s = abs(timestamp_distance(timestamp, self._last_timestamp)) / CLOCK_HZ
        is_cut = now_s - self._last_s > CUT_S or step_s > CUT_S
        self._last_timestamp, self._last_s = timestamp, now_s
        primer = self._primer(timestamp) if is_cut else b""
        self._watch(timestamp, payload)
        return primer

    def _primer(self, timestamp: int) -> bytes:
        if self._clock is None:
            return b""
        pid, base, pcr_timestamp = self._clock
        pcr = (base + timestamp_distance(timestamp, pcr_timestamp)) * mpegts.TICKS_PER_PTS
        # Adaptation field only: the continuity counter stays (ISO/IEC 13818-1, 2.4.3.3).
        return bytes(mpegts.pcr_packet(pid, pcr, self._counters.get(pid, 0))) * 2

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
        """Return what completes the last frame; empty while the video is not known, or for other codecs."""
        route = self._map.main
        delimiter = _DELIMITERS.get(self._map.video_codec or "")
        if route is None or delimiter is None:
            return b""
        # Each packet holds two delimiters: a unit ends at the next start code. The second packet completes the first.
        return b"".join(self._delimiter_packet(route.pid, delimiter) for _ in range(2))

    def _delimiter_packet(self, pid: int, delimiter: bytes) -> bytes:
        self._counters[pid] = counter = (self._counters.get(pid, 0) + 1) % 16
        body = _PES_WITHOUT_TIMES + delimiter * 2
        stuffing = mpegts.PACKET_BYTES - 6 - len(body)
        header = bytes([mpegts.SYNC_BYTE, 0x40 | pid >> 8, pid & 0xFF, 0x30 | counter, stuffing + 1, 0])
        return header + b"\xff" * stuffing + body
