"""M3U, extended M3U and M3U8: one path or address a line, directives and comments after #. Pure.

There is no standard. What is read here is what VLC, Kodi, radio stations and lists of television channels write.
"""

import re
from collections.abc import Iterator

from flume.server.sources.playlists import options
from flume.server.sources.playlists.collecting import Collector
from flume.server.sources.playlists.text import lines
from flume.server.sources.playlists.values import Playlist

_HLS = re.compile(r"^#EXT-X-(TARGETDURATION|STREAM-INF|MEDIA-SEQUENCE)", re.MULTILINE)
"""Tags that only segmented streams have; FFmpeg recognises them by the same."""

_ATTRIBUTE = re.compile(r'(?<![A-Za-z-])([A-Za-z-]+)="([^"]*)"')
_REQUEST_ATTRIBUTE = re.compile(r"(?i)(http-)?(user-agent|referr?er)")
_DIRECTIVE = re.compile(r"#(EXT|KODIPROP|PLAYLIST)", re.IGNORECASE)
_HTTP = re.compile(r"(?i)https?://")
_REQUEST_HEADERS = re.compile(r"(?i)(user-agent|referr?er|cookie|origin)=")
_KODI_HEADERS = re.compile(r"(?i)inputstream\.adaptive\.(stream|manifest|common)_headers")


def parse_untrusted(text: str) -> Playlist:
    """Return the playlist in *text*, which :func:`~.text.decode_untrusted` gave.

    >>> parse_untrusted("#EXTM3U\\n#EXTINF:10,A title\\nclip.mp4").entries
    (Entry(location='clip.mp4', title='A title', options=(), is_uri=False, may_be_comment=False),)
    """
    if _HLS.search(text):
        return Playlist((), is_hls=True)
    found = Collector()
    title, wanted = "", list[tuple[str, str]]()
    for line in lines(text):
        entry = line.strip()
        if found.is_full:
            break
        if _DIRECTIVE.match(entry):
            name, _, value = entry.partition(":")
            if name.upper() == "#EXTINF":
                title = _title(value)
            wanted += _options(name.upper(), value)
        elif entry.startswith("#"):
            found.add(line, may_be_comment=True)
        elif entry:
            location, headers = _without_headers(line)
            found.add(location, title=title, wanted=[*wanted, *headers])
            title, wanted = "", []
    return found.playlist()


def _title(value: str) -> str:
    """Return the title of ``#EXTINF:123 logo="a,b",Title``: what follows the first comma outside of quotes."""
    plain = _ATTRIBUTE.sub(lambda match: "_" * len(match[0]), value)
    comma = plain.find(",")
    return value[comma + 1 :] if comma >= 0 else ""


def _options(directive: str, value: str) -> Iterator[tuple[str, str]]:
    match directive:
        case "#EXTVLCOPT":
            yield options.pair(value)
        case "#KODIPROP":
            name, content = options.pair(value)
            yield from options.of_headers(content) if _KODI_HEADERS.fullmatch(name.strip()) else [(name, content)]
        case "#EXTHTTP":
            yield from options.of_json_headers(value)
        case "#EXTINF":  # its other attributes describe a channel
            yield from (found for found in _ATTRIBUTE.findall(value) if _REQUEST_ATTRIBUTE.fullmatch(found[0]))


def _without_headers(line: str) -> tuple[str, list[tuple[str, str]]]:
    """Split ``http://host/film|User-Agent=…``, as Kodi writes it."""
    location, bar, headers = line.partition("|")
    if bar and "=" in headers and (_HTTP.match(location.strip()) or _REQUEST_HEADERS.match(headers)):
        return location, list(options.of_headers(headers.strip()))
    return line, []
