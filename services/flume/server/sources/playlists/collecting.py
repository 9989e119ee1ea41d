"""Collects the entries of a playlist while a parser reads it. Pure."""

from collections.abc import Iterable

from flume.server.sources.playlists.options import choose
from flume.server.sources.playlists.text import legible
from flume.server.sources.playlists.values import MAX_ENTRIES, Entry, Playlist


class Collector:
    """The entries so far, and the names of options that do not apply."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._entries: list[Entry] = []
        self._ignored: dict[str, None] = {}
        self._refused: dict[str, None] = {}

    @property
    def is_full(self) -> bool:
        """Whether no further entry is taken."""
        return len(self._entries) > MAX_ENTRIES

    def add(
        self,
        location: str,
        *,
        title: str = "",
        wanted: Iterable[tuple[str, str]] = (),
        is_uri: bool = False,
        may_be_comment: bool = False,
    ) -> None:
        """Add an entry, with the options that it wants, as pairs of name and value. One without a location is none."""
        if not location.strip() or "\0" in location:
            return
        options = choose(wanted)
        self._ignored |= dict.fromkeys(options.ignored)
        self._refused |= dict.fromkeys(options.refused)
        title = legible(title).strip()
        entry = Entry(location, title, options.applied, is_uri=is_uri, may_be_comment=may_be_comment)
        self._entries.append(entry)

    def playlist(self) -> Playlist:
        """Return what was collected; with more than :data:`MAX_ENTRIES` entries, one entry too many says so."""
        return Playlist(tuple(self._entries), ignored=tuple(self._ignored), refused=tuple(self._refused))
