"""Which files an entry of a playlist may mean. Pure.

Programs write the name of one file in many ways: percent-encoded, as a ``file:`` address, in Latin-1, with the
backslashes and drive letters of Windows, with accents as characters of their own (macOS). So an entry has several
spellings, and the first one that exists is meant; what is written, unchanged, comes first.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from flume.server.sources.playlists.text import legible
from flume.server.sources.playlists.values import Entry

_FILE_ADDRESS = re.compile(r"(?is)\s*file:(?://([^/\\]*))?(.*)")
_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
_DRIVE = re.compile(r"/?[A-Za-z]:[/\\]+")

MAX_PATH = 3 * 4096
"""Longest path that exists, percent-encoded (PATH_MAX of Linux). A longer entry has one spelling."""


class Spellings(NamedTuple):
    """Paths, relative or absolute. *usual* is meant if none of *paths* exists; it is empty if there are none."""

    paths: tuple[str, ...]
    usual: str


def spellings(entry: Entry) -> Spellings:
    """Return the paths that *entry* may mean, the likeliest first.

    >>> spellings(Entry("100%25.mp4")).paths
    ('100%25.mp4', '100%.mp4')
    """
    return _spellings(entry.location, is_uri=entry.is_uri)


def is_file_address(source: str) -> bool:
    """Whether *source* is a ``file:`` address, with one slash or more."""
    match = _FILE_ADDRESS.fullmatch(source)
    return match is not None and (match[1] is not None or match[2].startswith("/"))


def of_file_address(source: str) -> Spellings:
    """Return the paths that a ``file:`` address may mean.

    >>> of_file_address("file:///a%20b.mp4").usual
    '/a b.mp4'
    """
    return _spellings(source, is_uri=True)


def _spellings(location: str, *, is_uri: bool) -> Spellings:
    written = [location, location.strip()]
    if is_file_address(location):
        written, is_uri = list(_bodies(location)), True
    elif written[1][:5].lower() == "file:":  # without a slash: written by hand
        written.append(written[1][5:])
    if len(location) > MAX_PATH:
        return Spellings(tuple(_distinct(written)), written[-1])
    decoded = [_decoded(text) for text in written]
    paths = _distinct([*written, *decoded])
    paths = _distinct([*paths, *map(legible, paths)])
    paths = _distinct([*paths, *(text for path in paths for text in _windows(path))])
    paths = _distinct([*paths, *(unicodedata.normalize(form, path) for path in paths for form in ("NFC", "NFD"))])
    usual = decoded[-1] if is_uri or _is_encoded(written[-1]) else written[-1]
    return Spellings(tuple(paths), usual if usual in paths else next(iter(paths), ""))


def _is_encoded(text: str) -> bool:
    """Whether *text* looks percent-encoded as a whole: it has codes, and nothing that would need one."""
    return text.isascii() and text.isprintable() and " " not in text and _ENCODED.search(text) is not None


def _bodies(location: str) -> Iterator[str]:
    """Yield the path of a ``file:`` address: whole, because a name may contain ? and #, then up to these."""
    match = _FILE_ADDRESS.fullmatch(location)
    if match is None:
        return
    host, path = match[1] or "", match[2]
    # Two slashes instead of three: the name is where a host belongs.
    body = path if path.strip("/\\") and not re.fullmatch(r"[A-Za-z]:", host) else host + path
    yield body
    yield body.strip()
    yield re.split(r"[?#]", body.strip(), maxsplit=1)[0]


def _decoded(text: str) -> str:
    return unquote_to_bytes(text.encode(errors="surrogateescape")).decode(errors="surrogateescape")


def _windows(path: str) -> Iterator[str]:
    """Yield *path* with slashes; from a drive, every end of it, because the folder was copied from there."""
    plain = path.replace("\\", "/")
    yield plain
    drive = _DRIVE.match(path)
    if drive:
        parts = [part for part in path[drive.end() :].replace("\\", "/").split("/") if part]
        yield from ("/".join(parts[first:]) for first in range(len(parts)))


def _distinct(paths: Iterable[str]) -> list[str]:
    return [path for path in dict.fromkeys(paths) if path and "\0" not in path]
