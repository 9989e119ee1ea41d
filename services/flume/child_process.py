"""A part of a program that runs in a process of its own: it may crash, hang or grow, and the program goes on.

libvlc and FFmpeg read and show what strangers made, in C. Each runs behind one :class:`ChildProcess`, which speaks with
it over one socket pair, in frames: a kind of one byte, a length of four, the bytes. The other end of the pair is the
child's :class:`~flume.parent_link.ParentLink`. The child ends once the parent has gone, however the parent ended, and
also where it hangs or is stopped then: the kernel kills it.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
from typing import NamedTuple

from flume.parent_link import DATA, DEFERRED_SIGNALS, MESSAGE, FrameBuffer, NoFrameError, ParentLink, pack

__all__ = ["DATA", "MESSAGE", "ChildEndedError", "ChildProcess", "Frame", "ParentLink", "pack"]

SOCKET_BYTES = 512 << 10
"""What the pair holds in each direction: with the kernel's default of 208 KiB, a stream of 60 Mbit/s wakes both sides
more than thirty times a second."""

RECEIVED_BYTES = 128 << 10
"""What is read at once, into the same memory each time."""

KILL_WAIT_S = 2.0
"""A process that was killed is gone after milliseconds, unless the kernel itself waits for a device."""


class Frame(NamedTuple):
    """One frame: *kind* is :data:`MESSAGE` or :data:`DATA`."""

    kind: int
    data: bytes


class ChildEndedError(Exception):
    """The other process has ended, or closed its end. The text says how, for people."""


class ChildProcess:
    """The parent's side: ``python -m MODULE`` in a process of its own.

    One thread receives; :meth:`send`, :attr:`pid` and :meth:`kill` are for any thread, nothing follows :meth:`kill`.

    Example::

        child = ChildProcess("flume.reader", memory_bytes=2 << 30)
        child.send(b'{"play":"film.mp4"}')
        frame = child.receive(timeout_s=1)  # raises ChildEndedError once it has ended
        child.kill()
    """

    def __init__(self, module: str, *, memory_bytes: int | None = None) -> None:
        """Start it; raises ``OSError`` where no process can be started.

        *memory_bytes* bounds its private memory (RLIMIT_DATA, setrlimit(2)); ``None``: no bound.
        """
        self._socket, theirs = socket.socketpair()
        held, self._lifeline = os.pipe()
        try:
            for end in (self._socket, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
            self._process = self._start(module, theirs.fileno(), memory_bytes or 0, held)
        except OSError:
            self._socket.close()
            os.close(self._lifeline)
            raise
        finally:
            theirs.close()
            os.close(held)
        self._socket.setblocking(False)  # noqa: FBT003 - the socket's own signature
        self._received = memoryview(bytearray(RECEIVED_BYTES))
        self._buffer = FrameBuffer()
        self._frames: list[tuple[int, bytes]] = []

    @staticmethod
    def _start(module: str, link: int, memory_bytes: int, lifeline: int) -> "subprocess.Popen[bytes]":
        # -P: no module in the present folder is taken for one of Python's.
        command = [sys.executable, "-P", "-m", module, str(link), str(memory_bytes), str(lifeline)]
        # What this program imports from; the few arenas bound what glibc keeps for C threads that have ended.
        path = os.pathsep.join(folder or "." for folder in sys.path)
        environment = {"PYTHONPATH": path, "MALLOC_ARENA_MAX": "2"}
        # The child inherits the mask, and so is not interrupted before it can ignore these signals.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, DEFERRED_SIGNALS)
        try:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, pass_fds=(link, lifeline), env=os.environ | environment
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def fileno(self) -> int:
        """Return the descriptor that is readable when a frame has come."""
        return self._socket.fileno()

    def send(self, message: bytes) -> None:
        """Send one message; dropped if the process has ended: :meth:`receive` says so."""
        with contextlib.suppress(OSError):
            # Commands are short: a full buffer means that the process reads none, which its caller's deadline finds.
            self._socket.send(pack(MESSAGE, message))

    def receive(self, *, timeout_s: float, wake: int | None = None) -> Frame | None:
        """Return the next frame; ``None`` after *timeout_s*, or when the descriptor *wake* is readable.

        Raises :class:`ChildEndedError` when the process has ended and all its frames were returned.
        """
        if not self._frames:
            waiting = select.poll()
            waiting.register(self._socket, select.POLLIN)
            if wake is not None:
                waiting.register(wake, select.POLLIN)
            if not waiting.poll(max(timeout_s, 0) * 1000):
                return None
            try:
                count = self._socket.recv_into(self._received)
            except BlockingIOError:
                return None
            except OSError:
                count = 0
            if not count:
                raise ChildEndedError(self._how_it_ended())
            try:
                self._frames = self._buffer.feed(self._received[:count])
            except NoFrameError:
                raise ChildEndedError("sent bytes that are no frame") from None
            self._frames.reverse()
        return Frame(*self._frames.pop()) if self._frames else None

    def _how_it_ended(self) -> str:
        try:
            status = self._process.wait(KILL_WAIT_S)
        except subprocess.TimeoutExpired:
            return "closed its connection"
        if status >= 0:
            return f"ended with status {status}"
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-status).name} (signal {-status})"
        return f"was ended by signal {-status}"

    def kill(self) -> None:
        """End it at once, and free everything; a second call does nothing."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(KILL_WAIT_S)
        self._socket.close()
        lifeline, self._lifeline = self._lifeline, -1
        if lifeline >= 0:
            os.close(lifeline)
