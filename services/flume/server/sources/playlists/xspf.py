"""XSPF (https://xspf.org/spec), the XML playlist that VLC writes. Pure.

The parser is expat without a document type: a playlist needs none, and only there can entities be declared, the ones
that grow without bound and the ones that read files. Elements are matched without their namespace, because lists
written by hand leave its declaration out.
"""

from collections import defaultdict
from urllib.parse import urljoin
from xml.parsers import expat

from flume.errors import SourceError
from flume.server.sources.playlists import options
from flume.server.sources.playlists.collecting import Collector
from flume.server.sources.playlists.values import Playlist

_READ = frozenset({"location", "title", "option"})
MAX_DEPTH = 64
"""Deepest nesting of elements. XSPF has six levels."""

MAX_TEXT = 64 << 10
"""Most characters of a location, title or option; what follows is left out."""


def parse_untrusted(data: bytes) -> Playlist:
    """Return the playlist in *data*. Raises :class:`~flume.errors.SourceError` with the end of a sentence.

    >>> list = b"<playlist><trackList><track><location>a%20b.mp4</location></track></trackList></playlist>"
    >>> parse_untrusted(list).entries[0].location
    'a%20b.mp4'
    """
    try:
        return _Reading(None).read(data)
    except expat.ExpatError:
        try:
            data.decode()
        except UnicodeDecodeError:  # it is not in the encoding that it declares
            return _translated(data, "iso-8859-1")
        return _translated(data, None)


def _translated(data: bytes, encoding: str | None) -> Playlist:
    try:
        return _Reading(encoding).read(data)
    except expat.ExpatError as error:
        raise SourceError(
            f"is not well-formed XML (line {error.lineno}: {expat.ErrorString(error.code)}): "
            "save it again from the player that wrote it"
        ) from error


class _Reading:
    """One pass of expat over a playlist."""

    def __init__(self, encoding: str | None) -> None:
        self._parser = expat.ParserCreate(encoding)
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._found = Collector()
        self._bases = [""]
        self._open: list[str] = []
        self._texts: dict[str, list[str]] = defaultdict(list)

    def read(self, data: bytes) -> Playlist:
        try:
            self._parser.Parse(data, True)  # noqa: FBT003 - pyexpat takes it by position only
        except (ValueError, LookupError, DeprecationWarning) as error:  # the last: of codecs for Python's own source
            raise SourceError(f"is in an encoding that is not read ({error}): save it as UTF-8") from error
        return self._found.playlist()

    def _doctype(self, *_: object) -> None:
        raise SourceError("has a document type (DOCTYPE), which a playlist does not need: remove that line")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        if len(self._open) == MAX_DEPTH:
            raise SourceError(f"has more than {MAX_DEPTH} elements in one another: it is no playlist")
        self._bases.append(_join(self._bases[-1], attributes.get("xml:base", "")))
        self._open.append(name)
        if name == "track":
            self._texts.clear()
        elif name in _READ:
            self._texts[name].append("")

    def _text(self, text: str) -> None:
        pieces = self._texts.get(self._open[-1])
        if pieces and "track" in self._open and len(pieces[-1]) < MAX_TEXT:
            pieces[-1] += text

    def _end(self, name: str) -> None:
        name = name.rpartition(":")[2]
        if name == "location" and len(self._texts["location"]) == 1:  # further ones are alternatives
            self._texts["location"][0] = _join(self._bases[-1], self._texts["location"][0].strip())
        self._bases.pop()
        self._open.pop()
        if name == "track" and self._texts["location"] and not self._found.is_full:
            self._found.add(
                self._texts["location"][0],
                title=next(iter(self._texts["title"]), ""),
                wanted=[options.pair(text.strip()) for text in self._texts["option"]],
                is_uri=True,
            )


def _join(base: str, location: str) -> str:
    """Return *location* against *base* (``xml:base``), and *location* itself where it is no URI."""
    try:
        return urljoin(base, location) if base else location
    except ValueError:
        return location
