"""A live source with a clock of its own that sends frames in real time, and misbehaves where a test wants it to."""

import threading
import time
from collections.abc import Callable

from flume.server.sources.source import ItemStarted, SourceEvent, TsBytes
from support.media.ts_stream import H264_KEYFRAME, H264_OTHER, Builder

FPS = 25
FRAME_TICKS = 90_000 // FPS
PCR_LEAD_TICKS = 18_000


class SyntheticCamera:
    """Writes one numbered frame after another. A test changes its attributes to make it misbehave."""

    def __init__(self, *, frame_bytes: int = 3000, gop: int = 25, audio: int | None = 200) -> None:
        self.builder = Builder(audio=audio)
        self.frame_bytes, self.gop = frame_bytes, gop
        self.number = 0
        self.clock = 900_000
        """DTS of the next frame, 90 kHz."""
        self.pcr_pid: int | None = 100
        """The PID on which PCRs come; ``None``: no PCR comes. The PMT may name another PID."""
        self.pcr_lead_ticks = PCR_LEAD_TICKS
        self.is_without_video = False
        """Whether no video comes although the PMT lists it; nor the PCR, if it is on the video's PID."""
        self.audio_bytes = 300
        self.is_without_audio = False
        """Whether no audio comes although the PMT lists it."""
        self.repeats_tables = True
        self.tables_due = False
        """Whether the next frame comes with tables, keyframe or not."""
        self.alter: Callable[[bytes], bytes] = bytes
        """Changes the bytes of each frame before they are returned."""

    def frame(self) -> bytes:
        """Return the packets of the next frame, tables before each keyframe."""
        builder, keyframe = self.builder, self.number % self.gop == 0
        builder.data.clear()
        if (keyframe and self.repeats_tables) or self.tables_due:
            builder.tables()
            self.tables_due = False
        pcr = (self.clock - self.pcr_lead_ticks) * 300
        if self.pcr_pid is not None and self.pcr_pid not in {builder.video, builder.audio}:
            builder.packet(self.pcr_pid, b"", pcr=pcr)
        if builder.video is not None and not self.is_without_video:
            payload = (H264_KEYFRAME if keyframe else H264_OTHER) + b"FRAME" + self.number.to_bytes(4, "big")
            own = pcr if self.pcr_pid == builder.video else None
            builder.pes(builder.video, payload.ljust(self.frame_bytes, b"\xaa"), pts=self.clock, pcr=own)
        if builder.audio is not None and not self.is_without_audio:
            own = pcr if self.pcr_pid == builder.audio else None
            builder.pes(builder.audio, b"\xff\xf1" + bytes(self.audio_bytes), pts=self.clock, pcr=own)
        self.number += 1
        self.clock += FRAME_TICKS
        return self.alter(bytes(builder.data))

    def frames(self, count: int) -> bytes:
        """Return the next *count* frames."""
        return b"".join(self.frame() for _ in range(count))


class CameraSource:
    """Implements the server's ``Source``: *camera*'s frames as time passes, whether they are read or not.

    *speed* is how many times faster than real time frames come.
    """

    def __init__(self, camera: SyntheticCamera, *, speed: float = 1.0, live: bool = True) -> None:
        self.camera, self.live, self.name = camera, live, "camera"
        self._speed = speed
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._closed = False
        self._started = False
        self._stalled_until_s = 0.0
        self._next_s = 0.0

    def change(self, action: Callable[[SyntheticCamera], object]) -> None:
        """Apply *action* to the camera between two frames."""
        with self._lock:
            action(self.camera)

    def stall(self, stall_s: float, *, keep: bool) -> None:
        """Give nothing for *stall_s*.

        *keep*: the frames of that time follow at once, in a burst. Otherwise the camera continues where it was.
        """
        with self._lock:
            self._stalled_until_s = time.monotonic() + stall_s
            if not keep:
                self._next_s = self._stalled_until_s

    def read(self, *, timeout_s: float) -> SourceEvent | None:
        deadline_s = time.monotonic() + timeout_s
        while not self._closed:
            now_s = time.monotonic()
            with self._lock:
                if not self._started:
                    self._started, self._next_s = True, now_s
                    return ItemStarted(self.name)
                due_s = max(self._next_s, self._stalled_until_s)
                if due_s <= now_s:
                    self._next_s += 1 / FPS / self._speed
                    return TsBytes(self.camera.frame())
            if due_s > deadline_s and deadline_s <= now_s:
                return None
            self._changed.wait(min(due_s, deadline_s) - now_s)
        return None

    def stop(self) -> None:
        with self._lock:
            self._started = False

    def close(self) -> None:
        self._closed = True
        self._changed.set()
