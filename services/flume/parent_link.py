"""The child's side of :mod:`flume.child_process`, and the frames in which both sides speak.

A child may be one of many: this module imports nothing that takes megabytes, such as subprocess, ctypes and typing
(2 MB).
"""

import contextlib
import fcntl
import io
import os
import resource
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Sequence

MESSAGE, DATA = 0, 1
"""Kinds of a frame: a message in JSON, or bytes of a stream."""

MAX_FRAME_BYTES = 16 << 20

DEFERRED_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM})
"""Ctrl-C in a terminal, ``systemctl stop`` and the like reach every process. The parent decides what it means."""

NAME_BYTES = 15
"""Longest name of a process (proc(5), ``comm``)."""

_HEADER = struct.Struct(">BI")


class NoFrameError(Exception):
    """The bytes that came are no frame."""


class FrameBuffer:
    """Cuts a stream of bytes into frames: kinds and bytes.

    >>> buffer = FrameBuffer()
    >>> buffer.feed(pack(DATA, b"ab")[:4]), buffer.feed(pack(DATA, b"ab")[4:])
    ([], [(1, b'ab')])
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._bytes = bytearray()

    def feed(self, data: bytes | memoryview) -> list[tuple[int, bytes]]:
        """Return the frames that *data* completes; raises :class:`NoFrameError` for bytes that are no frame."""
        self._bytes += data
        frames, at = [], 0
        while len(self._bytes) - at >= _HEADER.size:
            kind, length = _HEADER.unpack_from(self._bytes, at)
            if kind > DATA or length > MAX_FRAME_BYTES:
                raise NoFrameError
            end = at + _HEADER.size + length
            if len(self._bytes) < end:
                break
            frames.append((kind, bytes(self._bytes[at + _HEADER.size : end])))
            at = end
        del self._bytes[:at]
        return frames


def pack(kind: int, data: bytes) -> bytes:
    """Return *data* as one frame."""
    return _HEADER.pack(kind, len(data)) + data


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
        for number in DEFERRED_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, DEFERRED_SIGNALS)
        _die_with_the_writer_of(lifeline)
        with contextlib.suppress(OSError), io.FileIO("/proc/self/comm", "w") as comm:
            comm.write(name.encode()[:NAME_BYTES])
        self._guard = threading.Lock()

    def start(self, on_message: Callable[[bytes], None]) -> None:
        """Call *on_message* with each message, in a thread of its own."""
        threading.Thread(target=self.run, args=(on_message,), name="parent", daemon=True).start()

    def run(self, on_message: Callable[[bytes], None]) -> None:
        """Call *on_message* with each message, in this thread; never returns.

        Ends the process once the parent has gone, and with status 1 when *on_message* raises.
        """
        buffer = FrameBuffer()
        try:
            while data := self._receive():
                for _kind, message in buffer.feed(data):
                    on_message(message)
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
