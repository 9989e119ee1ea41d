"""Expands what people name as sources into items: files, folders, playlists, devices and network addresses.

A source that is named and cannot exist is refused at once. The contents of a folder or playlist are checked again when
each item starts, because files come and go while a server runs for weeks.
"""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from flume.errors import SourceError

VIDEO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("3gp", "asf", "avi", "divx", "dv", "f4v", "flv", "m2t", "m2ts", "m2v", "m4v", "mjpeg", "mkv", "mov", "mp4"),
        *(
            "mpe",
            "mpeg",
            "mpg",
            "mts",
            "mxf",
            "nut",
            "ogm",
            "ogv",
            "qt",
            "rm",
            "rmvb",
            "ts",
            "vob",
            "webm",
            "wmv",
            "y4m",
        ),
    )
)
"""Files with these suffixes are played from a folder. A file that is named itself is tried whatever its suffix."""

PLAYLIST_SUFFIXES = frozenset({".m3u", ".m3u8"})
MAX_PLAYLIST_BYTES = 8 << 20
MAX_PLAYLIST_DEPTH = 4
"""Most levels of playlists in playlists. Beyond, a playlist is taken to contain itself."""

FILE_SCHEMES = frozenset({"http", "https", "ftp", "ftps", "sftp", "smb"})
"""Schemes of network files, which wait while they are not read. Any other scheme is live and continues."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


class Item(NamedTuple):
    """One playlist item. *location* is an absolute path (*is_path*) or an address that libvlc understands.

    *name* is for logs and ``status``, and has no password in it. *live*: the item continues while it is not read.
    """

    name: str
    location: str
    is_path: bool
    live: bool
    options: tuple[str, ...] = ()


def expand(sources: Sequence[str]) -> tuple[Item, ...]:
    """Return the items of *sources* in order.

    Raises :class:`~flume.errors.SourceError`, which names the source and what to do, if one of them cannot exist.

    >>> expand(["rtsp://camera/1"])
    (Item(name='rtsp://camera/1', location='rtsp://camera/1', is_path=False, live=True, options=()),)
    """
    if not sources:
        raise SourceError("no source given: name a video file, a folder, a playlist or an address")
    return tuple(item for source in sources for item in _expand(source, depth=0, base=None))


def problem_of(item: Item) -> str | None:
    """Return why *item* cannot be read now, as far as the file system knows; ``None`` if it finds no reason."""
    return _problem_of_file(Path(item.location)) if item.is_path else None


def _problem_of_file(path: Path) -> str | None:
    try:
        size, mode = path.stat().st_size, path.stat().st_mode
    except FileNotFoundError:
        return "does not exist: check the path"
    except OSError as error:
        return f"cannot be examined ({error.strerror}): check the path and its permissions"
    if not stat.S_ISREG(mode):
        return "is neither a file nor a folder: name a video file"
    if size == 0:
        return "is empty (0 bytes): did a copy or a recording fail?"
    if not os.access(path, os.R_OK):
        return "may not be read by this user: change its permissions"
    return None


def _expand(source: str, *, depth: int, base: Path | None) -> Iterator[Item]:
    if source.startswith("file://"):
        source = unquote(urlsplit(source).path)
    if _SCHEME.match(source):
        yield _address(source)
        return
    path = (base / source if base else Path(source)).expanduser().absolute()
    if path.is_dir():
        yield from _folder(path)
    elif _is_device(path):
        yield _address(f"v4l2://{path}")
    elif path.suffix.lower() in PLAYLIST_SUFFIXES and path.is_file():
        yield from _playlist(path, depth=depth)
    else:
        problem = _problem_of_file(path) if base is None else None
        if problem:
            raise SourceError(f"{source} {problem}")
        yield _file(path)


def _file(path: Path) -> Item:
    return Item(path.name, str(path), is_path=True, live=False)


def _address(address: str) -> Item:
    parts = urlsplit(address)
    user = parts.netloc.rpartition("@")[0]
    # The name goes to logs and status replies: no password in it. An empty user ("@") tells libvlc to listen here.
    name = address.replace(f"{user}@", "", 1) if user else address
    return Item(name, address, is_path=False, live=parts.scheme.lower() not in FILE_SCHEMES)


def _is_device(path: Path) -> bool:
    try:
        return stat.S_ISCHR(path.stat().st_mode)
    except OSError:
        return False


def _natural(path: Path) -> tuple[tuple[int, str], ...]:
    """Return a sort key by which part2 comes before part10."""
    return tuple((int(run or 0), text.casefold()) for run, text in re.findall(r"(\d*)(\D*)", path.name))


def _folder(path: Path) -> Iterator[Item]:
    try:
        files = [entry for entry in path.iterdir() if entry.suffix.lower() in VIDEO_SUFFIXES and entry.is_file()]
    except OSError as error:
        raise SourceError(f"the folder {path} cannot be read ({error.strerror}): change its permissions") from error
    if not files:
        raise SourceError(f"the folder {path} contains no video: put files such as .mp4, .mkv or .ts into it")
    yield from map(_file, sorted(files, key=_natural))


def _playlist(path: Path, *, depth: int) -> Iterator[Item]:
    if depth == MAX_PLAYLIST_DEPTH:
        raise SourceError(f"the playlist {path} is {depth} playlists deep: does it contain itself?")
    problem = _problem_of_file(path)
    if problem:
        raise SourceError(f"the playlist {path} {problem}")
    try:
        with path.open("rb") as file:
            text = file.read(MAX_PLAYLIST_BYTES).decode("utf-8-sig", "replace")
    except OSError as error:
        raise SourceError(f"the playlist {path} cannot be read: {error.strerror}") from error
    if "#EXT-X-" in text:  # HLS: one stream in segments, which libvlc plays as a whole
        yield _file(path)
        return
    entries = [line.strip() for line in text.splitlines()]
    entries = [entry for entry in entries if entry and not entry.startswith("#") and "\0" not in entry]
    if not entries:
        raise SourceError(f"the playlist {path} has no entries: write one path or address per line")
    for entry in entries:
        yield from _expand(entry, depth=depth + 1, base=path.parent)
