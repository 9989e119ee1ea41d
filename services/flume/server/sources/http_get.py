"""One request over HTTP or HTTPS, whose sockets another thread can shut down. Imported when the first one is made."""

import http.client
import socket
from base64 import b64encode
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from flume.server.sources.fetched import Fetched, FetchError
from flume.server.sources.items import printable
from flume.server.sources.playlists.formats import MAX_PLAYLIST_BYTES, format_of_content_type

_ACCEPTED = "audio/x-mpegurl, application/vnd.apple.mpegurl, audio/x-scpls, application/xspf+xml, */*;q=0.5"


def get_untrusted(address: str, timeout_s: float, sockets: list[socket.socket]) -> Fetched:
    """Return what *address* gives, at most one byte more than a playlist has. Raises :class:`~.fetched.FetchError`.

    *timeout_s* is for each call of a socket. The sockets that are opened go into *sockets*.
    """
    try:
        return _get(address, timeout_s, sockets)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, HTTPError):
            error.close()
        raise FetchError(_reason(error), is_timeout=_is_timeout(error)) from error


def _get(address: str, timeout_s: float, sockets: list[socket.socket]) -> Fetched:
    opener = OpenerDirector()
    for handler in (
        ProxyHandler(),
        HTTPDefaultErrorHandler(),
        HTTPErrorProcessor(),
        HTTPRedirectHandler(),
        _Handler(sockets),
    ):
        opener.add_handler(handler)
    with opener.open(_request(address), timeout=timeout_s) as response:
        content_type = response.headers.get("Content-Type", "")
        is_stream = content_type.startswith(("audio/", "video/")) and not format_of_content_type(content_type)
        data = None if is_stream else response.read(MAX_PLAYLIST_BYTES + 1)
        return Fetched(response.geturl(), content_type, data)


class _Connection(http.client.HTTPConnection):
    """Adds its socket to *opened* once it is connected."""

    def __init__(self, host: str, *, opened: list[socket.socket], **options: Any) -> None:
        super().__init__(host, **options)
        self._opened = opened

    def connect(self) -> None:
        super().connect()
        self._opened.append(self.sock)


class _TlsConnection(_Connection, http.client.HTTPSConnection):
    """The same, and the socket is that of TLS."""


class _Handler(HTTPHandler, HTTPSHandler):
    """Opens connections over HTTP and HTTPS, and keeps their sockets in a list."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        super().__init__()
        self._sockets = sockets

    def http_open(self, req: Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, req, opened=self._sockets)  # type: ignore[arg-type]

    def https_open(self, req: Request) -> http.client.HTTPResponse:
        return self.do_open(_TlsConnection, req, opened=self._sockets)  # type: ignore[arg-type]


def _request(address: str) -> Request:
    """Return the request for *address*. A user and password in it become a header that redirects do not get."""
    parts = urlsplit(address)
    user, at, host = parts.netloc.rpartition("@")
    headers = {"User-Agent": "flumelab", "Accept": _ACCEPTED, "Icy-MetaData": "0"}
    request = Request(parts._replace(netloc=host).geturl(), headers=headers)  # noqa: S310 - only HTTP has a handler
    if at:
        request.add_unredirected_header("Authorization", f"Basic {b64encode(unquote(user).encode()).decode()}")
    return request


def _is_timeout(error: Exception) -> bool:
    return isinstance(getattr(error, "reason", error), TimeoutError)


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return printable(f"HTTP status {error.code} {error.reason}".replace("\n", " "))
    if isinstance(error, URLError) and isinstance(error.reason, OSError):
        return _reason(error.reason)
    if isinstance(error, OSError) and error.strerror:
        return printable(error.strerror)
    return printable(str(error)) or type(error).__name__
