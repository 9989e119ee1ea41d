"""The listening TCP socket: a bounded number of connections a turn, and one line for a client that is turned away."""

import asyncio
import errno
import itertools
import logging
import socket
from collections.abc import Collection, Coroutine
from functools import partial
from typing import NamedTuple

from flume.control.endpoint import Address, endpoint
from flume.control.messages import IDLE, Closed, Event, Reply
from flume.control.session import State
from flume.errors import NetworkError
from flume.server.access.certificates import Certificates
from flume.server.access.rules import Access
from flume.server.fronts.beginnings import first_byte, wrong_beginning
from flume.server.fronts.connection import idle_message
from flume.server.fronts.dialects import AnyConnection, Dialects
from flume.server.fronts.farewells import Farewells
from flume.server.fronts.garbage import Garbage
from flume.server.fronts.rtsp_path import RtspStream
from flume.server.fronts.tls_transport import TlsTransport
from flume.server.limits.buckets import AddressBuckets, Rate
from flume.server.limits.descriptors import Descriptors
from flume.server.limits.newcomers import Newcomers
from flume.server.sessions import replies
from flume.server.sessions.table import Place, SessionTable
from flume.sockaddr import address_of

ACCEPTS_AT_ONCE, LOOKS_AT_ONCE = 16, 128
"""Connections taken, and those accepted in all, before the event loop does other work: 2 to 5 ms."""

RETRY_S = 1.0
"""How long nothing is accepted when the kernel has no descriptor or no memory for a connection."""

TEND_S = 0.25

HANDSHAKES_PER_S = 10.0
"""TLS handshakes of one address a second; as many at once as it may have sessions.
One costs 0.2 ms of CPU with a key on P-256, 0.4 ms with RSA of 2048 bits."""

OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_log = logging.getLogger(__name__)


class ControlListener:
    """Accepts control connections."""

    def __init__(self, table: SessionTable, access: Access, rtsp: RtspStream | None = None) -> None:
        """Open sessions in *table* for clients that *access* lets in, and for players if there is *rtsp*."""
        self._dialects = Dialects(table, access.logins, rtsp)
        self._table = table
        self._access = access
        self._has_tls = access.certificates is not None
        self._handshakes: set[TlsTransport] = set()
        self._handshake_rates = AddressBuckets(Rate(HANDSHAKES_PER_S, table.settings.max_sessions_per_address))
        self._newcomers = Newcomers(table.settings)
        self._connections: set[AnyConnection] = set()
        self._garbage = Garbage()
        self._silent: dict[socket.socket, _Silent] = {}
        self._making: set[asyncio.Task[None]] = set()
        self._farewells = Farewells(has_tls=self._has_tls)
        self._listening: socket.socket | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._descriptors: Descriptors | None = None
        self._tending: asyncio.TimerHandle | None = None

    def start(self, sock: socket.socket, descriptors: Descriptors) -> None:
        """Accept connections on *sock*, which listens; *descriptors* has one to spare."""
        self._listening, self._descriptors = sock, descriptors
        if self._access.logins is not None:
            self._access.logins.on_changed = partial(_end_revoked, self._connections)
        self._listen()
        self._tend()

    def _listen(self) -> None:
        if self._listening is not None:
            asyncio.get_running_loop().add_reader(self._listening, self._on_acceptable)

    def _on_acceptable(self) -> None:
        taken = 0
        for _ in range(LOOKS_AT_ONCE):
            if self._listening is None or taken == ACCEPTS_AT_ONCE:
                return
            try:
                accepted, peer = _accept(self._listening)
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in OUT_OF_RESOURCES:
                    raise
                if not self._turn_away_without_room(error):
                    return
            else:
                taken += self._take(accepted, peer)

    def _turn_away_without_room(self, error: OSError) -> bool:
        """Accept one connection by the spare descriptor, and say why it is turned away; ``False``: not even that."""
        if self._listening is None or self._descriptors is None:
            return False
        with self._descriptors.spare():
            try:
                accepted, peer = _accept(self._listening)
            except OSError:
                self._pause(error)
                return False
            self._table.refused["descriptors"] += 1
            message = "this server has no file descriptor left (ulimit -n): try later"
            _log.warning("%s is turned away: %s", endpoint(*peer), message)
            self._farewells.say(accepted, Closed(state=State.CLOSED, code="busy", message=message))
            self._farewells.part(all_of_them=True)
        return True

    def _pause(self, error: OSError) -> None:
        loop = asyncio.get_running_loop()
        loop.call_exception_handler({"message": "accepting a connection failed", "exception": error})
        if self._listening is not None:
            loop.remove_reader(self._listening)
            self._retry = loop.call_later(RETRY_S, self._listen)

    def _take(self, accepted: socket.socket, peer: Address) -> bool:
        """Let *accepted* in, or say why not; return ``False`` where it has cost next to nothing."""
        now_s = asyncio.get_running_loop().time()
        if not self._newcomers.admits(peer[0], now_s):
            self._table.refused["connections"] += 1
            if not self._newcomers.may_tell(now_s):
                accepted.close()
                return False
            message = f"{peer[0]}, or its network, makes more connections a second than are taken: try later"
            self._farewells.say(accepted, Closed(state=State.CLOSED, code="busy", message=message))
            return True
        self._admit(accepted, peer)
        return True

    def _admit(self, accepted: socket.socket, peer: Address) -> None:
        """Give *accepted* a place, and let it wait for its first bytes; until then it costs no more than that."""
        if not self._access.networks.admits(peer[0]):
            self._table.refused["address_denied"] += 1
            _log.warning("%s is turned away: its network is not allowed (--allow, --deny)", endpoint(*peer))
            message = f"this server does not serve {peer[0]}"
            self._farewells.say(accepted, Closed(state=State.CLOSED, code="address_denied", message=message))
            return
        try:
            place = self._table.admit(peer, lambda goodbye: self._dismiss(accepted, goodbye))
        except NetworkError as error:
            _log.warning("%s is turned away: %s", endpoint(*peer), error)
            code = "shutdown" if self._table.closing else "busy"
            self._farewells.say(accepted, Closed(state=State.CLOSED, code=code, message=str(error)))
            return
        loop = asyncio.get_running_loop()
        self._silent[accepted] = _Silent(place, loop.time() + self._table.settings.idle_control_s)
        loop.add_reader(accepted.fileno(), self._make, accepted)

    def _tend(self) -> None:
        """End what has been silent for too long, and part from those who have had their goodbye."""
        loop = asyncio.get_running_loop()
        now_s, idle_s = loop.time(), self._table.settings.idle_control_s
        for accepted, silent in itertools.takewhile(lambda item: item[1].until_s <= now_s, tuple(self._silent.items())):
            self._forget(accepted)
            self._table.leave(silent.place)
            self._table.refused["idle"] += 1
            self._farewells.say(accepted, replies.goodbye(IDLE, idle_message(idle_s)))
        self._farewells.part()
        self._tending = loop.call_later(TEND_S, self._tend)

    def _make(self, accepted: socket.socket) -> None:
        """Make a connection of *accepted*, from which bytes have come."""
        silent = self._forget(accepted)
        if silent is None:
            return
        try:
            self._begin(accepted, silent.place)
        except OSError:  # the client has gone
            self._table.leave(silent.place)
            accepted.close()

    def _begin(self, accepted: socket.socket, place: Place) -> None:
        """Do what the first bytes from *accepted* ask for; raises :class:`OSError` if the connection has ended."""
        first = first_byte(accepted)
        wrong = wrong_beginning(first, has_tls=self._has_tls)
        if wrong is not None:
            self._table.leave(place)
            if self._has_tls:
                self._table.refused["tls_required"] += 1
            else:
                self._table.refused["no_tls"] += 1
            self._farewells.say(accepted, wrong, is_clear=True)
        elif self._access.certificates is not None:
            self._secure(accepted, place, self._access.certificates)
        else:
            self._spawn(_connect(self._open(place, accepted, first=first), accepted))

    def _open(self, place: Place, accepted: socket.socket, *, first: bytes = b"") -> AnyConnection:
        """Open the session of *place*; raises :class:`OSError` if the connection has ended."""
        local_host = address_of(accepted.getsockname())[0]
        connection = self._dialects.open(place, local_host=local_host, first=first)
        self._connections.add(connection)
        connection.on_ended = self._on_ended
        return connection

    def _on_ended(self, connection: AnyConnection) -> None:
        self._connections.discard(connection)
        # Not now: the connection and its task are still in use.
        loop = asyncio.get_running_loop()
        loop.call_soon(self._garbage.connection_ended, loop.time())

    def _spawn(self, making: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(making)
        self._making.add(task)
        task.add_done_callback(self._making.discard)

    def _secure(self, accepted: socket.socket, place: Place, certificates: Certificates) -> None:
        """Shake hands with the client of *place*; its session is opened after that."""
        settings, now_s = self._table.settings, asyncio.get_running_loop().time()
        is_allowed = self._handshake_rates.of(place.peer[0], now_s).take(now_s)
        if self._table.closing or not is_allowed:
            self._table.leave(place)
            if not is_allowed:
                self._table.refused["too_many_handshakes"] += 1
            self._farewells.say(accepted, replies.goodbye("busy", "no handshake now"))
            return
        secured = TlsTransport(
            certificates.context(),
            timeout_s=settings.tls_handshake_s,
            on_ready=lambda done: self._on_secured(done, place, accepted),
            on_failed=lambda failed, reason: self._on_insecure(failed, place, reason),
        )
        self._handshakes.add(secured)
        place.dismiss = lambda _goodbye: secured.refuse()
        self._spawn(_connect_secured(secured, accepted))

    def _on_secured(self, secured: TlsTransport, place: Place, accepted: socket.socket) -> AnyConnection:
        self._handshakes.discard(secured)
        return self._open(place, accepted)

    def _on_insecure(self, secured: TlsTransport, place: Place, reason: str) -> None:
        self._handshakes.discard(secured)
        self._table.leave(place)
        if reason == "tls_timeout":
            self._table.refused["tls_timeout"] += 1
        elif reason == "tls_handshake":
            self._table.refused["tls_handshake"] += 1

    def _forget(self, accepted: socket.socket) -> "_Silent | None":
        silent = self._silent.pop(accepted, None)
        if silent is not None:
            asyncio.get_running_loop().remove_reader(accepted.fileno())
        return silent

    def _dismiss(self, accepted: socket.socket, goodbye: Reply | Event) -> None:
        if self._forget(accepted) is not None:
            self._farewells.say(accepted, goodbye)

    async def stop_accepting(self) -> None:
        """Accept no more connections; the open ones go on."""
        listening, self._listening = self._listening, None
        if listening is None:
            return
        if self._retry is not None:
            self._retry.cancel()
        asyncio.get_running_loop().remove_reader(listening)
        listening.close()
        for accepted in tuple(self._silent):
            self._make(accepted)  # it is told why the server ends, as all others
        if self._making:
            await asyncio.wait(self._making)

    async def close(self, *, timeout_s: float) -> None:
        """Let the clients read what was said, then end the connections.

        A client that does not read for *timeout_s* is cut off.
        """
        await self.stop_accepting()
        for secured in tuple(self._handshakes):
            secured.refuse()
        for connection in tuple(self._connections):
            connection.close()
        if not await self._wait_for_ends(timeout_s):
            for connection in tuple(self._connections):
                connection.abort()
            await self._wait_for_ends(timeout_s)
        self._farewells.part(all_of_them=True)
        if self._tending is not None:
            self._tending.cancel()

    async def _wait_for_ends(self, timeout_s: float) -> bool:
        """Return whether all connections have ended, after *timeout_s* at the latest."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + timeout_s
        while self._connections and loop.time() < until_s:
            await asyncio.sleep(0.01)
        return not self._connections


class _Silent(NamedTuple):
    """A connection from which nothing has come yet."""

    place: Place
    until_s: float
    """When it is ended as idle, by the clock of the event loop."""


def _accept(listening: socket.socket) -> tuple[socket.socket, Address]:
    """Accept a connection that never blocks the event loop; raises :class:`OSError`."""
    accepted, name = listening.accept()
    accepted.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return accepted, address_of(name)


def _end_revoked(connections: Collection[AnyConnection]) -> None:
    for connection in tuple(connections):
        connection.end_if_revoked()


async def _connect(connection: AnyConnection, accepted: socket.socket) -> None:
    """Let the event loop read and write *accepted*."""
    try:
        await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, accepted)
    except OSError as error:
        _log.debug("a connection ended as it was made: %s", error)
        accepted.close()
        await connection.fail()


async def _connect_secured(secured: TlsTransport, accepted: socket.socket) -> None:
    """Let the event loop read and write *accepted*, encrypted."""
    try:
        await asyncio.get_running_loop().connect_accepted_socket(lambda: secured, accepted)
    except OSError as error:
        _log.debug("a connection ended as it was made: %s", error)
        accepted.close()
        secured.refuse()
