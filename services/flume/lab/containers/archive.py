"""Tar archives as streams: files on their way into and out of containers, in chunks of at most 1 MiB."""

import io
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

_CHUNK_BYTES = 1 << 20
_BLOCK_BYTES = 512  # of the tar format (POSIX ustar)

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in total."""


def pack(files: Mapping[str, Path], *, progress: Progress | None = None) -> Iterator[bytes]:
    """Yield a tar archive of *files* (name in the archive → local file), readable by all users, owned by root.

    Raises :class:`OSError` for a file that becomes shorter meanwhile.
    """
    total = sum(path.stat().st_size for path in files.values())
    done = 0
    for name, path in files.items():
        with path.open("rb") as file:
            info = tarfile.TarInfo(name)
            info.size = size = path.stat().st_size
            info.mode = 0o644
            yield info.tobuf(tarfile.PAX_FORMAT)
            # Exactly as many bytes as the header says, even while another program appends to the file.
            while size and (chunk := file.read(min(size, _CHUNK_BYTES))):
                size -= len(chunk)
                done += len(chunk)
                yield chunk
                if progress is not None:
                    progress(done, total)
            if size:
                raise OSError(f"{path} became shorter while it was read")
            yield bytes(-info.size % _BLOCK_BYTES)
    yield bytes(2 * _BLOCK_BYTES)


class _Reader(io.RawIOBase):
    """A file object over an iterator of chunks, for :mod:`tarfile`."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            try:
                self._rest = next(self._chunks)
            except StopIteration:
                return 0
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def stream(chunks: Iterable[bytes]) -> IO[bytes]:
    """Return a file to read the bytes of *chunks* from, once and from the beginning."""
    return io.BufferedReader(_Reader(chunks), _CHUNK_BYTES)


def unpack_files(chunks: Iterable[bytes], directory: Path) -> list[Path]:
    """Write the regular files of a tar archive flat into *directory*; return them.

    Only the last part of each name is used, so no name can lead out of *directory*. Raises :class:`tarfile.TarError`
    for an archive that is cut off, and :class:`OSError` when the disk is full.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    with tarfile.open(fileobj=stream(chunks), mode="r|") as archive:
        for member in archive:
            source = archive.extractfile(member) if member.isfile() else None
            if source is None:
                continue
            target = directory / Path(member.name).name
            with target.open("wb") as file:
                while chunk := source.read(_CHUNK_BYTES):
                    file.write(chunk)
            written.append(target)
    return written
