"""The address of another server as a source: ``flume://host:port``. Pure."""

import re
from typing import NamedTuple

from flume.control.endpoint import endpoint, without_brackets
from flume.errors import SettingsError
from flume.settings import DEFAULT_PORT

SCHEME = "flume://"
_FORM = f"{SCHEME}HOST or {SCHEME}HOST:PORT, such as {SCHEME}192.0.2.7 or {SCHEME}[2001:db8::7]:5004"
_PLACE = re.compile(r"(?P<host>\[[^\[\]@/?#\s]+\]|[^\[\]@:/?#\s]+)(?::(?P<port>[0-9]{1,5}))?/?")


class UpstreamAddress(NamedTuple):
    """A server; an IPv6 address has no brackets, and its interface behind ``%``."""

    host: str
    port: int

    @property
    def text(self) -> str:
        """How it is written.

        >>> UpstreamAddress("::1", 5004).text
        'flume://[::1]:5004'
        """
        return SCHEME + endpoint(self.host, self.port)


def is_upstream(source: str) -> bool:
    """Return whether *source* names another server of this kind, rightly written or not.

    >>> is_upstream("FLUME://server"), is_upstream("film.mp4")
    (True, False)
    """
    return source.lower().startswith(SCHEME)


def parse_upstream(source: str) -> UpstreamAddress:
    """Return the server that *source* names; raises :class:`~flume.errors.SettingsError`.

    >>> parse_upstream("flume://[fe80::1%25eth0]")
    UpstreamAddress(host='fe80::1%eth0', port=5004)
    """
    match = _PLACE.fullmatch(source[len(SCHEME) :]) if is_upstream(source) else None
    if match is None:
        raise SettingsError("source", source, _FORM)
    host, port = without_brackets(match["host"]), int(match["port"] or DEFAULT_PORT)
    if not host or not 1 <= port <= 65_535:
        raise SettingsError("source", source, _FORM)
    return UpstreamAddress(host, port)


def one_upstream(sources: tuple[str, ...]) -> UpstreamAddress | None:
    """Return the server that *sources* name, ``None`` where they are videos; raises :class:`SettingsError` for both.

    >>> one_upstream(("a.mp4", "b.mp4")) is None
    True
    """
    if not any(is_upstream(source) for source in sources):
        return None
    if len(sources) > 1:
        first = next(source for source in sources if is_upstream(source))
        raise SettingsError("source", first, "alone: a relay has one upstream, and plays no videos beside it")
    return parse_upstream(sources[0])
