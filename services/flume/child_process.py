"""A part of a program that runs in a process of its own: it may crash, hang or grow, and the program goes on.

libvlc and FFmpeg read and show what strangers made, in C. Each runs behind one :class:`ChildProcess`, which speaks with
it over one socket pair, in frames: a kind of one byte, a length of four, the bytes. The other end of the pair is the
child's :class:`ParentLink`. The child ends once the parent has gone, however the parent ended, and also where it hangs
or is stopped then: the kernel kills it.
"""

import contextlib
import ctypes
import fcntl
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
from typing import NamedTuple, NoReturn

MESSAGE, DATA = 0, 1
"""Kinds of a frame: a message in JSON, or bytes of a stream."""

MAX_FRAME_BYTES = 16 << 20
SOCKET_BYTES = 512 << 10
"""What the pair holds in each direction: with the kernel's default of 208 KiB, a stream of 60 Mbit/s wakes both sides
more than thirty times a second."""

KILL_WAIT_S = 2.0
"""A process that was killed is gone after milliseconds, unless the kernel itself waits for a device."""

_DEFERRED = {signal.SIGINT, signal.SIGTERM}
"""Ctrl-C in a terminal, ``systemctl stop`` and the like reach every process. The parent decides what it means."""

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
        self._buffer = FrameBuffer()
        self._frames: list[Frame] = []

    @staticmethod
    def _start(module: str, link: int, memory_bytes: int, lifeline: int) -> "subprocess.Popen[bytes]":
        # -P: no module in the present folder is taken for one of Python's.
        command = [sys.executable, "-P", "-m", module, str(link), str(memory_bytes), str(lifeline)]
        # What this program imports from; the few arenas bound what glibc keeps for C threads that have ended.
        path = os.pathsep.join(folder or "." for folder in sys.path)
        environment = {"PYTHONPATH": path, "MALLOC_ARENA_MAX": "2"}
        # The child inherits the mask, and so is not interrupted before it can ignore these signals.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _DEFERRED)
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
        lifeline, self._lifeline = self._lifeline, -1
        if lifeline >= 0:
            os.close(lifeline)


class ParentLink:
    """The child's side. The process ends as soon as the parent has gone.

    Example::

        link = ParentLink(sys.argv, name="flume-reader")
        link.start(on_message)  # called in a thread of its own
        link.send(MESSAGE, b'{"ready":true}')
    """

    def __init__(self, arguments: Sequence[str], *, name: str) -> None:
        """Take over the descriptors and the bound of memory in *arguments*, and be *name* in lists of processes."""
        link, memory_bytes, lifeline = map(int, arguments[1:4])
        self._socket = socket.socket(fileno=link)
        if memory_bytes:
            resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
        for number in _DEFERRED:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _DEFERRED)
        _die_with_the_writer_of(lifeline)
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)
        self._guard = threading.Lock()

    def start(self, on_message: Callable[[bytes], None]) -> None:
        """Call *on_message* with each message, in a thread of its own."""
        threading.Thread(target=self.run, args=(on_message,), name="parent", daemon=True).start()

    def run(self, on_message: Callable[[bytes], None]) -> NoReturn:
        """Call *on_message* with each message, in this thread.

        Ends the process once the parent has gone, and with status 1 when *on_message* raises.
        """
        buffer = FrameBuffer()
        try:
            while data := self._receive():
                for frame in buffer.feed(data):
                    on_message(frame.data)
        except Exception:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)  # the parent has gone: no clean-up of a C library that may hang

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(65536)
        except OSError:
            return b""

    def send(self, kind: int, data: bytes) -> None:
        """Send one frame; waits while the parent does not read. From any thread."""
        with self._guard:
            try:
                self._socket.sendall(pack(kind, data))
            except OSError:
                os._exit(0)


def _die_with_the_writer_of(pipe: int) -> None:
    """Let the kernel kill this process once no process holds the other end of *pipe*, into which nothing is written.

    That works also while this process is stopped or hangs. PR_SET_PDEATHSIG would not do: it follows the end of the
    parent's *thread*.
    """
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
