"""What a playlist says, whatever its format."""

from collections.abc import Sequence
from typing import NamedTuple

MAX_ENTRIES = 100_000
"""Most entries of one playlist; what follows is left out. The largest lists of television channels have fewer."""


class Entry(NamedTuple):
    """One entry as it is written: nothing is decoded, resolved or checked yet."""

    location: str
    """A path or an address; a byte that is not UTF-8 is a surrogate escape."""
    title: str = ""
    options: tuple[str, ...] = ()
    """The options that apply, as ``name=value``."""
    is_uri: bool = False
    """Whether the format says that the location is percent-encoded."""
    may_be_comment: bool = False
    """Whether it is an entry only if a file of this name exists, because it begins with #."""


class Playlist(NamedTuple):
    """The entries of a playlist, and the names of options that do not apply."""

    entries: Sequence[Entry]
    is_hls: bool = False
    """Whether it is a stream in segments (HTTP live streaming, RFC 8216), which a reader plays as a whole."""
    ignored: tuple[str, ...] = ()
    """Names of options that do not apply here."""
    refused: tuple[str, ...] = ()
    """Names of options that would write a file, open a port or run something."""
