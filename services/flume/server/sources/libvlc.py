"""libvlc as the source: every item becomes MPEG-TS in a pipe. The server's only importer of ``vlc``.

How libvlc writes into the pipe, and which of its traps shape that, is in :mod:`flume.server.sources.vlc_playback`.
"""

import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from flume.errors import SourceError
from flume.server.sources.items import Item, problem_of
from flume.server.sources.source import ItemEnded, ItemFailed, ItemStarted, SourceEnded, SourceEvent, TsBytes
from flume.server.sources.vlc_log import VlcLog
from flume.server.sources.vlc_playback import POLL_S, STOP_TIMEOUT_S, VlcPlayback

LEAST_ITEM_BYTES = 7 * 188
"""An item has begun with this many bytes. Tables alone are no item: they fill three packets."""

RETRY_FIRST_S, RETRY_MAX_S = 1.0, 10.0
"""Pauses before a live input is tried again: they double with each failure in a row, up to the second figure."""

VIDEO_CHAIN = "vcodec=h264,venc=x264{preset=veryfast,keyint=50,profile=main},vb=4000"
AUDIO_CHAIN = "acodec=mp4a,ab=128,channels=2,samplerate=48000"
"""Codecs that MPEG-TS cannot carry are transcoded to these, which every player decodes."""

_log = logging.getLogger(__name__)


def _load_vlc() -> ModuleType:
    """Import python-vlc. Where libvlc is missing it raises NotImplementedError, AttributeError or OSError."""
    try:
        import vlc  # noqa: PLC0415 - a server that only prints its help needs no libvlc
    except (ImportError, NotImplementedError, OSError, AttributeError) as error:
        raise SourceError(
            "libvlc is not usable here: install it (Debian: apt-get install libvlc5 vlc-plugin-base libvlc-bin) "
            f"and python-vlc (pip install 'flumelab[server]'); seen: {error or type(error).__name__}"
        ) from error
    module: ModuleType = vlc
    return module


class VlcSource:
    """Plays *items* one after the other, repeatedly if *loop*. A :class:`~.source.Source`.

    *transcode* is a libvlc transcode chain such as ``vcodec=h264,vb=2000,scale=0.5``. Without it, streams are not
    transcoded, except those that MPEG-TS cannot carry. Raises :class:`~flume.errors.SourceError` if there are no items
    or libvlc cannot be used.

    Example::

        source = VlcSource(expand(["~/Videos"]), loop=True)
    """

    def __init__(self, items: Sequence[Item], *, loop: bool, transcode: str | None = None) -> None:
        """Load libvlc; nothing is opened before the first :meth:`read`."""
        if not items:
            raise SourceError("no items to play")
        self._items, self._loop, self._transcode = tuple(items), loop, transcode
        self.live = any(item.live for item in items)  # None: taken for a file
        self.name = items[0].name if len(items) == 1 else f"{items[0].name} and {len(items) - 1} more"
        self._vlc: Any = _load_vlc()
        self._log = VlcLog()
        arguments = ("--intf=dummy", "--quiet", "--no-video-title-show", "--no-stats", *self._log.arguments)
        self._instance: Any = self._vlc.Instance(arguments)
        if self._instance is None:
            self._log.close()
            raise SourceError("libvlc does not start: are its plug-ins installed (Debian: vlc-plugin-base)?")
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        self._closed = False
        self._position = 0
        self._chains: dict[Item, str] = {}
        self._playback: VlcPlayback | None = None
        self._started = False
        self._head = b""
        self._events: deque[SourceEvent] = deque()
        self._failures_in_row = 0
        self._ever_played = False
        self._retry_s = 0.0

    # --- reading -----------------------------------------------------------------------------------------------

    def read(self, *, timeout_s: float) -> SourceEvent | None:
        """Return the next event; see :class:`~.source.Source`."""
        deadline_s = time.monotonic() + timeout_s
        with self._lock:
            if not self._closed:
                self._log.trim()
            while not self._closed:
                if self._events:
                    return self._events.popleft()
                left_s = deadline_s - time.monotonic()
                if self._playback is None and not self._begin_next(left_s):
                    return self._events.popleft() if self._events else None
                if self._playback is not None:
                    self._take(self._playback.read(timeout_s=min(max(left_s, 0), POLL_S)))
                if not self._events and time.monotonic() >= deadline_s:
                    return None
        return None

    @property
    def _item(self) -> Item:
        return self._items[self._position % len(self._items)]

    def _begin_next(self, left_s: float) -> bool:
        """Start the next item; return ``False`` if none can be started now. Its reason, if final, is in the events."""
        if self._failures_in_row >= len(self._items) and not (self.live and self._ever_played):
            self._events.append(SourceEnded(f"no item can be played: {self.name}", failed=True))
            return False
        if self._position >= len(self._items) and not self._loop:
            self._events.append(SourceEnded("everything was played, and nothing is repeated"))
            return False
        pause_s = self._retry_s - time.monotonic()
        if pause_s > 0:
            wait = select.poll()
            wait.register(self._wake, select.POLLIN)
            wait.poll(max(0, min(pause_s, left_s)) * 1000)
            return False
        problem = problem_of(self._item)
        if problem is not None:
            self._fail(f"{self._item.shown} {problem}")
            return True
        self._start(self._chains.get(self._item, self._transcode))
        return True

    def _start(self, chain: str | None) -> None:
        self._log.mark()
        self._started, self._head = False, b""
        self._playback = VlcPlayback(self._vlc, self._instance, self._item, chain, self._wake)

    def _take(self, data: bytes | None) -> None:
        if data is None:
            return
        if data == b"":
            self._end_item()
        elif self._started:
            self._events.append(TsBytes(data))
        else:
            self._head += data
            if len(self._head) >= LEAST_ITEM_BYTES and not self._restart_transcoding():
                self._started = self._ever_played = True
                self._failures_in_row = 0
                self._events.extend((ItemStarted(self._item.name), TsBytes(self._head)))
                self._head = b""

    def _end_item(self) -> None:
        failed = self._playback is not None and self._playback.failed
        if not self._started and self._restart_transcoding():
            return
        self._dispose()
        if not self._started:
            self._fail(self._reason())
        elif failed:
            self._fail(f"broke off: {self._log.last_error() or 'libvlc gives no reason'}")
        else:
            self._events.append(ItemEnded(self._item.name))
            self._position += 1

    def _reason(self) -> str:
        error = self._log.last_error()
        detail = f" (libvlc: {error})" if error else ""
        if self._item.is_path:
            return f"{self._item.shown} is not a video that libvlc can read{detail}: try it in a player, or convert it"
        return f"{self._item.name} gives no video{detail}: check the address, and that it is sending"

    def _fail(self, reason: str) -> None:
        _log.debug("libvlc on %s: %s", self._item.name, self._log.lines())
        self._events.append(ItemFailed(self._item.name, reason))
        self._failures_in_row += 1
        if self.live:
            pause_s = min(RETRY_FIRST_S * 2 ** min(self._failures_in_row - 1, 8), RETRY_MAX_S)
            self._retry_s = time.monotonic() + pause_s
        self._position += 1

    def _restart_transcoding(self) -> bool:
        """Begin the item again, transcoded, if the multiplexer refused its video or audio; return whether."""
        rejected = self._log.rejected_codecs()
        if not rejected or self._playback is None or self._transcode or self._item in self._chains:
            return False
        tracks = self._playback.tracks()
        kinds = {tracks.get(code) for code in rejected}
        chain = ",".join(part for kind, part in (("video", VIDEO_CHAIN), ("audio", AUDIO_CHAIN)) if kind in kinds)
        if not chain:
            return False
        codes = ", ".join(sorted(code.strip() for code in rejected))
        _log.warning("%s: MPEG-TS cannot carry %s: it is transcoded, which takes one CPU core", self._item.name, codes)
        self._chains[self._item] = chain
        self._dispose()
        self._start(chain)
        return True

    # --- ending ------------------------------------------------------------------------------------------------

    def _dispose(self) -> None:
        playback, self._playback = self._playback, None
        if playback is not None and not playback.dispose():
            _log.error("libvlc did not stop %s within %g s: it is abandoned", self._item.name, STOP_TIMEOUT_S)

    def stop(self) -> None:
        """Close the input; the next :meth:`read` begins the present item again."""
        with self._lock:
            self._dispose()
            self._events.clear()

    def close(self) -> None:
        """Stop for good and free libvlc; from any thread, any number of times."""
        if not self._closed:
            self._closed = True
            os.eventfd_write(self._wake, 1)
        with self._lock:
            if self._instance is None:
                return
            self._dispose()
            self._instance.release()
            self._instance = None
            self._log.close()
            os.close(self._wake)
