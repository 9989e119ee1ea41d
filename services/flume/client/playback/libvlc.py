"""libvlc as it runs in the player's process: the only module of the client that knows its functions.

Transport packets come to libvlc over a UDP port of the loopback interface: of libvlc's inputs, only this one follows
the server's clock. One media player lives as long as its process. An interruption is silence to it. When datagrams come
again, libvlc finds them late against its clock and takes the next PCR as its new one (``vlc_options.MEDIA_OPTIONS``).
Measured, that loses nothing; stopping and starting the media loses 0.3 s and a keyframe.

Nothing is ever stopped or released: the process ends instead. So no object is used after it was given back, and no
``stop()`` can hang.

Without a screen, pictures go to memory (:mod:`flume.client.playback.pictures`), where each is counted as it is drawn.
In a window libvlc itself counts them.

The functions are declared here as in libvlc 3's headers. python-vlc declares all 300, which takes 4 MB and 50 ms in
each process.
"""

import ctypes
import socket
import time
from collections import deque
from collections.abc import Callable

from flume.client.playback.frame_count import FrameCount
from flume.client.playback.packages import INSTALL_VLC
from flume.client.playback.pictures import CLEAN_UP, LOCK, SET_UP, SHOW, PictureMemory, Shown
from flume.errors import PlayerError

LIBRARY = "libvlc.so.5"
"""Of libvlc 3; that of libvlc 4 has another number, and another interface."""

BIND_TIMEOUT_S = 8.0
"""libvlc binds its port 10 to 30 ms after play(); on a host with one busy core it takes seconds."""

STOPPED, ENDED, ERROR = 5, 6, 7
"""libvlc_state_t, libvlc_media.h."""

DISPLAYED_PICTURES = 8
"""libvlc_media_stats_t, libvlc_media.h: fifteen numbers of four bytes; this is the index of i_displayed_pictures."""

MOST_SHOWN = 4096
"""Pictures recorded between two reports: a fifth of a second. Beyond that the oldest are forgotten."""

_Statistics = ctypes.c_int * 15
_OBJECT, _TEXT, _INT = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
_SIZE = ctypes.POINTER(ctypes.c_uint)

_FUNCTIONS = {
    "libvlc_new": (_OBJECT, _INT, ctypes.POINTER(_TEXT)),
    "libvlc_media_new_location": (_OBJECT, _OBJECT, _TEXT),
    "libvlc_media_add_option": (None, _OBJECT, _TEXT),
    "libvlc_media_get_stats": (_INT, _OBJECT, ctypes.POINTER(_Statistics)),
    "libvlc_media_player_new_from_media": (_OBJECT, _OBJECT),
    "libvlc_media_player_play": (_INT, _OBJECT),
    "libvlc_media_player_get_state": (_INT, _OBJECT),
    "libvlc_video_get_size": (_INT, _OBJECT, ctypes.c_uint, _SIZE, _SIZE),
    "libvlc_video_set_format_callbacks": (None, _OBJECT, SET_UP, CLEAN_UP),
    "libvlc_video_set_callbacks": (None, _OBJECT, LOCK, _OBJECT, SHOW, _OBJECT),
}
"""What each function returns, and what it takes."""


class Playback:
    """One media player that plays what comes to :attr:`port`; one thread calls its methods."""

    def __init__(
        self,
        *,
        windowed: bool,
        instance_options: list[str],
        media_options: list[str],
        buffer_s: float,
        record: bool = False,
    ) -> None:
        """Start libvlc and wait until it listens; raises :class:`PlayerError`.

        *buffer_s* is its own buffer, as in *media_options*. *record*: keep each picture's time for :meth:`take_shown`.
        """
        self._shown: deque[Shown] | None = deque(maxlen=MOST_SHOWN) if record and not windowed else None
        self.count = FrameCount(buffer_s=buffer_s)
        self._vlc = vlc = load()
        arguments = (_TEXT * len(instance_options))(*(option.encode() for option in instance_options))
        instance = vlc.libvlc_new(len(arguments), arguments)
        if not instance:
            raise PlayerError(f"libvlc is installed but does not start, probably without its plug-ins: {INSTALL_VLC}")
        self.port = _free_port()
        location = f"udp://@127.0.0.1:{self.port}"
        self._media = vlc.libvlc_media_new_location(instance, location.encode())
        for option in media_options:
            vlc.libvlc_media_add_option(self._media, option.encode())
        self._player = vlc.libvlc_media_player_new_from_media(self._media)
        self._counted_by_libvlc = 0
        self._memory = None if windowed else PictureMemory(self.count, self._shown)
        if self._memory is not None:
            set_up, clean_up, lock, show = self._memory.callbacks
            vlc.libvlc_video_set_format_callbacks(self._player, set_up, clean_up)
            vlc.libvlc_video_set_callbacks(self._player, lock, None, show, None)
        if vlc.libvlc_media_player_play(self._player) != 0:
            raise PlayerError(f"libvlc refused to play {location}")
        if not _wait_until(lambda: _is_bound(self.port), timeout_s=BIND_TIMEOUT_S):
            raise PlayerError(f"libvlc did not open {location} within {BIND_TIMEOUT_S:g} s: {INSTALL_VLC}")

    def take_count(self) -> None:
        """Take over what libvlc has counted in a window: for frames there it has no callback."""
        if self._memory is not None:
            return
        counted = _Statistics()
        self._vlc.libvlc_media_get_stats(self._media, ctypes.byref(counted))
        more = counted[DISPLAYED_PICTURES] - self._counted_by_libvlc
        if more > 0:
            self._counted_by_libvlc += more
            self.count.add(more, time.monotonic())

    def take_shown(self) -> list[Shown]:
        """Return the pictures displayed since the last call, in their order; nothing where none are recorded."""
        shown = self._shown
        return [] if shown is None else [shown.popleft() for _ in range(len(shown))]

    @property
    def has_ended(self) -> bool:
        """Whether libvlc has ended the stream by itself."""
        return self._vlc.libvlc_media_player_get_state(self._player) in {STOPPED, ENDED, ERROR}

    @property
    def number(self) -> int | None:
        """The test card's frame number in the latest picture, if it shows one; ``None`` in a window."""
        return self._memory.number if self._memory is not None else None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, 0 before the first picture."""
        if self._memory is not None:
            return self._memory.size
        width, height = ctypes.c_uint(), ctypes.c_uint()
        self._vlc.libvlc_video_get_size(self._player, 0, ctypes.byref(width), ctypes.byref(height))
        return width.value, height.value


def load() -> ctypes.CDLL:
    """Return the library with its functions declared; raises :class:`PlayerError` without it."""
    try:
        library = ctypes.CDLL(LIBRARY)
        for name, (result, *arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise PlayerError(f"libvlc cannot be loaded ({error}): {INSTALL_VLC}, or watch with --player none") from error
    return library


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_bound(port: int) -> bool:
    """Return whether a socket is bound to UDP *port*; always true where the system has no /proc."""
    try:
        with open("/proc/self/net/udp", encoding="ascii") as table:  # noqa: PTH123 - pathlib takes half a megabyte
            return any(line.split()[1].endswith(f":{port:04X}") for line in table)
    except OSError:
        return True


def _wait_until(condition: Callable[[], bool], *, timeout_s: float) -> bool:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.005)
    return True
