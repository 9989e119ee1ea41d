"""Bytes of a playlist as text, without a loss. Pure."""

import codecs
import re

_LINE_END = re.compile(r"\r\n|\r|\n")
_ESCAPED = re.compile("[\udc80-\udcff]")


def decode_untrusted(data: bytes) -> str:
    """Return *data* as text. A byte that is not UTF-8 becomes a surrogate escape; :func:`legible` reads it as Latin-1.

    >>> decode_untrusted(b"\\xef\\xbb\\xbfcaf\\xe9")
    'caf\\udce9'
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    return data.removeprefix(codecs.BOM_UTF8).decode(errors="surrogateescape")


def lines(text: str) -> list[str]:
    """Return the lines of *text*, by any of the three line ends that playlists have.

    Unlike :meth:`str.splitlines`: file names may contain its other separators.
    """
    return _LINE_END.split(text)


def legible(text: str) -> str:
    """Return *text* with each byte that was not UTF-8 read as Windows-1252, of which Latin-1 is a part.

    >>> legible("caf\\udce9")
    'café'
    """
    return _ESCAPED.sub(lambda match: _windows_1252(ord(match[0]) - 0xDC00), text)


def _windows_1252(code: int) -> str:
    try:
        return bytes([code]).decode("cp1252")
    except UnicodeDecodeError:  # five codes are not assigned
        return chr(code)
