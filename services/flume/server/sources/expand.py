"""Expands what people name as sources into items: files, folders, playlists, devices and network addresses.

What can never be played is said at once, and what may change is checked again when each item starts: files come and go
while a server runs for weeks. One bad source or entry costs that item. Only where no item is left is there an error.

A playlist that came from the network names addresses only, none of this host's files, devices or ports.
"""

import contextlib
import logging
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from flume.errors import SourceError
from flume.server.sources import network_entries
from flume.server.sources.fetched import Fetched
from flume.server.sources.fetching import FETCH_TIMEOUT_S, fetch_untrusted
from flume.server.sources.folders import folder_items
from flume.server.sources.items import (
    HTTP_SCHEMES,
    Item,
    UnplayableError,
    address_item,
    file_item,
    is_camera,
    printable,
    problem_of_file,
    reason_of,
    scheme_of,
    shown_address,
)
from flume.server.sources.playlists import formats
from flume.server.sources.playlists.formats import MAX_PLAYLIST_BYTES, SNIFFED_BYTES
from flume.server.sources.playlists.spellings import Spellings, is_file_address, of_file_address, spellings
from flume.server.sources.playlists.values import MAX_ENTRIES, Entry, Playlist
from flume.server.sources.suffixes import kind_of, suffix_of

MAX_PLAYLIST_DEPTH = 4
"""Most levels of playlists in playlists."""

MAX_ITEMS = 100_000
"""Most items in all: playlists in playlists multiply. They take about 50 MB."""

MAX_FETCHES = 16
MAX_FETCHING_S = 24.0
"""Most playlists that are fetched, and how long that may delay the start of the server in all."""

BEHIND_TIMEOUT_S = 1.5
"""How long :func:`items_behind` may take: the server waits for it, and must end within two seconds."""

_PLAYLIST_HINT = re.compile(r"(?i)m3u|[^a-z]pls|xspf|playlist")
"""An address that is named itself and has this in it is asked whether it gives a playlist. Others are not: a stream
that allows one connection at a time would refuse the one that plays."""

Fetch = Callable[..., Fetched]
Chain = tuple[str, ...]

_log = logging.getLogger(__name__)


def expand(sources: Sequence[str], *, fetch: Fetch = fetch_untrusted) -> tuple[Item, ...]:
    """Return the items of *sources* in order. Playlists over HTTP are read by *fetch*, once.

    A source that cannot be played becomes an item with a :attr:`~.items.Item.problem`. Raises
    :class:`~flume.errors.SourceError`, which names the sources and what to do, if no other items are left.

    >>> expand(["rtsp://camera/1"])[0].live
    True
    """
    if not sources:
        raise SourceError("no source given: name a video file, a folder, a playlist or an address")
    expansion = _Expansion(fetch)
    items: list[Item] = []
    errors: list[str] = []
    for source in sources:
        try:
            items += islice(expansion.source(source), MAX_ITEMS + 1 - len(items))
        except UnplayableError as error:
            items.append(_failing(error, source))
            errors.append(str(error))
    if len(items) > MAX_ITEMS:
        _log.warning("the sources have more than %d items: the rest is left out", MAX_ITEMS)
    if all(item.problem for item in items):
        raise SourceError("; ".join(errors) or f"{items[0].shown} {items[0].problem}")
    for text in errors:
        _log.warning("%s", text)
    return tuple(items[:MAX_ITEMS])


def items_behind(item: Item, *, fetch: Fetch = fetch_untrusted) -> tuple[Item, ...]:
    """Return the items of the playlist that the address of *item* gives; none if it gives no playlist.

    For an address that an engine cannot read: radio stations give playlists under any name. It may take
    :data:`BEHIND_TIMEOUT_S`.
    """
    if not item.is_web:
        return ()
    try:
        return tuple(islice(_Expansion(fetch, BEHIND_TIMEOUT_S).items_behind(item), MAX_ITEMS))
    except SourceError:
        return ()


def _failing(error: UnplayableError, source: str, *, title: str = "") -> Item:
    is_path = not scheme_of(error.subject)
    name = shown_address(title or source) if title or scheme_of(source) else printable(Path(source).name or source)
    return Item(name, error.subject, is_path=is_path, live=False if is_path else None, problem=error.predicate)


class _Expansion:
    """One call of :func:`expand`, with what it has spent on fetching."""

    def __init__(self, fetch: Fetch, fetching_s: float = MAX_FETCHING_S) -> None:
        self._fetch, self._max_fetching_s = fetch, fetching_s
        self._fetches = 0
        self._fetching_s = 0.0

    # --- what a person names -----------------------------------------------------------------------------------

    def source(self, source: str) -> Iterator[Item]:
        """Yield the items of *source*, which was named by a person."""
        try:
            if not source.strip():
                raise UnplayableError("''", "is no source: name a video file, a folder, a playlist or an address")
            if is_file_address(source):
                yield from self._path(_resolved(of_file_address(source), Path.cwd(), source), Entry(source), ())
            elif scheme_of(source):
                yield from self._address(source, Entry(source), ())
            else:
                path = _resolved(Spellings((source,), source), Path.cwd(), source)
                yield from self._path(path, Entry(source), ())
        except (OSError, ValueError) as error:  # such as a folder of this process that was deleted
            raise UnplayableError(source, f"cannot be examined ({reason_of(error)}): check its name") from error

    def _path(self, path: Path, entry: Entry, chain: Chain) -> Iterator[Item]:
        found = _stat(path)
        mode = found.st_mode if found else 0
        if found and stat.S_ISDIR(mode):
            yield from folder_items(path)
        elif found and is_camera(found):
            yield address_item(f"v4l2://{path}", title=entry.title)
        elif stat.S_ISREG(mode) and _is_playlist(path, is_named=not chain):
            yield from self._local_playlist(path, entry, chain)
        else:
            problem = None if chain else problem_of_file(path)
            if problem:
                raise UnplayableError(str(path), problem)
            yield file_item(path, title=entry.title, options=entry.options)

    def _address(self, address: str, entry: Entry, chain: Chain) -> Iterator[Item]:
        item = address_item(address, title=entry.title, options=entry.options)
        if scheme_of(address) == "vlc":
            raise UnplayableError(address, "is a command to VLC and no video: remove it")
        asked = _asked(item.location, is_named=not chain)
        behind = self._playlist_at(item.location, chain, may_fail=asked == "perhaps") if asked else None
        if behind is None:
            yield item
        else:
            yield from behind

    # --- playlists ---------------------------------------------------------------------------------------------

    def _local_playlist(self, path: Path, entry: Entry, chain: Chain) -> Iterator[Item]:
        key = os.path.realpath(path)
        _check_chain(key, str(path), chain)
        problem = problem_of_file(path)
        if problem:
            raise UnplayableError(str(path), problem, kind="the playlist")
        try:
            with path.open("rb") as file:
                data = file.read(MAX_PLAYLIST_BYTES + 1)
        except OSError as error:
            predicate = f"cannot be read ({reason_of(error)}): check its permissions"
            raise UnplayableError(str(path), predicate, kind="the playlist") from error
        if len(data) > MAX_PLAYLIST_BYTES:
            predicate = f"has more than {MAX_PLAYLIST_BYTES >> 20} MiB: split it"
            raise UnplayableError(str(path), predicate, kind="the playlist")
        playlist = _parsed(data, str(path), suffix=suffix_of(path.name))
        if playlist.is_hls:  # one stream in segments, which a reader plays as a whole
            yield file_item(path, title=entry.title, options=entry.options)
            return
        for each in _entries(playlist, str(path), folder=path.parent):
            yield from self._guarded(each, self._entry_of_file(each, path.parent, (*chain, key)))

    def _entry_of_file(self, entry: Entry, folder: Path, chain: Chain) -> Iterator[Item]:
        if not entry.may_be_comment and scheme_of(entry.location) and not is_file_address(entry.location):
            yield from self._address(entry.location.strip(), entry, chain)
        else:
            literal = _existing((entry.location,), folder)  # before all spellings are worked out
            yield from self._path(literal or _resolved(spellings(entry), folder, entry.location), entry, chain)

    def items_behind(self, item: Item) -> Iterator[Item]:
        """Yield the items of the playlist that the address of *item* gives."""
        yield from self._playlist_at(item.location, (), may_fail=True) or ()

    def _playlist_at(self, address: str, chain: Chain, *, may_fail: bool) -> Iterator[Item] | None:
        """Return the items of the playlist at *address*; ``None`` if it is a stream, to be read as a whole."""
        _check_chain(address, address, chain)
        try:
            fetched = self._fetched(address)
        except UnplayableError as error:
            if may_fail:
                _log.info("%s", error)
                return None
            raise
        if fetched.data is None or (may_fail and not _gives_playlist(fetched, fetched.data)):
            return None
        suffix = suffix_of(urlsplit(address).path)
        playlist = _parsed(fetched.data, address, suffix=suffix, content_type=fetched.content_type)
        if playlist.is_hls:
            return None
        return self._entries_of_network(playlist, fetched.address, (*chain, address))

    def _entries_of_network(self, playlist: Playlist, base: str, chain: Chain) -> Iterator[Item]:
        for each in _entries(playlist, chain[-1]):
            yield from self._guarded(each, self._entry_of_network(each, base, chain))

    def _entry_of_network(self, entry: Entry, base: str, chain: Chain) -> Iterator[Item]:
        yield from self._address(network_entries.address_of(entry, base), entry, chain)

    def _guarded(self, entry: Entry, items: Iterator[Item]) -> Iterator[Item]:
        """Yield *items* of *entry*; a problem with it costs this entry, not the playlist."""
        try:
            yield from items
        except UnplayableError as error:
            yield _failing(error, entry.location, title=entry.title)
        except (OSError, ValueError) as error:
            predicate = f"cannot be examined ({reason_of(error)}): check its name"
            yield _failing(UnplayableError(entry.location, predicate), entry.location, title=entry.title)

    def _fetched(self, address: str) -> Fetched:
        left_s = self._max_fetching_s - self._fetching_s
        if self._fetches >= MAX_FETCHES or left_s <= 0:
            predicate = f"is not fetched: {self._fetches} playlists were fetched before it, in {self._fetching_s:.0f} s"
            raise UnplayableError(address, predicate)
        begun_s = time.monotonic()
        self._fetches += 1
        try:
            return self._fetch(address, timeout_s=min(FETCH_TIMEOUT_S, left_s))
        finally:
            self._fetching_s += time.monotonic() - begun_s


def _check_chain(key: str, subject: str, chain: Chain) -> None:
    if key in chain:
        raise UnplayableError(subject, "contains itself: remove it from its own entries", kind="the playlist")
    if len(chain) >= MAX_PLAYLIST_DEPTH:
        predicate = f"is {len(chain)} playlists deep: name it itself, or fewer playlists in playlists"
        raise UnplayableError(subject, predicate, kind="the playlist")


def _parsed(data: bytes, subject: str, *, suffix: str, content_type: str = "") -> Playlist:
    try:
        return formats.parse_untrusted(data, suffix=suffix, content_type=content_type)
    except SourceError as error:
        raise UnplayableError(subject, str(error), kind="the playlist") from error


def _entries(playlist: Playlist, subject: str, *, folder: Path | None = None) -> Sequence[Entry]:
    """Return the entries of *playlist*, and say in one line what of it does not apply."""
    entries = [entry for entry in playlist.entries if not entry.may_be_comment or _is_file_like_comment(entry, folder)]
    if not entries:
        raise UnplayableError(subject, "has no entries: write one path or address per line", kind="the playlist")
    parts = []
    if playlist.ignored:
        parts.append(f"options that have no effect here ({_listed(playlist.ignored)})")
    if playlist.refused:
        refused = f"options that are refused ({_listed(playlist.refused)})"
        parts.append(f"{refused}, because a playlist may not write files, open ports or load programs")
    if parts:
        _log.warning("the playlist %s has %s", _shown(subject), ", and ".join(parts))
    if len(entries) > MAX_ENTRIES:
        _log.warning("the playlist %s has more than %d entries: the rest is left out", _shown(subject), MAX_ENTRIES)
    return entries[:MAX_ENTRIES]


def _is_file_like_comment(entry: Entry, folder: Path | None) -> bool:
    return folder is not None and _existing((entry.location, entry.location.strip()), folder) is not None


def _asked(address: str, *, is_named: bool) -> Literal["surely", "perhaps"] | None:
    """Return whether *address* is asked for a playlist, and whether it surely gives one."""
    if scheme_of(address) not in HTTP_SCHEMES:
        return None
    path = urlsplit(address).path
    if kind_of(path) == "playlist" and suffix_of(path) != ".m3u8":
        return "surely"
    # A list of channels has many addresses that end in .m3u8, and each is a stream in segments.
    if is_named and (suffix_of(path) == ".m3u8" or (kind_of(path) is None and _PLAYLIST_HINT.search(address))):
        return "perhaps"
    return None


def _gives_playlist(fetched: Fetched, data: bytes) -> bool:
    return bool(formats.format_of_content_type(fetched.content_type) or formats.sniff_untrusted(data))


def _is_playlist(path: Path, *, is_named: bool) -> bool:
    """Whether the file at *path* is a playlist: by its suffix, or by its content if it is named itself."""
    kind = kind_of(path.name)
    if kind == "foreign_playlist":
        predicate = "is a playlist of a kind that is not read: save it as .m3u, .pls or .xspf"
        raise UnplayableError(str(path), predicate)
    if kind is not None or not is_named:
        return kind == "playlist"
    try:
        with path.open("rb") as file:
            return formats.sniff_untrusted(file.read(SNIFFED_BYTES)) is not None
    except OSError:
        return False


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


def _existing(paths: Sequence[str], folder: Path) -> Path | None:
    """Return the first of *paths*, relative to *folder*, that exists, if only as a link that leads nowhere."""
    for path in paths:
        for absolute in _absolutes(path, folder):
            if os.path.lexists(absolute):
                return absolute
    return None


def _absolutes(path: str, folder: Path) -> Iterator[Path]:
    yield folder / path
    if path.startswith("~"):
        with contextlib.suppress(RuntimeError):  # there is no such user
            yield Path(path).expanduser()


def _resolved(paths: Spellings, folder: Path, written: str) -> Path:
    """Return the absolute path that is meant, whether it exists or not."""
    if not paths.usual:
        raise UnplayableError(written, "names no file: check its spelling")
    return _existing(paths.paths, folder) or list(_absolutes(paths.usual, folder))[-1]


def _shown(subject: str) -> str:
    return shown_address(subject) if scheme_of(subject) else printable(subject)


def _listed(names: Sequence[str], *, most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
