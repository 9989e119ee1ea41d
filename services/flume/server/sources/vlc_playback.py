"""One item on its way through libvlc into a pipe."""

import contextlib
import fcntl
import os
import select
import threading
import time
from collections.abc import Mapping
from typing import Any

from flume.server.sources.playlist import Item

PIPE_BYTES = 256 << 10
"""The kernel's default of 64 KiB makes libvlc's writer stall at high rates."""

READ_BYTES = 64 << 10
POLL_S = 0.02
"""How often libvlc's state is asked while the pipe is empty."""

STOP_TIMEOUT_S = 5.0
"""A network input that hangs is left behind after this long; its thread ends with the process."""

FILM_SHAPING_MS = 20
"""How much the multiplexer collects before it writes. At its end a film loses what was being collected, so the
default of 200 ms costs up to five pictures, this one; where live inputs are concerned the default is left alone,
for it smooths what arrives unevenly. Keyframes are spread over 40 instead of 200 ms: peaks of 1.1 to 1.7 times."""


class VlcPlayback:
    """One item on its way through libvlc into a pipe."""

    def __init__(self, vlc: Any, instance: Any, item: Item, chain: str | None, wake: int) -> None:
        self._vlc = vlc
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        with contextlib.suppress(OSError):  # above the user's limit the default size has to do
            fcntl.fcntl(self._reader, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._poll = select.poll()
        self._poll.register(self._reader, select.POLLIN)
        self._poll.register(wake, select.POLLIN)
        self._media = (
            instance.media_new_path(item.location) if item.is_path else instance.media_new_location(item.location)
        )
        for option in self._options(item, chain):
            self._media.add_option(option)
        self._player = instance.media_player_new()
        self._player.set_media(self._media)
        self._finisher: threading.Thread | None = None
        self.bytes = 0
        self.failed = self._player.play() != 0

    def _options(self, item: Item, chain: str | None) -> tuple[str, ...]:
        if item.live:
            output = f"access=stream,dst=/dev/fd/{self._writer},mux=ts"
        else:
            output = f"access=fd,dst={self._writer},mux=ts{{shaping={FILM_SHAPING_MS}}}"
        first = f"transcode{{{chain}}}:" if chain else ""
        return f":sout=#{first}std{{{output}}}", ":sout-file-append", ":no-sout-spu"

    def read(self, *, timeout_s: float) -> bytes | None:
        """Return the next bytes, ``b""`` after the last one, ``None`` when there is nothing yet."""
        self._poll.poll(max(timeout_s, 0) * 1000)
        try:
            data = os.read(self._reader, READ_BYTES)
        except BlockingIOError:
            self._finish_if_over()
            return None
        self.bytes += len(data)
        return data

    def _finish_if_over(self) -> None:
        """Ask libvlc for its state, and :meth:`finish` where it has come to an end, good or bad."""
        if self._finisher is not None:
            return
        states = self._vlc.State
        state = self._player.get_state()
        self.failed = self.failed or state == states.Error
        if self.failed or state in {states.Ended, states.Stopped}:
            self.finish()

    def tracks(self) -> Mapping[str, str]:
        """Return what the item holds: four-character code to video, audio or text."""
        names = {self._vlc.TrackType.video: "video", self._vlc.TrackType.audio: "audio"}
        rows = [(track.codec, names.get(track.type, "text")) for track in self._media.tracks_get() or ()]
        return {code.to_bytes(4, "little").decode("latin-1"): kind for code, kind in rows}

    def finish(self) -> None:
        """Let libvlc write what it still holds and close the pipe, while the caller reads on until ``b""``."""
        if self._finisher is None:
            self._finisher = threading.Thread(target=self._finish, name="flume-vlc-stop", daemon=True)
            self._finisher.start()

    def _finish(self) -> None:
        self._player.stop()
        self._player.release()
        self._media.release()
        os.close(self._writer)

    def dispose(self) -> bool:
        """Drop what is left and free everything; ``False`` when libvlc did not let go in time."""
        self.finish()
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        drained = False
        while not drained and time.monotonic() < deadline_s:
            with contextlib.suppress(BlockingIOError):
                drained = os.read(self._reader, READ_BYTES) == b""
                continue
            # Not the shared poll: the wake-up descriptor stays readable after close().
            select.select([self._reader], [], [], POLL_S)
        if drained and self._finisher is not None:
            self._finisher.join(STOP_TIMEOUT_S)
            os.close(self._reader)
        return drained
