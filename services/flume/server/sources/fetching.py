"""Fetches playlists over HTTP, within bounds of size and time."""

import contextlib
import http.client
import socket
import threading
from base64 import b64encode
from typing import NamedTuple
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

from flume.server.sources.items import UnplayableError, printable
from flume.server.sources.playlists.formats import MAX_PLAYLIST_BYTES, format_of_content_type

FETCH_TIMEOUT_S = 8.0
"""How long one playlist may take, from its name's look-up to its last byte."""

_ACCEPTED = "audio/x-mpegurl, application/vnd.apple.mpegurl, audio/x-scpls, application/xspf+xml, */*;q=0.5"


class Fetched(NamedTuple):
    """What an address gave."""

    address: str
    """After redirects; relative entries are relative to it."""
    content_type: str
    data: bytes | None
    """``None``: it is video or sound by its content type, of which nothing was read."""


def fetch_untrusted(address: str, *, timeout_s: float = FETCH_TIMEOUT_S) -> Fetched:
    """Return what the HTTP *address* gives. Raises :class:`~.items.UnplayableError`.

    The socket's own time limit is for each of its calls, and a name's look-up has none, so a thread waits for both. At
    the end of *timeout_s* its sockets are shut down, which ends it.
    """
    request = _Fetch(address, timeout_s)
    request.thread.start()
    request.thread.join(timeout_s)
    if request.result is None or _is_timeout(request.result):
        request.abort()
        predicate = f"does not answer in full within {timeout_s:.3g} s: check the address, and that its server runs"
        raise UnplayableError(address, predicate)
    if isinstance(request.result, Exception):
        predicate = f"cannot be fetched ({_reason(request.result)}): check the address, and that its server runs"
        raise UnplayableError(address, predicate) from request.result
    if request.result.data is not None and len(request.result.data) > MAX_PLAYLIST_BYTES:
        raise UnplayableError(address, f"is no playlist: it has more than {MAX_PLAYLIST_BYTES >> 20} MiB")
    return request.result


class _Fetch:
    """One fetch in a thread of its own, with the sockets that it opened."""

    def __init__(self, address: str, timeout_s: float) -> None:
        self._address, self._timeout_s = address, timeout_s
        self._sockets: list[socket.socket] = []
        self.result: Fetched | Exception | None = None
        self.thread = threading.Thread(target=self._run, name="flume-playlist", daemon=True)

    def abort(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):  # it is closed
                each.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        try:
            self.result = self._fetch()
        except (OSError, http.client.HTTPException, ValueError) as error:
            if isinstance(error, HTTPError):
                error.close()
            self.result = error

    def _fetch(self) -> Fetched:
        opener = OpenerDirector()
        for handler in (
            ProxyHandler(),
            HTTPDefaultErrorHandler(),
            HTTPErrorProcessor(),
            HTTPRedirectHandler(),
            _Handler(self._sockets),
            _TlsHandler(self._sockets),
        ):
            opener.add_handler(handler)
        with opener.open(_request(self._address), timeout=self._timeout_s) as response:
            content_type = response.headers.get("Content-Type", "")
            is_stream = content_type.startswith(("audio/", "video/")) and not format_of_content_type(content_type)
            data = None if is_stream else response.read(MAX_PLAYLIST_BYTES + 1)
            return Fetched(response.geturl(), content_type, data)


class _Handler(HTTPHandler):
    """Opens connections over HTTP, and keeps their sockets in a list."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        super().__init__()
        self._sockets = sockets

    def http_open(self, req: Request) -> http.client.HTTPResponse:
        sockets = self._sockets

        class Connection(http.client.HTTPConnection):
            def connect(self) -> None:
                super().connect()
                sockets.append(self.sock)

        return self.do_open(Connection, req)


class _TlsHandler(HTTPSHandler):
    """Opens connections over HTTPS, and keeps their sockets in a list."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        super().__init__()
        self._sockets = sockets

    def https_open(self, req: Request) -> http.client.HTTPResponse:
        sockets = self._sockets

        class Connection(http.client.HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                sockets.append(self.sock)

        return self.do_open(Connection, req)


def _request(address: str) -> Request:
    """Return the request for *address*. A user and password in it become a header that redirects do not get."""
    parts = urlsplit(address)
    user, at, host = parts.netloc.rpartition("@")
    headers = {"User-Agent": "flumelab", "Accept": _ACCEPTED, "Icy-MetaData": "0"}
    request = Request(parts._replace(netloc=host).geturl(), headers=headers)  # noqa: S310 - only HTTP has a handler
    if at:
        request.add_unredirected_header("Authorization", f"Basic {b64encode(unquote(user).encode()).decode()}")
    return request


def _is_timeout(result: "Fetched | Exception") -> bool:
    """Whether the time limit of one call of the socket came before that of the whole."""
    return isinstance(getattr(result, "reason", result), TimeoutError)


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return printable(f"HTTP status {error.code} {error.reason}".replace("\n", " "))
    if isinstance(error, URLError) and isinstance(error.reason, OSError):
        return _reason(error.reason)
    if isinstance(error, OSError) and error.strerror:
        return printable(error.strerror)
    return printable(str(error)) or type(error).__name__
