"""The bytes of datagrams on the disk, beside the facts, which have digests alone."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from flume.errors import LabError
from flume.lab.evidence.datagrams import packets_untrusted


class Store:
    """The transport packets of datagrams, by their identity, in a file. Close it with ``with``."""

    def __init__(self, path: Path) -> None:
        """Make the file *path*."""
        self._path = path
        # Not buffered: a full disk is then an error of the write that it stops, and not of a later one.
        self._file = path.open("wb+", buffering=0)
        self._places: dict[bytes, tuple[int, int]] = {}
        self._end = 0

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the file."""
        self._file.close()

    def keep(self, identity: bytes, data: bytes) -> None:
        """Take a datagram. Raises :class:`LabError` when it cannot be written."""
        packets = packets_untrusted(data)
        try:
            self._file.seek(self._end)
            if self._file.write(packets) != len(packets):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise LabError(f"{self._path} cannot be written: {error.strerror}; make room there") from error
        self._places[identity] = self._end, len(packets)
        self._end += len(packets)

    def packets(self, identity: bytes) -> bytes:
        """Return the transport packets of a datagram that was kept."""
        start, size = self._places[identity]
        self._file.seek(start)
        return self._file.read(size)

    def write(self, identities: Iterable[bytes], path: Path) -> Path:
        """Write the packets of *identities*, one behind the other, to *path*, and return it."""
        with path.open("wb") as file:
            for identity in identities:
                file.write(self.packets(identity))
        return path
