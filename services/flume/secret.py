"""Values that no log, report or exception may show, and texts in which some may be: addresses, errors of engines.

Logs and errors show an address with its query, of which the values that are named like secrets are hidden
(:func:`hide_secrets`). What goes to clients, who are strangers, has no query at all (:func:`hide_queries`).
"""

import contextlib
import re
from urllib.parse import unquote, urlsplit

LEAST_CHARACTERS = 3
"""A shorter password is not looked for in a text: it would be found in words."""

_KEY = r"(?i)([?&;](?:[a-z_-]*(?:pass|pwd|token|secret|auth|key|sig)[a-z_-]*)=)"
_IN_ADDRESS = re.compile(_KEY + r"[^&;#]*")
_IN_TEXT = re.compile(_KEY + r"[^&;#\s'\"]*")
_USER = re.compile(r"(?i)([a-z][a-z0-9+.-]*://)[^\s/?#]*@")
_HIDDEN = r"\1…"
_ADDRESS = re.compile(
    r"""(?P<scheme>\b[a-z][a-z0-9+.-]*://)(?:[^\s/?#@'"]*@)?(?P<place>[^\s?#'"]*)(?:[?#][^\s'"]*)?""", re.IGNORECASE
)


def hide_values(rest: str) -> str:
    """Return *rest* of an address without the values that are named like secrets.

    >>> hide_values("host/a?token=abc&t=1")
    'host/a?token=…&t=1'
    """
    return _IN_ADDRESS.sub(_HIDDEN, rest)


def hide_secrets(text: str, location: str = "") -> str:
    """Return *text* without the secrets of the addresses in it, and without the password of *location* anywhere.

    >>> hide_secrets("cannot open http://ann:pw@host/a?key=1 for 'ann' (hunter2)", "rtsp://ann:hunter2@host/")
    "cannot open http://host/a?key=… for 'ann' (…)"
    """
    text = _IN_TEXT.sub(_HIDDEN, _USER.sub(r"\1", text))
    password: str | None = None
    with contextlib.suppress(ValueError):
        password = urlsplit(location).password
    for spelling in (password or "", unquote(password or "")):
        if len(spelling) >= LEAST_CHARACTERS:
            text = text.replace(spelling, "…")
    return text


def hide_queries(text: str) -> str:
    """Return *text* with the addresses in it cut down to scheme, host and path, for clients.

    A key in a query has any name, and a client needs none to know what plays.

    >>> hide_queries("http://me:secret@cam.lan/live.ts?k=42#t=1: timed out")
    'http://cam.lan/live.ts: timed out'
    """
    return _ADDRESS.sub(_cut, text)


def _cut(match: re.Match[str]) -> str:
    colon = ":" if match[0].endswith(":") and not match["place"].endswith(":") else ""
    return match["scheme"] + match["place"] + colon


class Secret:
    """A text that shows itself only when it is asked to.

    >>> word = Secret("correct horse")
    >>> word, f"{word}", word.reveal()
    (Secret(…), 'Secret(…)', 'correct horse')
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Keep *text*."""
        self._text = text

    def __repr__(self) -> str:
        """Return what says nothing."""
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        """Whether *other* is the same secret."""
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        """Return what dictionaries need."""
        return hash(self._text)

    def reveal(self) -> str:
        """Return the text."""
        return self._text
