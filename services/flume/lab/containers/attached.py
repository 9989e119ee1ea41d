"""The standard input and output of a running container: commands in, lines out. It owns the attached socket."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO

from flume.errors import EngineError

_HEADER = struct.Struct(">BxxxL")
"""Before each frame (Docker Engine API, ContainerAttach): stream kind, 1 stdout or 2 stderr, and length."""

STDOUT, STDERR = 1, 2
_PASS_ON_TIMEOUT_S = 5.0
"""Until the engine has passed on the last input and ended the attachment: 2 ms here."""
_MAX_LINE_BYTES = 1 << 20
"""Our programs print no longer line. A longer one is cut there, so that memory stays bounded."""


def frames(reader: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield (stream kind, data) from *reader* until its end, or until it is closed by another thread."""
    with contextlib.suppress(ConnectionError, ValueError):  # ValueError: closed by us
        while len(header := reader.read(_HEADER.size)) == _HEADER.size:
            kind, length = _HEADER.unpack(header)
            yield kind, reader.read(length)


def frames_until_lost(reader: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield what :func:`frames` does; a host that can no longer be reached (ETIMEDOUT, EHOSTUNREACH) ends it too."""
    with contextlib.suppress(OSError):
        yield from frames(reader)


class LineSplitter:
    """Joins the pieces of a stream into lines, wherever it was cut.

    >>> splitter = LineSplitter()
    >>> list(splitter.feed(b"first\\nsec")), list(splitter.feed(b"ond\\n"))
    (['first'], ['second'])
    """

    def __init__(self) -> None:
        """Start with an empty rest."""
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[str]:
        """Yield the lines that *data* completes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _MAX_LINE_BYTES:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            yield line.decode(errors="replace").rstrip("\r")

    def end(self) -> Iterator[str]:
        """Yield the text after the last newline, if any."""
        if self._rest:
            yield self._rest.decode(errors="replace")
            self._rest = b""


class AttachedIo:
    """One attachment to a container. A thread reads its output; lines go to *on_line* (stdout) and *on_error*."""

    def __init__(
        self,
        name: str,
        stream: socket.socket,
        reader: BinaryIO,
        on_line: Callable[[str], None],
        on_error: Callable[[str], None],
        *,
        input_only: bool = False,
    ) -> None:
        """Take over *stream*, the socket on which the engine has switched to raw frames, and its *reader*.

        The reader has read the HTTP answer, and may already hold the first frames. *input_only*: the engine was asked
        for no output; it ends the attachment when it has passed on all input.
        """
        self._name = name
        self._stream = stream
        self._reader = reader
        self._input_only = input_only
        self._send_lock = threading.Lock()
        self._callbacks = {STDOUT: on_line, STDERR: on_error}
        self._thread = threading.Thread(target=self._run, name=f"attached-{name}", daemon=True)
        stream.settimeout(None)
        self._thread.start()

    def write_line(self, line: str) -> None:
        """Write *line* to the container's standard input. Raises :class:`EngineError` if the container has ended."""
        try:
            with self._send_lock:
                self._stream.sendall(line.encode() + b"\n")
        except OSError as error:
            raise EngineError(f"{self._name} no longer takes input ({error}): see its log") from error

    @property
    def ended(self) -> bool:
        """Whether the container's output has ended."""
        return not self._thread.is_alive()

    def close(self) -> None:
        """Detach from the container, which goes on running. Idempotent."""
        another = threading.current_thread() is not self._thread
        if self._input_only and another:
            # Ending both directions at once may overtake the last line inside the engine and proxies.
            self._end(socket.SHUT_WR)
            self._thread.join(timeout=_PASS_ON_TIMEOUT_S)
        self._end(socket.SHUT_RDWR)
        if another:
            self._thread.join(timeout=5)  # the thread closes both files, so that neither is closed during a read

    def _end(self, direction: int) -> None:
        with contextlib.suppress(OSError):
            self._stream.shutdown(direction)

    def __enter__(self) -> "AttachedIo":
        """Return itself."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close."""
        self.close()

    def _run(self) -> None:
        """Read frames until the container ends or :meth:`close` is called."""
        with self._stream, self._reader:
            self._deliver()

    def _deliver(self) -> None:
        """Call the callback of each line."""
        splitters = {kind: LineSplitter() for kind in self._callbacks}
        for kind, data in frames_until_lost(self._reader):
            if kind in splitters:
                for line in splitters[kind].feed(data):
                    self._callbacks[kind](line)
        for kind, splitter in splitters.items():
            for line in splitter.end():
                self._callbacks[kind](line)
