"""Files of the web whose index is at their end, from servers that give no part of a file: they are fetched whole.

FFmpeg would read such a file to its end, and then has no way back. Its protocol ``cache:`` does not help: it asks the
server for parts as well (FFmpeg 8, measured). Only FFmpeg's connections are used, so that addresses mean the same.
"""

import contextlib
import errno
import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import av
from av.container import InputContainer

from flume.reader.engine import UnplayableError

SUFFIXES = (".mp4", ".m4v", ".m4a", ".mov", ".3gp", ".3g2", ".qt")

MOST_BYTES = 1 << 30
MOST_S = 8.0
"""The server waits 14 s for an item's first byte."""

HEAD_BYTES = 1 << 20
"""Before the index there are only small boxes."""

PIECE_BYTES = 256 << 10

FIRST_BOXES = frozenset({b"ftyp", b"wide", b"free", b"skip", b"pnot", b"uuid", b"mdat", b"styp"})


class SavedFile:
    """A file without a name in the file system, for PyAV: nothing of it stays if the process is killed."""

    name = "fetched.mp4"

    def __init__(self) -> None:
        """Make an empty one. Raises :class:`OSError`."""
        # The module loads hashlib and OpenSSL: megabytes that hardly any item needs.
        self._file = import_module("tempfile").TemporaryFile()
        self.read, self.write, self.seek, self.tell = (
            self._file.read,
            self._file.write,
            self._file.seek,
            self._file.tell,
        )
        self.close = self._file.close


def index_comes_last(head: bytes) -> bool | None:
    """Whether the file that begins with *head* is MP4 with its index at the end; ``None``: *head* is too short to say.

    >>> index_comes_last(bytes([0, 0, 0, 8]) + b"ftyp" + bytes([0, 0, 0, 99]) + b"mdat")
    True
    """
    at = 0
    while at + 16 <= len(head):
        size, kind = int.from_bytes(head[at : at + 4], "big"), head[at + 4 : at + 8]
        if kind == b"mdat":
            return True
        if kind not in FIRST_BOXES or size in range(2, 8) or size == 0:
            return False
        at += int.from_bytes(head[at + 8 : at + 16], "big") if size == 1 else size
    return head[at + 4 : at + 8] == b"mdat" or (None if at < HEAD_BYTES else False)


def fetched_whole(address: str, name: str, options: dict[str, str], *, timeout_s: float) -> SavedFile | None:
    """Return the file at *address* if it has to be fetched whole; else ``None``.

    *options*: FFmpeg's, of the protocol. Raises :class:`UnplayableError` if it is too large or too slow for that, and
    FFmpeg's errors.
    """
    began_s = time.monotonic()
    with _connection(address, options, timeout_s=timeout_s) as container:
        pieces = _pieces(container)
        head = b""
        while (last := index_comes_last(head)) is None and (piece := next(pieces, b"")):
            head += piece
        if not last or _gives_parts(address, options, container.size, timeout_s=timeout_s):
            return None
        return _saved(head, pieces, name, began_s)


def _connection(address: str, options: dict[str, str], *, timeout_s: float, offset: int = 0) -> InputContainer:
    # FFmpeg's format "data" is the bytes as they come.
    options = options | {"raw_packet_size": str(PIECE_BYTES), "offset": str(offset)}
    return av.open(address, format="data", options=options, timeout=(timeout_s, timeout_s))


def _pieces(container: InputContainer) -> Iterator[bytes]:
    packets: Iterator[Any] = container.demux()
    return (bytes(packet) for packet in packets if packet.size)


def _gives_parts(address: str, options: dict[str, str], size: int, *, timeout_s: float) -> bool:
    with (
        contextlib.suppress(av.error.FFmpegError, OSError),
        _connection(address, options, timeout_s=timeout_s, offset=max(1, size - 16)),
    ):
        return True
    return False


def _saved(head: bytes, pieces: Iterator[bytes], name: str, began_s: float) -> SavedFile:
    file: SavedFile | None = None
    try:
        file = SavedFile()
        size = file.write(head)
        for piece in pieces:
            size += file.write(piece)
            if size > MOST_BYTES:
                raise _too_much(name, f"it has more than {MOST_BYTES >> 20} MiB")
            if time.monotonic() - began_s > MOST_S:
                raise _too_much(name, f"only {size >> 20} MiB came within {MOST_S:g} s")
        file.seek(0)
    except BaseException as error:
        if file is not None:
            file.close()
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise _too_much(name, "there is too little space for temporary files") from error
        raise
    return file


def _too_much(name: str, reason: str) -> UnplayableError:
    return UnplayableError(
        f"{name} has its index at its end, and its server gives no parts of files, so it is fetched whole: {reason}."
        " Use another server, or write the file with -movflags +faststart"
    )
