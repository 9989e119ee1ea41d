"""One item on its way through libvlc into a pipe.

libvlc has two outputs to a pipe (measured). ``access=fd`` writes as fast as the pipe is read: a file waits at no cost
while it is not read, and continues with the very next frame. On live inputs it damages frames, and ``access=stream``
does not.

Three traps shape this module. ``stop()`` returns only when the pipe is drained, and only ``stop()`` writes out what the
multiplexer still holds, the last 0.2 s of a file; so a thread calls it while the caller reads to the end. Events are
not used: calling libvlc from inside an event deadlocks. Each Media that is not released leaks a thread.
"""

import contextlib
import fcntl
import os
import select
import threading
import time
from collections.abc import Mapping
from typing import Any

from flume.server.sources.items import Item

PIPE_BYTES = 256 << 10
"""Size of the pipe. With the kernel's default of 64 KiB, libvlc's writer stalls at high rates."""

READ_BYTES = 64 << 10
POLL_S = 0.02
"""How often libvlc is asked for its state while the pipe is empty."""

STOP_TIMEOUT_S = 5.0
"""A network input that hangs is abandoned after this long; its thread ends with the process."""

FILE_SHAPING_MS = 20
"""How much of a file the multiplexer collects before it writes. The end of a file loses what was being collected: up to
five frames with the default of 200 ms, one with this value. The price: keyframes are spread over 40 instead of 200 ms,
with peaks of 1.1 to 1.7 times the rate. Live inputs keep the default, which smooths uneven arrivals."""


class VlcPlayback:
    """One playback, begun when it is built. Call :meth:`read` until it returns ``b""``, then :meth:`dispose`."""

    def __init__(self, vlc: Any, instance: Any, item: Item, chain: str | None, wake: int) -> None:
        """Play *item* by *instance*, through the transcode *chain* if given; :meth:`read` also wakes up by *wake*."""
        self._vlc = vlc
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        with contextlib.suppress(OSError):  # beyond the user's limit for pipes: keep the default size
            fcntl.fcntl(self._reader, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._poll = select.poll()
        self._poll.register(self._reader, select.POLLIN)
        self._poll.register(wake, select.POLLIN)
        new_media = instance.media_new_path if item.is_path else instance.media_new_location
        self._media = new_media(item.location_bytes)
        for option in self._options(item, chain):
            self._media.add_option(option)
        self._player = instance.media_player_new()
        self._player.set_media(self._media)
        self._finisher: threading.Thread | None = None
        self.bytes = 0
        """Read so far."""
        self.failed = self._player.play() != 0
        """Whether libvlc reported an error."""

    def _options(self, item: Item, chain: str | None) -> tuple[str, ...]:
        if item.live:
            output = f"access=stream,dst=/dev/fd/{self._writer},mux=ts"
        else:
            output = f"access=fd,dst={self._writer},mux=ts{{shaping={FILE_SHAPING_MS}}}"
        first = f"transcode{{{chain}}}:" if chain else ""
        return (
            f":sout=#{first}std{{{output}}}",
            ":sout-file-append",
            ":no-sout-spu",
            *(f":{option}" for option in item.options),
        )

    def read(self, *, timeout_s: float) -> bytes | None:
        """Return the next bytes, ``b""`` after the last one, ``None`` if there are none within *timeout_s*."""
        self._poll.poll(max(timeout_s, 0) * 1000)
        try:
            data = os.read(self._reader, READ_BYTES)
        except BlockingIOError:
            self._finish_if_over()
            return None
        self.bytes += len(data)
        return data

    def _finish_if_over(self) -> None:
        """Ask libvlc for its state, and :meth:`finish` if it has ended, with or without an error."""
        if self._finisher is not None:
            return
        states = self._vlc.State
        state = self._player.get_state()
        self.failed = self.failed or state == states.Error
        if self.failed or state in {states.Ended, states.Stopped}:
            self.finish()

    def tracks(self) -> Mapping[str, str]:
        """Return the item's tracks: "video", "audio" or "text" by four-character code."""
        names = {self._vlc.TrackType.video: "video", self._vlc.TrackType.audio: "audio"}
        rows = [(track.codec, names.get(track.type, "text")) for track in self._media.tracks_get() or ()]
        return {code.to_bytes(4, "little").decode("latin-1"): kind for code, kind in rows}

    def finish(self) -> None:
        """Let libvlc write what it still holds and close the pipe; the caller reads on until ``b""``."""
        if self._finisher is None:
            self._finisher = threading.Thread(target=self._finish, name="flume-vlc-stop", daemon=True)
            self._finisher.start()

    def _finish(self) -> None:
        self._player.stop()
        self._player.release()
        self._media.release()
        os.close(self._writer)

    def dispose(self) -> bool:
        """Drop what is left and free everything; return whether libvlc stopped in time."""
        self.finish()
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        drained = False
        while not drained and time.monotonic() < deadline_s:
            with contextlib.suppress(BlockingIOError):
                drained = os.read(self._reader, READ_BYTES) == b""
                continue
            # Not the shared poll object: its wake-up descriptor stays readable after close().
            select.select([self._reader], [], [], POLL_S)
        if drained and self._finisher is not None:
            self._finisher.join(STOP_TIMEOUT_S)
            os.close(self._reader)
        return drained
