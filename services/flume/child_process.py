"""A part of a program that runs in a process of its own: it may crash, hang or grow, and the program goes on.

libvlc and FFmpeg read and show what strangers made, in C. Each runs behind one :class:`ChildProcess`, which speaks with
it over one socket pair, in frames: a kind of one byte, a length of four, the bytes. The other end of the pair is the
child's :class:`ParentLink`. The child ends by itself once the parent has gone, however the parent ended.
"""

import contextlib
import ctypes
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

MESSAGE, DATA = 0, 1
"""Kinds of a frame: a message in JSON, or bytes of a stream."""

MAX_FRAME_BYTES = 16 << 20
SOCKET_BYTES = 512 << 10
"""What the pair holds in each direction: with the kernel's default of 208 KiB, a stream of 60 Mbit/s wakes both sides
more than thirty times a second."""

KILL_WAIT_S = 2.0
"""A process that was killed is gone after milliseconds, unless the kernel itself waits for a device."""

_HEADER = struct.Struct(">BI")
_PR_SET_NAME = 15


class Frame(NamedTuple):
    """One frame: *kind* is :data:`MESSAGE` or :data:`DATA`."""

    kind: int
    data: bytes


class ChildEndedError(Exception):
    """The other process has ended, or closed its end. The text says how, for people."""


class FrameBuffer:
    """Cuts a stream of bytes into frames.

    >>> buffer = FrameBuffer()
    >>> buffer.feed(pack(DATA, b"ab")[:4]), buffer.feed(pack(DATA, b"ab")[4:])
    ([], [Frame(kind=1, data=b'ab')])
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that *data* completes; raises :class:`ChildEndedError` for bytes that are no frame."""
        self._bytes += data
        frames, at = [], 0
        while len(self._bytes) - at >= _HEADER.size:
            kind, length = _HEADER.unpack_from(self._bytes, at)
            if kind > DATA or length > MAX_FRAME_BYTES:
                raise ChildEndedError("sent bytes that are no frame")
            end = at + _HEADER.size + length
            if len(self._bytes) < end:
                break
            frames.append(Frame(kind, bytes(self._bytes[at + _HEADER.size : end])))
            at = end
        del self._bytes[:at]
        return frames


def pack(kind: int, data: bytes) -> bytes:
    """Return *data* as one frame."""
    return _HEADER.pack(kind, len(data)) + data


class ChildProcess:
    """The parent's side: ``python -m MODULE`` in a process of its own.

    One thread sends and receives; :meth:`kill` and :attr:`pid` are for any thread.

    Example::

        child = ChildProcess("flume.reader", memory_bytes=2 << 30)
        child.send(b'{"play":"film.mp4"}')
        frame = child.receive(timeout_s=1)  # raises ChildEndedError once it has ended
        child.kill()
    """

    def __init__(self, module: str, *, memory_bytes: int | None = None) -> None:
        """Start it. *memory_bytes* bounds its private memory (RLIMIT_DATA, setrlimit(2)); ``None``: no bound."""
        self._socket, theirs = socket.socketpair()
        with theirs:
            for end in (self._socket, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
            arguments = [str(theirs.fileno()), str(memory_bytes or 0)]
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                # What this program imports from; the few arenas bound what glibc keeps for C threads that have ended.
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "MALLOC_ARENA_MAX": "2"},
            )
        self._socket.setblocking(False)  # noqa: FBT003 - the socket's own signature
        self._buffer = FrameBuffer()
        self._frames: list[Frame] = []

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

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
            waiting.poll(max(timeout_s, 0) * 1000)
            try:
                data = self._socket.recv(SOCKET_BYTES)
            except BlockingIOError:
                return None
            except OSError:
                data = b""
            if not data:
                raise ChildEndedError(self._how_it_ended())
            self._frames = self._buffer.feed(data)
            self._frames.reverse()
        return self._frames.pop() if self._frames else None

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


class ParentLink:
    """The child's side. The process ends as soon as the parent has gone.

    Example::

        link = ParentLink(sys.argv, name="flume-reader")
        link.start(on_message)  # called in a thread of its own
        link.send(MESSAGE, b'{"ready":true}')
    """

    def __init__(self, arguments: Sequence[str], *, name: str) -> None:
        """Take over the descriptor and the bound of memory in *arguments*, and be *name* in lists of processes."""
        self._socket = socket.socket(fileno=int(arguments[1]))
        memory_bytes = int(arguments[2])
        if memory_bytes:
            resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
        # Ctrl-C in a terminal reaches every process in it. The parent decides what it means, and closes the pair.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)
        self._guard = threading.Lock()

    def start(self, on_message: Callable[[bytes], None]) -> None:
        """Call *on_message* with each message, in a thread of its own."""
        threading.Thread(target=self._run, args=(on_message,), name="parent", daemon=True).start()

    def _run(self, on_message: Callable[[bytes], None]) -> None:
        buffer = FrameBuffer()
        with contextlib.suppress(OSError):
            while data := self._socket.recv(65536):
                for frame in buffer.feed(data):
                    on_message(frame.data)
        os._exit(0)  # the parent has gone: no clean-up of a C library that may hang

    def send(self, kind: int, data: bytes) -> None:
        """Send one frame; waits while the parent does not read. From any thread."""
        with self._guard:
            try:
                self._socket.sendall(pack(kind, data))
            except OSError:
                os._exit(0)
