"""The last bytes for connections that have no session, and their end a little later."""

import asyncio
import contextlib
import socket
from collections import deque
from typing import NamedTuple

from flume.control.messages import Event, Reply
from flume.server.fronts.beginnings import farewell

FAREWELLS, FAREWELL_S = 32, 1.0
"""Connections that are turned away are closed after a second, or sooner when there are more of them."""


class _Farewell(NamedTuple):
    """A connection that has had its goodbye."""

    accepted: socket.socket
    until_s: float


class Farewells:
    """The connections of one listener that have had their goodbye. Runs on the event loop."""

    def __init__(self, *, has_tls: bool) -> None:
        """Speak as a server with or without TLS does."""
        self._has_tls = has_tls
        self._waiting: deque[_Farewell] = deque()

    def say(self, accepted: socket.socket, goodbye: Reply | Event, *, is_clear: bool = False) -> None:
        """Say *goodbye*, and close a little later: see :meth:`part`. *is_clear*: the client speaks no TLS."""
        data = farewell(accepted, goodbye, has_tls=self._has_tls and not is_clear)
        with contextlib.suppress(OSError):
            accepted.send(data)
            accepted.shutdown(socket.SHUT_WR)
        self._waiting.append(_Farewell(accepted, asyncio.get_running_loop().time() + FAREWELL_S))
        if len(self._waiting) > FAREWELLS:
            self._part()

    def part(self, *, all_of_them: bool = False) -> None:
        """Close those whose time is over, or all."""
        now_s = asyncio.get_running_loop().time()
        while self._waiting and (all_of_them or self._waiting[0].until_s <= now_s):
            self._part()

    def _part(self) -> None:
        """Close the oldest connection.

        What the client has sent is read first: for bytes unread the kernel would reset the connection.
        """
        accepted, _ = self._waiting.popleft()
        with contextlib.suppress(OSError):
            for _ in range(4):
                if not accepted.recv(4096):
                    break
        accepted.close()
