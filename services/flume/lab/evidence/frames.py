"""Counts the video frames that begin in captured transport packets (ISO/IEC 13818-1).

A second reading of MPEG-TS, independent of the server's own, which is under test, and much smaller: PAT → PMT →
video PID → payload_unit_start. A PES packet of video carries one frame: every muxer we know writes it so.
"""

TS_PACKET_BYTES = 188
_SYNC = 0x47
_VIDEO_TYPES = frozenset({0x01, 0x02, 0x10, 0x1B, 0x24, 0x33, 0xD1, 0xEA})
"""stream_type: MPEG-1, MPEG-2, MPEG-4, H.264, H.265, H.266, Dirac, VC-1."""


def _section(packet: memoryview) -> memoryview:
    """Return the PSI section that begins in *packet*, as far as the packet holds it; empty when none begins there."""
    start = 4
    if packet[3] & 0x20:
        start += 1 + packet[4]
    if not packet[3] & 0x10 or start >= TS_PACKET_BYTES:
        return packet[:0]
    start += 1 + packet[start]
    if start + 3 > TS_PACKET_BYTES:
        return packet[:0]
    length = 3 + ((packet[start + 1] & 0x0F) << 8 | packet[start + 2])
    return packet[start : start + length]


class FrameCounter:
    """Learns the video's PIDs from PAT and PMT, wherever they first appear."""

    def __init__(self) -> None:
        """Start without a known PID."""
        self._pmt_pids: set[int] = set()
        self._video_pids: set[int] = set()
        self.first_video_pid: int | None = None
        """The PID of video that a PMT named first; None before one did."""

    def count_untrusted(self, payload: bytes | memoryview) -> int:
        """Return how many video frames begin in *payload*, whole transport packets. Raises nothing."""
        view, started = memoryview(payload), 0
        for offset in range(0, len(view) - TS_PACKET_BYTES + 1, TS_PACKET_BYTES):
            if view[offset] != _SYNC:
                return started
            if not view[offset + 1] & 0x40:  # payload_unit_start_indicator
                continue
            pid = (view[offset + 1] & 0x1F) << 8 | view[offset + 2]
            if pid in self._video_pids:
                started += 1
            elif pid == 0:
                self._read_pat(_section(view[offset : offset + TS_PACKET_BYTES]))
            elif pid in self._pmt_pids:
                self._read_pmt(_section(view[offset : offset + TS_PACKET_BYTES]))
        return started

    def _read_pat(self, section: memoryview) -> None:
        if len(section) < 12 or section[0] != 0x00:
            return
        for entry in range(8, len(section) - 4 - 3, 4):  # the last 4 bytes are the CRC
            if section[entry] or section[entry + 1]:  # program 0 names the network PID
                self._pmt_pids.add((section[entry + 2] & 0x1F) << 8 | section[entry + 3])

    def _read_pmt(self, section: memoryview) -> None:
        if len(section) < 16 or section[0] != 0x02:
            return
        entry = 12 + ((section[10] & 0x0F) << 8 | section[11])
        while entry + 5 <= len(section) - 4:
            if section[entry] in _VIDEO_TYPES:
                pid = (section[entry + 1] & 0x1F) << 8 | section[entry + 2]
                self._video_pids.add(pid)
                if self.first_video_pid is None:
                    self.first_video_pid = pid
            entry += 5 + ((section[entry + 3] & 0x0F) << 8 | section[entry + 4])
