"""Pictures beside a report, as text inside the page.

A name or a file that is not what it should be is said, not shown.
"""

import base64
from pathlib import Path
from typing import NamedTuple

MOST_BYTES = 1_900_000
"""Of all pictures of a page, as files: in base64 2.5 MB, so that page and time lines stay below 5 MB."""


class Picture(NamedTuple):
    """A picture file: its content as *uri*, or the *problem* why the page has none."""

    name: str
    uri: str | None
    problem: str | None


class Album:
    """Reads the pictures of one page from its folder, and keeps all of them together within :data:`MOST_BYTES`."""

    def __init__(self, folder: Path | None, most_bytes: int = MOST_BYTES) -> None:
        """Pictures are in *folder* or below; None: there is no folder, and every picture is absent."""
        self._folder = None if folder is None else folder.resolve()
        self._left = most_bytes

    def picture_untrusted(self, name: str) -> Picture:
        """Return the picture of this *name*, which comes from a report, and may be anything. Raises nothing."""
        try:
            content = self._read_untrusted(name)
        except _AbsentError as error:
            return Picture(name, None, str(error))
        kind = _kind_untrusted(content)
        if kind is None:
            return Picture(name, None, "it is no PNG, JPEG or WebP picture")
        self._left -= len(content)
        return Picture(name, f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}", None)

    def _read_untrusted(self, name: str) -> bytes:
        """Return the content of the file *name*. Raises :class:`_AbsentError`."""
        if self._folder is None:
            raise _AbsentError("the page was made without its folder")
        try:
            path = (self._folder / name).resolve()
            if not path.is_relative_to(self._folder):
                raise _AbsentError("it is outside the report's folder")
            if not path.is_file():  # a pipe would never end
                raise _AbsentError("there is no such file")
            if path.stat().st_size > self._left:
                raise _AbsentError("the page would become too large; it is beside the report")
            return path.read_bytes()
        except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
            raise _AbsentError("it cannot be read") from error


class _AbsentError(Exception):
    """Why a picture is not in the page."""


def _kind_untrusted(content: bytes) -> str | None:
    """Return the media type of a picture by its first bytes; None for anything else."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    return "image/webp" if content.startswith(b"RIFF") and content[8:12] == b"WEBP" else None
