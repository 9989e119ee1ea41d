"""Memory into which libvlc draws where there is no screen, and the count of the pictures drawn.

libvlc draws a still picture again and again, so *changes of content* are counted, not calls: a checksum over every
eighth line, some 60 µs a frame at 720p.
"""

import ctypes
import time
import zlib
from collections import deque

from flume.barcode import decode
from flume.client.playback.frame_count import FrameCount

EDGE_PIXELS = 64
"""libvlc announces the picture first in its true size, then with the decoder's padding (720 lines as 738). A size that
exceeds the first one by less than this is padding: asking for the true size saves scaling every frame."""

LINE_STEP = 8

_UNSIGNED = ctypes.POINTER(ctypes.c_uint)
_POINTERS = ctypes.POINTER(ctypes.c_void_p)
SET_UP = ctypes.CFUNCTYPE(ctypes.c_uint, _POINTERS, ctypes.c_void_p, _UNSIGNED, _UNSIGNED, _UNSIGNED, _UNSIGNED)
CLEAN_UP = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
LOCK = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, _POINTERS)
SHOW = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
"""libvlc_video_format_cb, _cleanup_cb, _lock_cb and _display_cb of libvlc_media_player.h."""

Shown = tuple[float, int | None]
"""When a new picture was displayed, monotonic seconds, and the test card's frame number if it shows one."""

Opaque = int | None
"""A pointer of which only libvlc knows what it points to."""


class Picture:
    """Memory into which libvlc writes I420 pictures of one size, and the count of their changes."""

    def __init__(self, width: int, height: int) -> None:
        """Make room for *width* by *height* pixels."""
        self.width, self.height = width, height
        self.pitch = (width + 31) // 32 * 32
        self.lines = (height + 31) // 32 * 32
        luma = self.pitch * self.lines
        self.offsets = (0, luma, luma * 5 // 4)
        self.memory = (ctypes.c_ubyte * (luma * 3 // 2))()
        self.address = ctypes.addressof(self.memory)
        self.luma = memoryview(self.memory).cast("B")[:luma]
        self._starts = range(LINE_STEP // 2 * self.pitch, height * self.pitch, LINE_STEP * self.pitch)

    def checksum(self) -> int:
        """Return a checksum over every eighth line: another picture is most unlikely to have the same."""
        value, luma, width = 0, self.luma, self.width
        for start in self._starts:
            value = zlib.crc32(luma[start : start + width], value)
        return value


class PictureMemory:
    """The memory callbacks. They run in libvlc's threads, and must not call libvlc."""

    def __init__(self, count: FrameCount, shown: "deque[Shown] | None" = None) -> None:
        """Count each new picture with *count*; *shown* takes each with its time."""
        self._count, self._shown = count, shown
        self._picture: Picture | None = None
        self._declared = (0, 0)
        self._last_checksum: int | None = None
        self.number: int | None = None
        """The test card's frame number in the last picture, if it shows one."""
        # A callback object that Python collects crashes the process: these live as long as this object.
        self.callbacks = SET_UP(self._set_up), CLEAN_UP(self._clean_up), LOCK(self._lock), SHOW(self._show)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, 0 before the first picture."""
        return (self._picture.width, self._picture.height) if self._picture is not None else (0, 0)

    def _set_up(
        self,
        _opaque: "ctypes._Pointer[ctypes.c_void_p]",
        chroma: int,
        width: "ctypes._Pointer[ctypes.c_uint]",
        height: "ctypes._Pointer[ctypes.c_uint]",
        pitches: "ctypes._Pointer[ctypes.c_uint]",
        lines: "ctypes._Pointer[ctypes.c_uint]",
    ) -> int:
        ctypes.memmove(chroma, b"I420", 4)
        size = width[0], height[0]
        if not all(0 <= new - old < EDGE_PIXELS for new, old in zip(size, self._declared, strict=True)):
            self._declared = size
        picture = Picture(*self._declared)
        width[0], height[0] = self._declared
        pitches[0], pitches[1], pitches[2] = picture.pitch, picture.pitch // 2, picture.pitch // 2
        lines[0], lines[1], lines[2] = picture.lines, picture.lines // 2, picture.lines // 2
        self._picture = picture
        return 1

    def _clean_up(self, _opaque: Opaque) -> None:
        """Keep the memory until the next set-up: the last picture stays readable."""

    def _lock(self, _opaque: Opaque, planes: "ctypes._Pointer[ctypes.c_void_p]") -> None:
        picture = self._picture
        if picture is not None:
            for plane, offset in enumerate(picture.offsets):
                planes[plane] = picture.address + offset

    def _show(self, _opaque: Opaque, _picture: Opaque) -> None:
        picture = self._picture
        if picture is None:
            return
        checksum = picture.checksum()
        if checksum == self._last_checksum:
            return
        self._last_checksum = checksum
        self.number = decode(picture.luma, picture.width, picture.height, picture.pitch)
        now_s = time.monotonic()
        self._count.add(1, now_s)
        if self._shown is not None:
            self._shown.append((now_s, self.number))
