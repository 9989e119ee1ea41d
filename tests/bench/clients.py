"""The clients: media sockets for senders that only need addresses, whole sessions for flume's server."""

import contextlib
import socket
import time
from collections.abc import Callable, Sequence
from typing import Self

from bench.network import MEDIA_PORT, BenchNetwork
from bench.senders import CONTROL_PORT
from bench.values import BenchError
from flume.linux import SO_RCVBUFFORCE, SO_TIMESTAMPNS
from flume.settings import TOKEN_INTERVAL_S
from support.clients.wire_client import WireClient
from support.namespaces import SERVER_ADDRESS

RECEIVE_BUFFER_BYTES = 4 << 20
_AT_ONCE = 64
"""Clients that join at once: a socket buffer of the default size holds about 270 tokens."""

_TOKEN_REPEAT_S = 1.0


def prepare_media(media: socket.socket) -> None:
    """Give *media* a large receive buffer, and let the kernel report each datagram's arrival time."""
    media.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
    media.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


class MediaSockets:
    """One bound media socket for each of *addresses*. Use ``with``."""

    def __init__(self, network: BenchNetwork, addresses: Sequence[str]) -> None:
        """Open nothing; ``with`` opens the sockets."""
        self._network = network
        self._addresses = addresses
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> list[socket.socket]:
        opened = []
        with self._stack, self._network.as_client():
            for address in self._addresses:
                media = self._stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                prepare_media(media)
                media.bind((address, MEDIA_PORT))
                opened.append(media)
            self._stack = self._stack.pop_all()
        return opened

    def __exit__(self, *_: object) -> None:
        self._stack.close()


class Sessions:
    """Clients of flume's server, each with its own address. Use ``with``: in the block, all are active.

    In groups, all clients of a group take each step before any takes the next one. A thousand clients then join in one
    or two seconds, and few are half-open at a time: the server's limit for those is lower than that for all.
    """

    def __init__(self, network: BenchNetwork, addresses: Sequence[str], *, timeout_s: float) -> None:
        """Connect no client; ``with`` connects them, and all must be active within *timeout_s*."""
        self._network = network
        self._addresses = addresses
        self._timeout_s = timeout_s
        self._stack = contextlib.ExitStack()
        self._tokens_sent_s = 0.0
        self.clients: list[WireClient] = []

    def __enter__(self) -> Self:
        deadline_s = time.monotonic() + self._timeout_s
        with self._stack:
            self._tokens_sent_s = time.monotonic()
            for start in range(0, len(self._addresses), _AT_ONCE):
                self.clients += self._join(self._addresses[start : start + _AT_ONCE], deadline_s)
            self._stack = self._stack.pop_all()
        return self

    def _join(self, addresses: Sequence[str], deadline_s: float) -> list[WireClient]:
        clients = []
        for address in addresses:
            client = self._stack.enter_context(self._open(address, deadline_s))
            clients.append(client)
            client.send_raw(b'{"command":"connect"}\n')
        for client in clients:
            reply = client.reply(timeout_s=left_s(deadline_s))
            if reply.get("reply") != "connect":
                raise BenchError(f"the server answered connect with {reply or 'the end of the connection'}")
            client.token = reply["token"]
        _consent(clients, deadline_s)
        return clients

    def _open(self, address: str, deadline_s: float) -> WireClient:
        while True:
            with self._network.as_client():
                try:
                    client = WireClient(CONTROL_PORT, host=SERVER_ADDRESS, source=address)
                except ConnectionRefusedError:  # the server is not up yet
                    client = None
            if client is not None:
                prepare_media(client.media)
                return client
            left_s(deadline_s)
            time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def media(self) -> list[socket.socket]:
        """The media sockets, in the order of the addresses."""
        return [client.media for client in self.clients]

    def send_tokens(self) -> None:
        """Send each client's token: the first one gives consent, later ones keep it alive."""
        self._tokens_sent_s = time.monotonic()
        for client in self.clients:
            client.send_token()

    def tend(self) -> None:
        """Repeat the tokens when they are due, as every client does."""
        if time.monotonic() - self._tokens_sent_s >= TOKEN_INTERVAL_S:
            self.send_tokens()


def _consent(clients: Sequence[WireClient], deadline_s: float) -> None:
    """Send the tokens of *clients* and wait until all are active; a token without effect is repeated."""
    for client in clients:
        client.send_token()
    for client in clients:
        while True:
            try:
                client.event("active", timeout_s=min(_TOKEN_REPEAT_S, left_s(deadline_s)))
                break
            except TimeoutError:
                client.send_token()


def left_s(deadline_s: float) -> float:
    """Return the seconds until *deadline_s*; raise :class:`BenchError` if it has passed."""
    left = deadline_s - time.monotonic()
    if left <= 0:
        raise BenchError("not all clients became active in time")
    return left


def wait_until(condition: Callable[[], bool], *, timeout_s: float, meanwhile: Callable[[], None]) -> bool:
    """Poll *condition* until it holds, and call *meanwhile* between two polls; return ``False`` after *timeout_s*."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        meanwhile()
        time.sleep(0.02)
    return True
