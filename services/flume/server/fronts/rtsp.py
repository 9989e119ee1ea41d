"""The front for RTSP: players that are not ours, such as VLC, ffplay, mpv and GStreamer.

A player names its UDP port (SETUP), or takes the media between the messages of this connection. PLAY is *connect* or
*continue*, PAUSE *interrupt* and TEARDOWN *disconnect* of the one table of sessions; so PAUSE and TEARDOWN are answered
after the last datagram has left.

Media go to the address that the connection comes from, which the handshake of TCP has proved. They go to the port that
SETUP names, or to the one that a NAT gave to it (:mod:`..sessions.punches`). The connection is the consent: a session
ends with it, however long it pauses. Players have no way of saying that the server ends their session, so that the
server closes the connection, after RTCP BYE.
"""

import asyncio
import logging
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping

from flume.control.endpoint import endpoint
from flume.control.messages import (
    LOGIN,
    Active,
    Closed,
    Connect,
    Continue,
    Continued,
    Disconnect,
    Disconnected,
    Event,
    Interrupt,
    Interrupted,
    Login,
    Notice,
    Refused,
    Reply,
)
from flume.control.rtsp.description import MEDIA_CONTROL, describe
from flume.control.rtsp.headers import (
    TcpTransport,
    Transport,
    TransportRefusal,
    choose_transport_untrusted,
    credentials_untrusted,
    is_playable_range,
    printable,
    rtp_info,
    session_id,
    transport_header,
)
from flume.control.rtsp.messages import (
    Fault,
    Item,
    MessageBuffer,
    Packet,
    Request,
    Status,
    encode_response,
    packet_header,
)
from flume.control.session import State
from flume.media.ring import datagram_bytes
from flume.server.access.logins import Logins
from flume.server.fronts.connection import FrontConnection
from flume.server.fronts.rtsp_path import RtspPath, RtspStream
from flume.server.sessions.table import Place, SessionTable

KEEPALIVE_IDLE_S, KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT = 5, 5, 2
"""TCP keep-alives: a paused player says nothing, and a host that has vanished is noticed after 15 s."""

SESSION_TIMEOUT_S = 60
"""Announced to players, so that they say something now and then: NAT devices forget silent connections."""

ENDLESS_S = 86_400.0
"""Length of a film that is repeated, as players are told: a day. To one without an end some offer no pause."""

_UNSUPPORTED = frozenset({"ANNOUNCE", "RECORD", "REDIRECT"})

_log = logging.getLogger(__name__)


class RtspConnection(FrontConnection[Item]):
    """One player's connection."""

    def __init__(
        self,
        table: SessionTable,
        place: Place,
        stream: RtspStream,
        *,
        local_host: str,
        logins: Logins | None = None,
    ) -> None:
        """See :class:`.FrontConnection`. With *logins* a player has to log in (RFC 7617)."""
        self._stream = stream
        self._local_host = local_host
        self._id = secrets.token_hex(8)
        self._request: Request | None = None
        """The request that has no answer yet."""
        self.frame_header = packet_header(0, datagram_bytes(table.settings.datagram_packets))
        super().__init__(table, place, MessageBuffer(), local_host=local_host, logins=logins, has_tokens=False)
        self._path = RtspPath(self._session, stream, self.write, may_move=logins is None)
        self._is_first = True
        self._methods: Mapping[str, Callable[[Request], Awaitable[None]]] = {
            "OPTIONS": self._options,
            "DESCRIBE": self._describe,
            "SETUP": self._setup,
            "PLAY": self._play,
            "PAUSE": self._pause,
            "TEARDOWN": self._teardown,
            "GET_PARAMETER": self._parameter,
            "SET_PARAMETER": self._parameter,
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Carry out the requests that come, and notice when the player's host vanishes."""
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_COUNT)

    def connection_lost(self, exc: Exception | None) -> None:
        """Send no reports to a player that has gone."""
        self._path.leave_alone()
        super().connection_lost(exc)

    # -- requests ------------------------------------------------------------------------------------------

    async def answer(self, item: Item) -> bool:
        """Carry out one request; ``False`` if it was not the protocol."""
        if isinstance(item, Packet):
            self._path.reports.take_untrusted(item.data)
            return True
        if isinstance(item, Fault):
            self.write(encode_response(item.status, item.cseq, {"X-Reason": item.message}))
            if item.is_last:
                self.close()
            return False
        self._request = item
        if self._is_first:
            self._path.is_satip, self._is_first = item.method == "SETUP", False
        method = self._methods.get(item.method)
        if method is None:
            self._respond(Status.NOT_IMPLEMENTED, {"Public": ", ".join(self._methods)})
            return item.method in _UNSUPPORTED
        if "require" in item.headers:
            self._respond(Status.OPTION_NOT_SUPPORTED, {"Unsupported": item.headers["require"][:200]})
        elif session_id(item.headers.get("session")) not in {None, self._id if self._path.chosen is not None else None}:
            self._respond(Status.SESSION_NOT_FOUND)
        elif item.method == "OPTIONS" or await self._is_admitted(item):
            await method(item)
        return True

    async def _is_admitted(self, request: Request) -> bool:
        if self._login.is_open:
            return True
        credentials = credentials_untrusted(request.headers.get("authorization"))
        if credentials is None:
            self._refuse_login()
            return False
        await self._login.log_in(self._session, Login(user=credentials[0][:64], secret=credentials[1][:1024]))
        return self._login.is_open

    def _refuse_login(self) -> None:
        self._respond(Status.UNAUTHORIZED, {"WWW-Authenticate": 'Basic realm="flumelab", charset="UTF-8"'})

    async def _options(self, _request: Request) -> None:
        self._respond(Status.OK, {"Public": ", ".join(self._methods)})

    async def _describe(self, request: Request) -> None:
        base = self._base(request.uri)
        if base is None:
            self._respond(Status.NOT_FOUND)
            return
        stream = self._stream
        description = describe(title=stream.title, host=self._local_host, version=1, seconds=stream.seconds)
        self._respond(Status.OK, {"Content-Base": base, "Content-Type": "application/sdp"}, description)

    async def _setup(self, request: Request) -> None:
        if self._base(request.uri) is None:
            self._respond(Status.NOT_FOUND)
            return
        if self._session.state is not State.CLOSED:
            self._refuse_now()
            return
        wanted, own = request.headers.get("transport", ""), self._session.peer[0]
        chosen = choose_transport_untrusted(wanted, udp=self._settings.rtsp_udp, own_addresses=(own,))
        if isinstance(chosen, TransportRefusal):
            self._respond(Status.UNSUPPORTED_TRANSPORT, {"X-Reason": chosen.message})
            return
        self._path.set_up(chosen)
        if isinstance(chosen, TcpTransport):
            size = datagram_bytes(self._settings.datagram_packets)
            self.frame_header = packet_header(chosen.channel, size)
        stream, rtcp = self._stream, self._stream.rtcp
        header = transport_header(
            chosen, port=stream.port, rtcp_port=None if rtcp is None else rtcp.port, ssrc=stream.ssrc
        )
        self._respond(Status.OK, {"Transport": header})

    async def _play(self, request: Request) -> None:
        if self._path.chosen is None:
            self._refuse_now()
        elif not is_playable_range(request.headers.get("range")):
            self._respond(Status.INVALID_RANGE, {"X-Reason": "the stream is live: play from now (npt=now-)"})
        elif self._session.state is State.INTERRUPTED:
            reason = await self._path.aim()
            if reason is not None:
                self._respond(Status.DESTINATION_UNREACHABLE, {"X-Reason": reason})
            if self._request is not None:  # it is answered where the port has no route
                await self._session.command(Continue())
        elif self._session.state is State.ACTIVE:
            self._respond(Status.OK, {"Range": "npt=now-"})  # a player that repeats itself: it plays already
        else:
            await self._begin(self._path.chosen)

    async def _begin(self, chosen: Transport) -> None:
        """Connect, and let the media begin: the answer goes out before the first datagram."""
        session = self._session
        await session.command(Connect(transport="tcp" if isinstance(chosen, TcpTransport) else "udp"))
        reason = await self._path.aim() if session.state is State.CONNECTING else None
        if session.state is State.CONNECTING:  # no path, or the player has closed its side of the connection
            self._respond(Status.DESTINATION_UNREACHABLE, None if reason is None else {"X-Reason": reason})
            await session.command(Disconnect())

    async def _pause(self, _request: Request) -> None:
        if self._session.state is State.CLOSED:
            self._refuse_now()
        else:
            await self._session.command(Interrupt())

    async def _teardown(self, _request: Request) -> None:
        if self._path.chosen is None:
            self._respond(Status.SESSION_NOT_FOUND)
            return
        if self._session.state is State.CLOSED:
            self._respond(Status.OK)
        else:
            await self._session.command(Disconnect())
        self._path.set_up(None)

    async def _parameter(self, request: Request) -> None:
        """A keep-alive, if it is empty. There is no parameter to get or set."""
        self._respond(Status.NOT_UNDERSTOOD if request.body.strip() else Status.OK)

    def _base(self, uri: str) -> str | None:
        """Return the address of the whole stream, with a slash; ``None`` if *uri* is that of nothing here."""
        if uri == "*":
            return f"rtsp://{endpoint(self._local_host, self._stream.port)}/"
        scheme, _, rest = uri.partition("://")
        host, _, path = rest.partition("/")
        if scheme.lower() not in {"rtsp", "rtspu", "rtsps"} or not host:
            return None
        path = path.partition("?")[0].strip("/").lower()
        return f"{scheme}://{host}/" if path in {"", MEDIA_CONTROL} else None

    # -- answers -------------------------------------------------------------------------------------------

    def send(self, message: Reply | Event) -> None:
        """Answer the present request by what the session says, or end the connection with the session."""
        match message:
            case Active() | Continued():
                self._play_answer(message)
                self._path.accompany()
            case Interrupted() | Disconnected():
                self._path.leave_alone(is_paused=isinstance(message, Interrupted))
                self._respond(Status.OK)
            case Refused(command=command) if command == LOGIN:
                self._refuse_login()
            case Refused(code="not_allowed_now"):
                self._refuse_now()
            case Refused(message=text):
                self._respond(Status.UNAVAILABLE, {"X-Reason": text})
            case Notice(code="no_route", message=text):
                self._respond(Status.DESTINATION_UNREACHABLE, {"X-Reason": text})
            case Closed(message=text):
                self._path.leave_alone(bye=True)
                self._respond(Status.UNAVAILABLE, {"X-Reason": text})
                self.close()

    def _refuse_now(self) -> None:
        """Answer that the method is not possible now, and which are."""
        possible = {State.ACTIVE: "PLAY, PAUSE, TEARDOWN", State.INTERRUPTED: "PLAY, TEARDOWN"}
        closed = "SETUP" if self._path.chosen is None else "SETUP, PLAY, TEARDOWN"
        self._respond(Status.NOT_IN_THIS_STATE, {"Allow": possible.get(self._session.state, closed)})

    def _play_answer(self, message: Active | Continued) -> None:
        request = self._request
        base = None if request is None else self._base(request.uri)
        info = rtp_info(
            f"{base or ''}{MEDIA_CONTROL}", sequence=message.first_sequence, timestamp=message.first_timestamp
        )
        self._respond(Status.OK, {"Range": "npt=now-", "RTP-Info": info})

    def _respond(self, status: Status, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        """Answer the present request, if it has no answer yet."""
        request, self._request = self._request, None
        if request is None:
            return
        written = {"Server": "flumelab"}
        if self._path.chosen is not None:
            written["Session"] = f"{self._id};timeout={SESSION_TIMEOUT_S}"
        reason = {name: printable(value)[:400] for name, value in (headers or {}).items()}
        self.write(encode_response(status, request.cseq, written | reason, body))
