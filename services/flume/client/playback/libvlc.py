"""Playback through libvlc: the only module of the client that imports vlc.

Transport packets go to libvlc over a UDP port of the loopback interface: of libvlc's inputs, only this one follows the
server's clock. One media player lives as long as the client. An interruption is silence to it. When datagrams come
again, libvlc finds them late against its clock and takes the next PCR as its new one (see :data:`MEDIA_OPTIONS`).
Measured, that loses nothing; stopping and starting the media loses 0.3 s and a keyframe.

Without a screen, pictures go to memory (:mod:`flume.client.playback.pictures`), where each is counted as it is drawn.
In a window libvlc itself counts them.
"""

import ctypes
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flume.client.playback import display
from flume.client.playback.frame_count import FrameCount
from flume.client.playback.loopback import LoopbackSender, Payload
from flume.client.playback.pictures import PictureMemory
from flume.client.playback.player import PlayerStatistics
from flume.errors import PlayerError

BIND_TIMEOUT_S = 10.0
"""libvlc binds its port 10 to 30 ms after play(); on a host with one busy core it takes seconds."""

INSTALL_VLC = "apt-get install --no-install-recommends libvlc5 vlc-plugin-base libvlc-bin"

MEDIA_OPTIONS = (
    # Without this, one lost datagram discards all up to the next unit (measured: 1 % loss leaves 7 % of the frames).
    ":no-ts-cc-check",
    # Late data (after a pause): take a new PCR as the clock. At 0 and above libvlc empties its buffers as well.
    ":clock-jitter=-1",
)

INSTANCE_OPTIONS = ("--quiet", "--no-osd", "--no-spu", "--no-video-title-show", "--no-snapshot-preview", "--no-stats")
HEADLESS_OPTIONS = (*INSTANCE_OPTIONS, "--no-audio", "--no-drop-late-frames", "--no-skip-frames")
"""Without a screen, late frames are shown at once: skipping them after some milliseconds of a busy CPU gains nothing.
Five clients on two busy cores (load 6) missed the last 2 of 420 frames each; with skipping, 4 to 9."""

WINDOW_OPTIONS = tuple(option for option in INSTANCE_OPTIONS if option != "--no-stats")
"""In a window frames are counted by libvlc's statistics."""

DRAWN_BY_CPU = "--vout=xcb_x11"
DECODED_BY_CPU = ":avcodec-hw=none"
"""Without a graphics card libvlc chooses OpenGL in software: 145 % of a core under Xvfb, and 70 of 225 frames not shown
in time. With these options it takes a fifth of a core and shows all in time."""

DRAINED_AFTER_S = 0.4
"""Without a new frame for this long the player has shown all that it has: ten frames at 25 per second."""

WINDOW_DRAINED_AFTER_S = 0.8
"""The same in a window, where libvlc updates its count four times a second."""

RESTART_INTERVAL_S = 1.0
"""Shortest time between two restarts of a media that ends at once each time."""

ARENAS = 2
M_ARENA_MAX = -8
"""mallopt(3), glibc. Without a limit each of libvlc's many short threads leaves an arena: after some starts, 100 MB and
more."""

_log = logging.getLogger(__name__)


class VlcPlayer:
    """A :class:`~flume.client.playback.player.Player` on libvlc."""

    def __init__(
        self, *, windowed: bool, network_caching_ms: int, decoder_threads: int | None = None, title: str = "flume"
    ) -> None:
        """Show in a window with *title*, or headless.

        libvlc starts to show *network_caching_ms* after the first datagram.

        *decoder_threads* ``None``: one when headless, which holds no frames back and leaves the CPUs of a lab to its
        other clients; libvlc's choice in a window.
        """
        self._windowed = windowed
        self.drained_after_s = WINDOW_DRAINED_AFTER_S if windowed else DRAINED_AFTER_S
        self._title = title
        threads = decoder_threads if decoder_threads is not None else (0 if windowed else 1)
        self._options = [*MEDIA_OPTIONS, f":network-caching={network_caching_ms}", f":avcodec-threads={threads}"]
        if windowed and not display.has_graphics_card():
            self._options.append(DECODED_BY_CPU)
        self._count = FrameCount(buffer_s=network_caching_ms / 1000)
        self._guard = threading.Lock()
        self._vlc: Any = None
        self._instance: Any = None
        self._media: Any = None
        self._media_player: Any = None
        self._memory: PictureMemory | None = None
        self._sender: LoopbackSender | None = None
        self._refused = 0
        self._restarts = 0
        self._restarted_s = float("-inf")
        self._counted_by_libvlc = 0
        self._window_size = (0, 0)
        self._closed = False

    def start(self) -> None:
        """Start libvlc and wait until it listens; raises :class:`PlayerError`."""
        _limit_arenas()
        self._vlc = _import_vlc()
        self._instance = self._vlc.Instance(*(self._window_options() if self._windowed else HEADLESS_OPTIONS))
        if self._instance is None:
            raise PlayerError(f"libvlc is installed but does not start, probably without its plug-ins: {INSTALL_VLC}")
        if not self._windowed:
            self._memory = PictureMemory(self._vlc, self._count)
        self._play()

    def _window_options(self) -> tuple[str, ...]:
        options = [*WINDOW_OPTIONS, f"--video-title={self._title}"]
        if not display.has_audio(os.environ):
            _log.info("no audio device here: playing without audio")
            options.append("--no-audio")
        if not display.has_graphics_card():
            options.append(DRAWN_BY_CPU)
        return tuple(options)

    def _play(self) -> None:
        port = _free_port()
        vlc, player = self._vlc, self._instance.media_player_new()
        self._media = self._instance.media_new(f"udp://@127.0.0.1:{port}", *self._options)
        player.set_media(self._media)
        self._counted_by_libvlc = 0  # libvlc counts for each media
        if self._memory is not None:
            set_up, clean_up, lock, show = self._memory.callbacks
            vlc.libvlc_video_set_format_callbacks(player, set_up, clean_up)
            vlc.libvlc_video_set_callbacks(player, lock, None, show, None)
        self._media_player = player
        if player.play() != 0:
            raise PlayerError(f"libvlc refused to play udp://@127.0.0.1:{port}")
        if not _wait_until(lambda: _is_bound(port), timeout_s=BIND_TIMEOUT_S):
            self._release()
            raise PlayerError(
                f"libvlc did not open UDP port {port} of 127.0.0.1 within {BIND_TIMEOUT_S:g} s: {INSTALL_VLC}"
            )
        self._sender = LoopbackSender(port)

    def write(self, payloads: Sequence[Payload]) -> None:
        """Send the transport packets of some datagrams to libvlc; datagrams that it does not take are counted."""
        if self._sender is None:  # before the guard, which is held for seconds while libvlc is started again
            self._refused += len(payloads)
            return
        with self._guard:
            if self._sender is None:
                self._refused += len(payloads)
                return
            refused = self._sender.send(payloads)
            self._refused += refused
            if refused < len(payloads):
                self._count.received(time.monotonic())

    def expect_frame(self) -> None:
        """Forget when the last first frame was displayed."""
        self._count_window()
        self._count.expect()

    def poll(self) -> None:
        """Count what a window has displayed; start libvlc's media again where it has ended by itself.

        A restart takes until libvlc listens again, :data:`BIND_TIMEOUT_S` at most.
        """
        self._count_window()
        self._revive()

    def statistics(self) -> PlayerStatistics:
        """Return the counters as of the last :meth:`poll`; never waits for libvlc."""
        count, memory = self._count, self._memory
        width, height = memory.size if memory is not None else self._window_size
        return PlayerStatistics(
            kind="window" if self._windowed else "headless",
            frames_displayed=count.frames,
            first_frame_s=count.first_s,
            last_frame_s=count.last_s,
            last_frame_number=memory.number if memory is not None else None,
            width=width,
            height=height,
            datagrams_refused=self._refused,
            restarts=self._restarts,
        )

    def _count_window(self) -> None:
        """Take over what libvlc has counted: for frames in a window it has no callback."""
        with self._guard:
            if not self._windowed or self._media is None:
                return
            counted = self._vlc.MediaStats()
            self._media.get_stats(counted)
            more = int(counted.displayed_pictures) - self._counted_by_libvlc
            if more > 0:
                self._counted_by_libvlc += more
                self._count.add(more, time.monotonic())
            width, height = self._media_player.video_get_size(0)
            self._window_size = int(width), int(height)

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
            if time.monotonic() - self._restarted_s < RESTART_INTERVAL_S:
                return
            _log.warning("libvlc ended the stream by itself: starting it again")
            self._restarted_s = time.monotonic()
            self._restarts += 1
            self._release()
            try:
                self._play()
            except PlayerError as error:
                _log.warning("%s", error)

    def _release(self) -> None:
        if self._sender is not None:
            self._sender.close()
            self._sender = None
        if self._media_player is not None:
            self._media_player.stop()
            self._media_player.release()
            self._media_player = None
        if self._media is not None:
            self._media.release()  # each media that is not released leaks a thread
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
        import vlc  # noqa: PLC0415 - raises NotImplementedError without the library, which only players need
    except (ImportError, NotImplementedError, OSError) as error:
        raise PlayerError(f"libvlc cannot be loaded ({error}): {INSTALL_VLC}, or watch with --player none") from error
    return vlc


def plugin_folder() -> Path | None:
    """Return libvlc's folder of plug-ins, ``None`` where that cannot be known; raises :class:`PlayerError`."""
    _import_vlc()
    maps = Path("/proc/self/maps")
    found = re.search(r"(/\S+)/libvlc\.so", maps.read_text("utf-8")) if maps.exists() else None
    folder = Path(found[1]) / "vlc" / "plugins" if found else None
    return folder if folder is not None and folder.is_dir() else None


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
    """Return whether a socket is bound to UDP *port*; always true where the system has no /proc."""
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
