"""The address of a stream as a person types it into a player. Pure."""

from typing import NamedTuple
from urllib.parse import urlsplit

from flume.control.endpoint import endpoint
from flume.errors import SettingsError

SCHEME = "rtsp://"
USUAL_PORT = 554
"""Of RTSP (RFC 2326, section 3.2): what players take where the address names none."""

_EXAMPLE = "rtsp://HOST:PORT/"


class StreamAddress(NamedTuple):
    """Host and port of a server, and the stream's address as requests name it."""

    host: str
    port: int
    uri: str


def stream_address(text: str) -> StreamAddress:
    """Return what *text* names; raises :class:`SettingsError`.

    >>> stream_address("rtsp://[fd00::2]:5004")
    StreamAddress(host='fd00::2', port=5004, uri='rtsp://[fd00::2]:5004/')
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port or USUAL_PORT
    except ValueError as error:
        raise SettingsError("address", text, f"{_EXAMPLE} ({error})") from error
    if "@" in parts.netloc:
        raise SettingsError("address", "…@…", "give --user and --secret-file: others can read a program's arguments")
    is_plain = text.isascii() and text.isprintable() and " " not in text
    if parts.scheme.lower() != "rtsp" or not host or not is_plain:
        raise SettingsError("address", text, _EXAMPLE)
    host = host.replace("%25", "%")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return StreamAddress(host, port, f"{SCHEME}{endpoint(host.partition('%')[0], port)}{path}")
