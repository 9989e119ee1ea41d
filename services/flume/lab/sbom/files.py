"""The files of an image that its list of contents is made from, out of the engine's tar archives. Pure."""

import posixpath
import tarfile
from collections.abc import Callable, Iterator
from typing import IO

_MOST_LINKS = 8
"""In a row: more are a circle."""


class ImageFiles:
    """The names of an image's files, and the contents of those that *wanted* names."""

    def __init__(self, wanted: Callable[[str], bool]) -> None:
        """Start empty; *wanted* is asked about each absolute path."""
        self._wanted = wanted
        self._contents: dict[str, bytes] = {}
        self._links: dict[str, str] = {}

    def add(self, archive: IO[bytes], folder: str) -> None:
        """Add the files of the tar *archive* of the image's *folder*, whose names begin with that of the folder.

        Raises :class:`tarfile.TarError` for an archive that is cut off.
        """
        above = posixpath.dirname(folder)
        with tarfile.open(fileobj=archive, mode="r|") as tar:
            for member in tar:
                path = posixpath.normpath(posixpath.join(above, member.name))
                if member.issym():
                    self._links[path] = posixpath.normpath(posixpath.join(posixpath.dirname(path), member.linkname))
                elif member.isfile():
                    content = tar.extractfile(member) if self._wanted(path) else None
                    self._contents[path] = content.read() if content else b""

    def paths(self) -> Iterator[str]:
        """Yield the paths of all files, in order."""
        yield from sorted(self._contents)

    def text(self, path: str) -> str | None:
        """Return the text at *path*, behind symbolic links of the file or of its folder; ``None`` if there is none."""
        for _ in range(_MOST_LINKS):
            if path in self._contents:
                return self._contents[path].decode(errors="replace")
            folder, name = posixpath.split(path)
            if path in self._links:
                path = self._links[path]
            elif folder in self._links:
                path = posixpath.join(self._links[folder], name)
            else:
                return None
        return None
