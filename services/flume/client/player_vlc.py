"""Playback through libvlc: the only file of the client that imports vlc.

Transport packets go to libvlc over a UDP port of the loopback interface: of the ways in, only this one follows the
server's clock. One media player lives as long as the client. An interruption is silence to it; when datagrams come
again, libvlc notices that they are late against its clock and takes a new reference (see :data:`MEDIA_OPTIONS`),
which was measured to lose nothing, against 0.3 s and a missed keyframe for stopping and starting the media.

Without a screen, pictures go to memory callbacks. libvlc calls them again for a still picture, so *changes of
content* are counted, never calls: a checksum over every eighth line, some 60 µs a frame at 720p.
"""

import ctypes
import logging
import re
import socket
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flume.barcode import decode
from flume.client.player import PlayerStatistics
from flume.errors import PlayerError

BIND_TIMEOUT_S = 10.0
"""libvlc binds its port 10 to 30 ms after play(); on a machine with one busy core seconds pass."""

PACKAGES = "apt-get install --no-install-recommends libvlc5 vlc-plugin-base libvlc-bin"

MEDIA_OPTIONS = (
    # One lost datagram otherwise discards everything up to the next unit (measured: 1 % loss leaves 7 % of frames).
    ":no-ts-cc-check",
    # Late data (after a pause): take a new clock reference. At 0 and above libvlc empties its buffers as well.
    ":clock-jitter=-1",
)

INSTANCE_OPTIONS = ("--quiet", "--no-osd", "--no-spu", "--no-video-title-show", "--no-snapshot-preview", "--no-stats")
HEADLESS_OPTIONS = (*INSTANCE_OPTIONS, "--no-audio", "--no-drop-late-frames", "--no-skip-frames")
"""Without a screen nothing is gained by skipping pictures when the processor was busy elsewhere for some milliseconds:
they are shown at once. Five clients on two busy cores (load 6) lacked the last 2 of 420 pictures each; with skipping,
4 to 9."""

WINDOW_INSTANCE_OPTIONS = tuple(option for option in INSTANCE_OPTIONS if option != "--no-stats")

NEVER_S = float("inf")

EDGE_PIXELS = 64
"""libvlc announces the picture first as it is, then with the decoder's padding (720 lines as 738). A size this little
above the first one is padding: asking for the true one saves a scaling of every frame."""

LINE_STEP = 8
ARENAS = 2
M_ARENA_MAX = -8
"""mallopt(3), glibc: libvlc's many short threads otherwise leave an arena each, 100 MB and more after some starts."""

_log = logging.getLogger(__name__)


_UNSIGNED = ctypes.POINTER(ctypes.c_uint)
_POINTERS = ctypes.POINTER(ctypes.c_void_p)
_SET_UP = ctypes.CFUNCTYPE(ctypes.c_uint, _POINTERS, ctypes.c_void_p, _UNSIGNED, _UNSIGNED, _UNSIGNED, _UNSIGNED)
_CLEAN_UP = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_LOCK = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, _POINTERS)
_SHOW = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
"""libvlc_video_format_cb, _cleanup_cb, _lock_cb and _display_cb of libvlc_media_player.h; python-vlc's own
declarations of the first hide the size behind untyped pointers."""


class _Picture:
    """Memory into which libvlc writes I420 pictures of one size, and the count of their changes."""

    def __init__(self, width: int, height: int) -> None:
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
        value, luma, width = 0, self.luma, self.width
        for start in self._starts:
            value = zlib.crc32(luma[start : start + width], value)
        return value


class _Display:
    """The memory callbacks. They run in libvlc's threads, and libvlc is not to be called from them."""

    def __init__(self, vlc: Any) -> None:
        self._picture: _Picture | None = None
        self._declared = (0, 0)
        self._last_checksum: int | None = None
        self.frames = 0
        self.first_s: float | None = None
        self.fresh_s = 0.0
        """Pictures before this instant were received before the last command."""
        self.last_s: float | None = None
        self.number: int | None = None
        # A callback object that Python collects crashes the process: they live as long as this object.
        self._kept = (_SET_UP(self._set_up), _CLEAN_UP(self._clean_up), _LOCK(self._lock), _SHOW(self._show))
        kinds = (vlc.VideoFormatCb, vlc.VideoCleanupCb, vlc.VideoLockCb, vlc.VideoDisplayCb)
        self.callbacks = tuple(ctypes.cast(kept, kind) for kept, kind in zip(self._kept, kinds, strict=True))

    @property
    def size(self) -> tuple[int, int]:
        return (self._picture.width, self._picture.height) if self._picture is not None else (0, 0)

    def _set_up(self, _opaque: Any, chroma: Any, width: Any, height: Any, pitches: Any, lines: Any) -> int:
        ctypes.memmove(chroma, b"I420", 4)
        size = width[0], height[0]
        if not all(0 <= new - old < EDGE_PIXELS for new, old in zip(size, self._declared, strict=True)):
            self._declared = size
        picture = _Picture(*self._declared)
        width[0], height[0] = self._declared
        pitches[0], pitches[1], pitches[2] = picture.pitch, picture.pitch // 2, picture.pitch // 2
        lines[0], lines[1], lines[2] = picture.lines, picture.lines // 2, picture.lines // 2
        self._picture = picture
        return 1

    def _clean_up(self, _opaque: Any) -> None:
        """Keep the memory until the next set-up: the last picture stays readable."""

    def _lock(self, _opaque: Any, planes: Any) -> Any:
        picture = self._picture
        if picture is not None:
            for plane, offset in enumerate(picture.offsets):
                planes[plane] = picture.address + offset
        return None

    def _show(self, _opaque: Any, _picture: Any) -> None:
        picture = self._picture
        if picture is None:
            return
        checksum = picture.checksum()
        if checksum == self._last_checksum:
            return
        self._last_checksum = checksum
        self.number = decode(picture.luma, picture.width, picture.height, picture.pitch)
        self.last_s = time.monotonic()
        if self.first_s is None and self.last_s >= self.fresh_s:
            self.first_s = self.last_s
        self.frames += 1


class VlcPlayer:
    """A :class:`~flume.client.player.Player` on libvlc."""

    def __init__(self, *, windowed: bool, network_caching_ms: int, decoder_threads: int | None = None) -> None:
        """Show in a window or headless; libvlc starts to show *network_caching_ms* after the first datagram.

        *decoder_threads* None: one when headless, which keeps no frames back and leaves a lab's processors to its
        other clients; as many as libvlc likes in a window.
        """
        self._windowed = windowed
        threads = decoder_threads if decoder_threads is not None else (0 if windowed else 1)
        self._options = (*MEDIA_OPTIONS, f":network-caching={network_caching_ms}", f":avcodec-threads={threads}")
        self._buffer_s = network_caching_ms / 1000
        self._guard = threading.Lock()
        self._vlc: Any = None
        self._instance: Any = None
        self._media: Any = None
        self._media_player: Any = None
        self._display: _Display | None = None
        self._socket: socket.socket | None = None
        self._refused = 0
        self._restarts = 0
        self._window_first_s: float | None = None
        self._window_last_s: float | None = None
        self._window_frames = 0
        self._closed = False

    def start(self) -> None:
        """Start libvlc and wait until it listens; raises :class:`PlayerError`."""
        _limit_arenas()
        self._vlc = _import_vlc()
        options = WINDOW_INSTANCE_OPTIONS if self._windowed else HEADLESS_OPTIONS
        self._instance = self._vlc.Instance(*options)
        if self._instance is None:
            raise PlayerError(f"libvlc is here but does not start, probably without its plug-ins: {PACKAGES}")
        if not self._windowed:
            self._display = _Display(self._vlc)
        self._play()

    def _play(self) -> None:
        port = _free_port()
        vlc, player = self._vlc, self._instance.media_player_new()
        self._media = self._instance.media_new(f"udp://@127.0.0.1:{port}", *self._options)
        player.set_media(self._media)
        if self._display is not None:
            set_up, clean_up, lock, show = self._display.callbacks
            vlc.libvlc_video_set_format_callbacks(player, set_up, clean_up)
            vlc.libvlc_video_set_callbacks(player, lock, None, show, None)
        self._media_player = player
        if player.play() != 0:
            raise PlayerError(f"libvlc refused to play udp://@127.0.0.1:{port}")
        if not _wait_until(lambda: _is_bound(port), timeout_s=BIND_TIMEOUT_S):
            self._release()
            raise PlayerError(
                f"libvlc did not open UDP port {port} of 127.0.0.1 within {BIND_TIMEOUT_S:g} s: {PACKAGES}"
            )
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.settimeout(0)
        sender.connect(("127.0.0.1", port))
        self._socket = sender

    def write(self, payload: bytes | memoryview) -> None:
        """Send one datagram's transport packets to libvlc; what it does not take is counted."""
        with self._guard:
            if self._socket is None:
                self._refused += 1
                return
            try:
                self._socket.send(payload)
                if self._display is not None and self._display.fresh_s == NEVER_S:
                    self._display.fresh_s = time.monotonic() + self._buffer_s
            except OSError:  # ECONNREFUSED: libvlc stopped listening; EAGAIN: its queue is full
                self._refused += 1

    def expect_frame(self) -> None:
        """Forget when the last first frame was."""
        self._window_first_s = None
        if self._display is not None:
            # Once it plays, libvlc shows nothing sooner than its buffer after it came; what it shows until then is the
            # rest of the window before. The very first picture it shows at once.
            self._display.fresh_s = NEVER_S if self._display.frames else 0.0
            self._display.first_s = None

    def statistics(self) -> PlayerStatistics:
        """Return the counters; starts libvlc's media again if it has ended by itself."""
        self._revive()
        display = self._display
        if display is None:
            return self._window_statistics()
        width, height = display.size
        return PlayerStatistics(
            kind="headless",
            frames_displayed=display.frames,
            first_frame_s=display.first_s,
            last_frame_s=display.last_s,
            last_frame_number=display.number,
            width=width,
            height=height,
            datagrams_refused=self._refused,
            restarts=self._restarts,
        )

    def _window_statistics(self) -> PlayerStatistics:
        width = height = 0
        with self._guard:
            if self._media is not None and not self._closed:
                counted = self._vlc.MediaStats()
                self._media.get_stats(counted)
                if counted.displayed_pictures > self._window_frames:
                    self._window_frames = int(counted.displayed_pictures)
                    self._window_last_s = time.monotonic()
                    self._window_first_s = self._window_first_s or self._window_last_s
                width, height = self._media_player.video_get_size(0)
        return PlayerStatistics(
            kind="window",
            frames_displayed=self._window_frames,
            first_frame_s=self._window_first_s,
            last_frame_s=self._window_last_s,
            width=width,
            height=height,
            datagrams_refused=self._refused,
            restarts=self._restarts,
        )

    def _revive(self) -> None:
        with self._guard:
            if self._closed or self._media_player is None:
                return
            if self._media_player.get_state() not in {
                self._vlc.State.Ended,
                self._vlc.State.Error,
                self._vlc.State.Stopped,
            }:
                return
            _log.warning("libvlc ended the stream by itself: starting it again")
            self._restarts += 1
            self._release()
            try:
                self._play()
            except PlayerError as error:
                _log.warning("%s", error)

    def _release(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._media_player is not None:
            self._media_player.stop()
            self._media_player.release()
            self._media_player = None
        if self._media is not None:
            self._media.release()  # each one that is not released leaks a thread
            self._media = None

    def close(self) -> None:
        """Stop libvlc and release it."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            self._release()
            if self._instance is not None:
                self._instance.release()
                self._instance = None


def _import_vlc() -> Any:
    try:
        import vlc  # noqa: PLC0415 - without the library this raises NotImplementedError, and only players need it
    except (ImportError, NotImplementedError, OSError) as error:
        raise PlayerError(f"libvlc cannot be loaded ({error}): {PACKAGES}, or watch with --player none") from error
    return vlc


def _limit_arenas() -> None:
    try:
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)
    except (OSError, AttributeError):  # not glibc
        _log.debug("the C library has no mallopt")


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_bound(port: int) -> bool:
    """Say whether somebody listens on UDP *port*; always true where the system does not say."""
    table = Path("/proc/self/net/udp")
    if not table.exists():
        return True
    return re.search(rf"^\s*\d+: [0-9A-F]{{8}}:{port:04X} ", table.read_text("ascii"), re.MULTILINE) is not None


def _wait_until(condition: Callable[[], bool], *, timeout_s: float) -> bool:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.005)
    return True
