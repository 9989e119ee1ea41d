"""The server's end of the reader: a process that plays one item at a time, with deadlines, and a new one after a fault.

Nothing that an item does to FFmpeg or libvlc reaches the server: a crash ends the process, a hang meets a deadline,
memory meets a bound. Then the process is killed and another one started, which takes a quarter of a second.
"""

import contextlib
import time
from pathlib import Path

import msgspec

from flume.child_process import MESSAGE, ChildEndedError, ChildProcess
from flume.reader.messages import Ended, Event, Failed, Play, decode_event_untrusted, encode

OPEN_TIMEOUT_S = 14.0
"""For the first byte of an item: a little less than the server waits for its first item, and more than FFmpeg waits for
an address, which says better what is wrong."""

PROGRESS_TIMEOUT_S = 14.0
"""For the next bytes, or the end: a disk that has to spin up takes ten seconds."""

STATE_CHECK_S = 0.25
"""How often the kernel is asked whether the process was stopped (SIGSTOP)."""

MEMORY_BYTES = 3 << 30
"""Bound of the reader's private memory: transcoding 4K takes about 1 GiB."""


class ReaderProcess:
    """Plays items in another process. One thread uses it; :meth:`kill` is for any thread.

    Example::

        reader = ReaderProcess()
        reader.play(Play(name="film.mp4", location=b"/media/film.mp4", is_path=True, engine="ffmpeg"))
        while not isinstance(event := reader.receive(timeout_s=0.5), Ended | Failed):
            ...  # None, Opened, or bytes
    """

    def __init__(self, *, memory_bytes: int = MEMORY_BYTES) -> None:
        """Start the process."""
        self._memory_bytes = memory_bytes
        self._child = ChildProcess("flume.reader", memory_bytes=memory_bytes)
        self._deadline_s = float("inf")
        self._was_stopped = False
        self._closed = False
        self.restarts = 0
        """How often the process was replaced because it had ended or hung."""

    @property
    def pid(self) -> int:
        """The process number; another one after each fault."""
        return self._child.pid

    def play(self, item: Play) -> None:
        """Begin *item*; the one before has ended. A process that has ended meanwhile is replaced."""
        if self._child.has_ended:
            self.restarts += 1
            self.stop()
        self._deadline_s = time.monotonic() + OPEN_TIMEOUT_S
        self._child.send(encode(item))

    def receive(self, *, timeout_s: float, wake: int | None = None) -> Event | bytes | None:
        """Return the next event or the next bytes; ``None`` after *timeout_s*, or when *wake* is readable.

        A process that has ended, hangs or was stopped is replaced, and its item has :class:`~.messages.Failed`.
        """
        try:
            frame = self._child.receive(timeout_s=min(timeout_s, STATE_CHECK_S), wake=wake)
            if frame is None:
                self._check()
                return None
            self._was_stopped = False
            self._deadline_s = time.monotonic() + PROGRESS_TIMEOUT_S
            if frame.kind != MESSAGE:
                return frame.data
            event = decode_event_untrusted(frame.data)
        except ChildEndedError as ended:
            return self._fault(f"the reader's process {ended}")
        except msgspec.DecodeError:
            return self._fault("the reader's process sent a message that cannot be read")
        if isinstance(event, Ended | Failed):
            self._deadline_s = float("inf")
        return event

    def _check(self) -> None:
        """Raise :class:`ChildEndedError` if the process hangs or was stopped."""
        if time.monotonic() >= self._deadline_s:
            raise ChildEndedError(f"gave nothing for {PROGRESS_TIMEOUT_S:g} s")
        if self._is_stopped() and self._was_stopped:
            raise ChildEndedError("was stopped")
        self._was_stopped = self._is_stopped()

    def _is_stopped(self) -> bool:
        with contextlib.suppress(OSError, IndexError):
            # proc(5): the state is the first field after the name, which stands in parentheses
            return Path(f"/proc/{self._child.pid}/stat").read_bytes().rpartition(b")")[2].split()[0] in {b"T", b"t"}
        return False

    def _fault(self, reason: str) -> Failed:
        self.restarts += 1
        self.stop()
        return Failed(reason=reason)

    def stop(self) -> None:
        """End the present item at once; the next :meth:`play` finds a process that is ready."""
        self._child.kill()
        self._deadline_s, self._was_stopped = float("inf"), False
        if not self._closed:
            self._child = ChildProcess("flume.reader", memory_bytes=self._memory_bytes)

    def close(self) -> None:
        """End the process for good."""
        self._closed = True
        self._child.kill()
