"""What strangers may read of a source's name: no password, no key in a query. Pure."""

import re

_ADDRESS = re.compile(
    r"""(?P<scheme>\b[a-z][a-z0-9+.-]*://)(?:[^\s/?#@'"]*@)?(?P<place>[^\s?#'"]*)(?:[?#][^\s'"]*)?""", re.I
)


def without_secrets(text: str) -> str:
    """Return *text* with its addresses cut down to host and path.

    >>> without_secrets("http://me:secret@cam.lan/live.ts?key=42#t=1: timed out")
    'http://cam.lan/live.ts: timed out'
    """
    return _ADDRESS.sub(_shorten, text)


def _shorten(match: re.Match[str]) -> str:
    tail = ":" if match[0].endswith(":") and not match["place"].endswith(":") else ""
    return match["scheme"] + match["place"] + tail
