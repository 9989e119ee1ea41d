"""Finds out which format a playlist has, by its content before its suffix. Pure."""

import re
from typing import Literal

from flume.errors import SourceError
from flume.server.sources.playlists import m3u, pls, xspf
from flume.server.sources.playlists.text import decode_untrusted
from flume.server.sources.playlists.values import Playlist

Format = Literal["m3u", "pls", "xspf"]

MAX_PLAYLIST_BYTES = 32 << 20
"""Largest playlist. A hundred thousand entries take about 15 MB."""

SNIFFED_BYTES = 1024
"""As many bytes of a file show what it is."""

_CONTENT_TYPES: dict[str, Format] = {
    "audio/x-mpegurl": "m3u",
    "audio/mpegurl": "m3u",
    "application/x-mpegurl": "m3u",
    "application/mpegurl": "m3u",
    "application/vnd.apple.mpegurl": "m3u",
    "audio/x-scpls": "pls",
    "application/pls+xml": "pls",
    "audio/scpls": "pls",
    "application/xspf+xml": "xspf",
}

_PLS_ROW = re.compile(r"(?im)^\s*(\[playlist\]|file[0-9]+\s*=)")
_WEB_PAGE = re.compile(r"(?is)\s*(<!doctype\s+html|<html[\s>])")
_XML_ROOT = re.compile(r"<(\w{1,20}:)?playlist[\s>]")


def format_of_content_type(content_type: str) -> Format | None:
    """Return the format of a playlist by its MIME type; ``None`` if it is none."""
    return _CONTENT_TYPES.get(content_type.partition(";")[0].strip().lower())


def sniff_untrusted(head: bytes) -> Format | None:
    """Return the format that the first bytes of a file show; ``None`` if they show none.

    >>> sniff_untrusted(b"#EXTM3U\\r\\n")
    'm3u'
    """
    text = decode_untrusted(head[:SNIFFED_BYTES])
    if text.lstrip().upper().startswith("#EXTM3U"):
        return "m3u"
    if _PLS_ROW.search(text):
        return "pls"
    return "xspf" if text.lstrip().startswith("<") and _XML_ROOT.search(text) else None


def parse_untrusted(data: bytes, *, suffix: str = "", content_type: str = "") -> Playlist:
    """Return the playlist in *data*: by its content, else by *content_type*, else by *suffix*.

    Raises :class:`~flume.errors.SourceError`; its text is the end of a sentence that the playlist's name begins.

    >>> parse_untrusted(b"clip.mp4", suffix=".m3u").entries[0].location
    'clip.mp4'
    """
    by_suffix: Format = "xspf" if suffix == ".xspf" else "pls" if suffix == ".pls" else "m3u"
    kind = sniff_untrusted(data) or format_of_content_type(content_type) or by_suffix
    if kind == "xspf":
        return xspf.parse_untrusted(data)
    text = decode_untrusted(data)
    if _WEB_PAGE.match(text):
        raise SourceError("is a web page and no playlist: name the address of the playlist itself")
    return pls.parse_untrusted(text) if kind == "pls" else m3u.parse_untrusted(text)
