"""Fetches playlists over HTTP, within bounds of size and time."""

import contextlib
import socket
import threading

from flume.server.sources.fetched import Fetched, FetchError
from flume.server.sources.items import UnplayableError
from flume.server.sources.playlists.formats import MAX_PLAYLIST_BYTES

FETCH_TIMEOUT_S = 8.0
"""How long one playlist may take, from its name's look-up to its last byte."""


def fetch_untrusted(address: str, *, timeout_s: float = FETCH_TIMEOUT_S) -> Fetched:
    """Return what the HTTP *address* gives. Raises :class:`~.items.UnplayableError`.

    The socket's own time limit is for each of its calls, and a name's look-up has none, so a thread waits for both. At
    the end of *timeout_s* its sockets are shut down, which ends it.
    """
    request = _Fetch(address, timeout_s)
    request.thread.start()
    request.thread.join(timeout_s)
    result = request.result
    if result is None or (isinstance(result, FetchError) and result.is_timeout):
        request.abort()
        predicate = f"does not answer in full within {timeout_s:.3g} s: check the address, and that its server runs"
        raise UnplayableError(address, predicate)
    if isinstance(result, FetchError):
        predicate = f"cannot be fetched ({result}): check the address, and that its server runs"
        raise UnplayableError(address, predicate) from result
    if result.data is not None and len(result.data) > MAX_PLAYLIST_BYTES:
        raise UnplayableError(address, f"is no playlist: it has more than {MAX_PLAYLIST_BYTES >> 20} MiB")
    return result


class _Fetch:
    """One fetch in a thread of its own, with the sockets that it opened."""

    def __init__(self, address: str, timeout_s: float) -> None:
        self._address, self._timeout_s = address, timeout_s
        self._sockets: list[socket.socket] = []
        self.result: Fetched | FetchError | None = None
        self.thread = threading.Thread(target=self._run, name="flume-playlist", daemon=True)

    def abort(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):  # it is closed
                each.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        # HTTP takes 2 MB of memory: most servers fetch nothing.
        from flume.server.sources.http_get import get_untrusted  # noqa: PLC0415

        try:
            self.result = get_untrusted(self._address, self._timeout_s, self._sockets)
        except FetchError as error:
            self.result = error
