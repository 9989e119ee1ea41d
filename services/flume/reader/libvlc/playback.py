"""One item on its way through libvlc into a pipe.

libvlc has two outputs to a pipe (measured). ``access=fd`` writes as fast as the pipe is read: a file waits at no cost
while it is not read, and continues with the very next frame. On live inputs it damages frames, and ``access=stream``
does not.

Three traps shape this module. ``stop()`` returns only when the pipe is drained, and only ``stop()`` writes out what the
multiplexer still holds, the last 0.2 s of a file; so a thread calls it while the caller reads to the end. Events are
not used: calling libvlc from inside an event deadlocks. Each Media that is not released leaks a thread.

**Who frees what.** Player and media belong to the thread that built the :class:`VlcPlayback`, and
:meth:`VlcPlayback.close` releases them there, once, after the thread that stops the player has ended. Every method that
needs them goes through :meth:`VlcPlayback._alive`, which refuses after that.
"""

import contextlib
import fcntl
import os
import select
import threading
from typing import Any, NamedTuple

from flume.reader.libvlc.library import Library
from flume.reader.libvlc.track import VlcTrack

PIPE_BYTES = 256 << 10
"""Size of the pipe. With the kernel's default of 64 KiB, libvlc's writer stalls at high rates."""

READ_BYTES = 64 << 10
POLL_S = 0.02
"""How often libvlc is asked for its state while the pipe is empty."""

FILE_SHAPING_MS = 60
"""How much of a file the multiplexer collects before it writes. The end of a file loses what was being collected: up to
five pictures with the default of 200 ms, two with 60, one with 20. Below the length of an AC-3 frame (48 ms at most)
pictures are lost in the middle: decision 0011 has the figures. Live inputs keep the default, which smooths uneven
arrivals."""

LEAST_WAIT_MS, FILE_WAIT_MS = 1500, 5000
"""libvlc's default, and for files. Each track has a thread of its own: on a busy machine 1.5 s of the picture may be
there before the first audio frame, and the picture is then written alone (1 in 40 starts)."""

PMT_PID = 0x1FFE
"""Where the PIDs of a transport stream are kept, the multiplexer's own PMT keeps away from them."""


class Output(NamedTuple):
    """How libvlc is to write an item."""

    live: bool
    chain: str | None = None
    """What the tracks are transcoded to; ``None``: nothing is."""
    keeps_pids: bool = False
    """Whether the PIDs of the item, a transport stream, stay."""
    waits_ms: int = LEAST_WAIT_MS
    """How much of the item the multiplexer waits for further tracks, before it writes."""
    attempts: int = 1
    """The how manieth attempt this is to begin with all tracks."""

    def options(self, writer: int) -> tuple[str, ...]:
        """Return the options of a media that write it to the descriptor *writer*."""
        settings = [] if self.live else [f"shaping={FILE_SHAPING_MS}"]
        if self.keeps_pids:
            settings += ["es-id-pid", f"pid-pmt={PMT_PID}"]
        access = f"access=stream,dst=/dev/fd/{writer}" if self.live else f"access=fd,dst={writer}"
        first = f"transcode{{{self.chain}}}:" if self.chain else ""
        kept = (":ts-es-id-pid",) if self.keeps_pids else ()
        sout = f":sout=#{first}std{{{access},mux=ts{{{','.join(settings)}}}}}"
        return sout, ":sout-file-append", ":no-sout-spu", f":sout-mux-caching={self.waits_ms}", *kept


class VlcPlayback:
    """One playback, begun when it is built. Call :meth:`read` until it returns ``b""``, and :meth:`close` always."""

    def __init__(self, library: Library, media: Any, player: Any, output: Output) -> None:
        """Play *media* by *player*; both are this object's from here on."""
        self._library = library
        self._media, self._player = media, player
        self._finisher: threading.Thread | None = None
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        with contextlib.suppress(OSError):  # beyond the user's limit for pipes: keep the default size
            fcntl.fcntl(self._reader, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._poll = select.poll()
        self._poll.register(self._reader, select.POLLIN)
        for option in output.options(self._writer):
            media.add_option(option)
        player.set_media(media)
        self.failed = player.play() != 0
        """Whether libvlc reported an error."""

    def _alive(self) -> tuple[Any, Any]:
        if self._player is None:
            raise RuntimeError("this playback was closed, and its player and media are freed")
        return self._player, self._media

    def read(self, *, timeout_s: float = POLL_S) -> bytes | None:
        """Return the next bytes, ``b""`` after the last one, ``None`` if there are none within *timeout_s*."""
        self._poll.poll(max(timeout_s, 0) * 1000)
        try:
            return os.read(self._reader, READ_BYTES)
        except BlockingIOError:
            self._finish_if_over()
            return None

    def _finish_if_over(self) -> None:
        """Ask libvlc for its state, and :meth:`finish` if it has ended, with or without an error."""
        if self._finisher is not None:
            return
        player, _ = self._alive()
        states = self._library.vlc.State
        state = player.get_state()
        self.failed = self.failed or state == states.Error
        if self.failed or state in {states.Ended, states.Stopped}:
            self.finish()

    def tracks(self) -> tuple[VlcTrack, ...]:
        """Return the tracks that the item has announced so far."""
        _, media = self._alive()
        return self._library.tracks(media)

    def seconds(self) -> float | None:
        """Return the item's length; ``None`` where libvlc does not know one."""
        player, media = self._alive()
        # The player forgets the length when it stops; of some streams the media never learns it.
        length_ms = max(int(player.get_length()), int(media.get_duration()))
        return length_ms / 1000 if length_ms > 0 else None

    def seekable(self) -> bool:
        """Return whether another place of the item can be read: of what is live, none can."""
        player, _ = self._alive()
        return bool(player.is_seekable())

    def finish(self) -> None:
        """Let libvlc write what it still holds and close the pipe; the caller reads on until ``b""``."""
        if self._finisher is None:
            player, _ = self._alive()
            arguments = (player, self._writer)
            self._finisher = threading.Thread(target=_stop, args=arguments, name="flume-vlc-stop", daemon=True)
            self._finisher.start()

    def close(self) -> None:
        """Drop what is left and free everything. A second call does nothing.

        Waits for libvlc without a limit: a thread of it that hangs may use what would be freed, and the server ends
        this process.
        """
        if self._player is None:
            return
        self.finish()
        waiting = select.poll()
        waiting.register(self._reader, select.POLLIN)
        while True:
            waiting.poll()
            with contextlib.suppress(BlockingIOError):
                if not os.read(self._reader, READ_BYTES):
                    break
        if self._finisher is not None:
            self._finisher.join()
        player, media = self._player, self._media
        self._player = self._media = None
        player.release()
        media.release()
        os.close(self._reader)


def _stop(player: Any, writer: int) -> None:
    player.stop()
    os.close(writer)
