"""Output of a program that must go on without it: what a full disk or a closed pipe does not take is left out.

A server whose log cannot be written still serves, and a client still plays. The first failure is logged, which shows
where standard error is elsewhere; output begins again once there is room.
"""

import contextlib
import errno
import io
import logging
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any, TextIO

_log = logging.getLogger(__name__)


class LastingOutput:
    """A text stream whose writes never fail: a line is written whole or left out. The rest is as in the stream inside.

    >>> with open("/dev/full", "w") as full:
    ...     LastingOutput(full, "standard error").write("no room\\n")
    8
    """

    def __init__(self, stream: TextIO, name: str) -> None:
        """Write to *stream*, which a person knows as *name*."""
        self._stream, self._name = stream, name
        self._raw = _raw_of(stream)
        self._lock = threading.RLock()
        self._waiting = ""
        self._rest = b""
        """The end of a line whose beginning has been written: it comes first, once there is room."""
        self._has_failed = False
        with self._kept():
            stream.flush()

    def write(self, text: str) -> int:
        """Write *text*, or leave it out."""
        with self._lock:
            self._waiting += text
            if "\n" in text:
                self.flush()
        return len(text)

    def flush(self) -> None:
        """Hand on what has been written, if that is possible."""
        with self._lock, self._kept():
            text, self._waiting = self._waiting, ""
            if self._raw is None:
                self._stream.write(text)
                self._stream.flush()
            else:
                self._write_lines(text.encode(self._stream.encoding, "backslashreplace"))
            self._has_failed = False

    def _write_lines(self, data: bytes) -> None:
        self._finish()
        for line in data.splitlines(keepends=True):
            self._rest = line[self._write_some(line) :]
            self._finish()

    def _finish(self) -> None:
        while self._rest:
            self._rest = self._rest[self._write_some(self._rest) :]

    def _write_some(self, data: bytes) -> int:
        count = None if self._raw is None else self._raw.write(data)
        if count is None:
            raise BlockingIOError(errno.EAGAIN, "its reader does not keep up")
        return count

    def __getattr__(self, name: str) -> Any:
        """Return what the stream inside has."""
        return getattr(self._stream, name)

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            is_new, self._has_failed = not self._has_failed, True
            if is_new and not isinstance(error, BrokenPipeError):  # a reader that has closed its end knows
                _log.warning("%s cannot be written: %s; what it does not take is left out", self._name, error.strerror)

    def give_up(self) -> None:
        """Drop what could not be written."""
        self.flush()
        if self._has_failed:
            drop_unwritten(self._stream)


def drop_unwritten(stream: TextIO) -> None:
    """Drop what *stream* cannot write: Python tries again when it exits, and the exit status would be 120."""
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _raw_of(stream: TextIO) -> io.RawIOBase | None:
    """Return the file behind *stream*, ``None`` where there is none, as in tests.

    Python's own buffer would keep what failed, and mix it with what comes later; with PYTHONUNBUFFERED it has none, and
    would forget the end of a line of which a part was written.
    """
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    return raw if isinstance(raw, io.RawIOBase) else None


@contextlib.contextmanager
def lasting_output() -> Iterator[None]:
    """Let the block go on whatever happens to standard output and standard error. Also a decorator."""
    before = sys.stdout, sys.stderr
    lasting = LastingOutput(sys.stdout, "standard output"), LastingOutput(sys.stderr, "standard error")
    sys.stdout, sys.stderr = lasting
    try:
        yield
    finally:
        for each in lasting:
            each.give_up()
        sys.stdout, sys.stderr = before
