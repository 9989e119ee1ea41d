"""What a client asks and what a server says: requests, replies and events as values, in no encoding.

A server answers each *request* with one *reply*, in the order of the requests, and sends *events* of its own accord.
Before it ends a connection it may send one :class:`Refused` that answers no request. Sequence numbers are RTP's 16-bit
ones, shared by all clients; they are ``None`` while there is none.

:mod:`flume.control.codec` writes these values as lines of JSON and reads them back. Another dialect writes the same
values otherwise. A session, its client and their tests need only the values::

    session.command(Connect(payload="ts"))
    send(Interrupted(state=State.INTERRUPTED, last_sequence=1873, datagrams=673))

With ``transport="tcp"`` in :class:`Connect` the media come on the control connection itself, in frames between the
server's messages. There is no token then: the connection itself shows that the client is at its address.
:class:`Active` follows the reply at once, and the promise of :class:`Interrupted` and :class:`Disconnected` holds in
the order of the bytes: no frame follows the reply.
"""

from typing import Annotated, ClassVar, Literal

import msgspec

from flume.control.session import Command, State
from flume.settings import PayloadKind, SenderKind, Transport

LOGIN = "login"
"""The command of :class:`Login`, which is no input of a session."""

IDLE = "idle"
"""Code of the goodbye to a connection that has had no session and no command for a while."""

TOKEN_LATE = "token_late"  # noqa: S105 - a code, no password
"""Code of the notice by which a server asks for a token that is late: send it again now, several times."""


class _Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what a client may ask."""

    command: ClassVar[Command]
    """The input of the session's table that this request is."""


class Connect(_Request, frozen=True, kw_only=True):
    """Ask for a token. The stream begins when the token comes back from the media socket, or over TCP at once.

    Raises :class:`ValueError` for raw TS over TCP.
    """

    command: ClassVar[Command] = Command.CONNECT
    payload: PayloadKind = "rtp"
    transport: Transport = "udp"

    def __post_init__(self) -> None:
        """Check that the fields fit together."""
        if self.transport == "tcp" and self.payload != "rtp":
            message = "media over TCP come as RTP in frames (RFC 4571): leave payload out, or ask for rtp"
            raise ValueError(message)


class Interrupt(_Request, frozen=True, kw_only=True):
    """Stop the datagrams, keep the session."""

    command: ClassVar[Command] = Command.INTERRUPT


class Continue(_Request, frozen=True, kw_only=True):
    """Start the datagrams again."""

    command: ClassVar[Command] = Command.CONTINUE


class Disconnect(_Request, frozen=True, kw_only=True):
    """End the session; the control connection stays open for another :class:`Connect`."""

    command: ClassVar[Command] = Command.DISCONNECT


class StatusQuery(_Request, frozen=True, kw_only=True):
    """Ask for the state of the session and of the server."""

    command: ClassVar[Command] = Command.STATUS


class Login(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say who asks, before anything else, to a server that has users. A login is the connection's, not a session's."""

    command: ClassVar[str] = LOGIN
    user: Annotated[str, msgspec.Meta(max_length=64)]
    secret: Annotated[str, msgspec.Meta(max_length=1024)]

    def __repr__(self) -> str:
        """Return what shows no secret."""
        return f"Login(user={self.user!r}, secret=…)"


Request = Connect | Interrupt | Continue | Disconnect | StatusQuery


class _Reply(msgspec.Struct, frozen=True, kw_only=True):
    """Base of answers; *state* is the session's state after the command.

    ``command`` is the command that was answered.
    """

    state: State


class Connected(_Reply, frozen=True, kw_only=True):
    """Send *token* (hexadecimal text, as it is) from the media socket to UDP *port*, then again every interval.

    With the *transport* tcp the token is empty, and there is nothing to send.
    """

    command: ClassVar[Command] = Command.CONNECT
    token: str
    port: int
    payload: PayloadKind
    ssrc: int
    token_interval_ms: int
    consent_timeout_ms: int
    transport: Transport = "udp"


class Interrupted(_Reply, frozen=True, kw_only=True):
    """The last datagram has left the server.

    *last_sequence* is its number (``None`` if none was sent), *datagrams* the count since the start.
    """

    command: ClassVar[Command] = Command.INTERRUPT
    last_sequence: int | None
    datagrams: int


class Continued(_Reply, frozen=True, kw_only=True):
    """The next datagram will carry *first_sequence* and *first_timestamp*, the latter ``None`` if it is not known."""

    command: ClassVar[Command] = Command.CONTINUE
    first_sequence: int | None
    first_timestamp: int | None = None


class Disconnected(_Reply, frozen=True, kw_only=True):
    """The session is over. Fields as in :class:`Interrupted`; after an interrupt they are ``None`` and 0."""

    command: ClassVar[Command] = Command.DISCONNECT
    last_sequence: int | None
    datagrams: int


class ClientCounters(msgspec.Struct, frozen=True, kw_only=True):
    """What the server sent to one client, and what it did not send, by reason."""

    transport: Transport = "udp"
    """What carries the media, or carried them last."""
    datagrams: int = 0
    """Over TCP: frames."""
    bytes: int = 0
    """Above UDP, or inside the frames."""
    batches: int = 0
    """Sends that carried them."""
    drops: dict[str, int] = {}
    fallbacks: dict[str, int] = {}
    """Why its datagrams left one by one instead of in batches."""


class ReceiverClaim(msgspec.Struct, frozen=True, kw_only=True):
    """What one player reports of itself by RTCP (RFC 3550, 6.4.1): a claim, which the server cannot check."""

    lost: int
    """Datagrams, since it began; negative where it received some twice."""
    fraction_lost: float
    """0 to 1, in its last report."""
    jitter_ms: float
    """Interarrival jitter."""


UpstreamState = Literal["asleep", "connecting", "receiving", "silent", "lost", "refused", "ended"]


class UpstreamStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What a relay says of the server that it takes its stream from."""

    address: str
    """``flume://host:port``"""
    state: UpstreamState
    """``asleep``: no client watches, so nothing is asked for. ``silent``: it delivers, and nothing has come for 5 s.
    ``lost``: it does not answer, or ended the session. ``refused``: it will not serve this relay, or may not."""
    state_s: float
    """Since when, in seconds."""
    datagrams: int = 0
    """Received since the start; over TCP: frames."""
    lost: int = 0
    """Numbers that did not arrive in time: they are missing downstream, too."""
    late: int = 0
    """Arrived after their numbers had been passed over."""
    duplicates: int = 0
    dropped: int = 0
    """Received and not passed on: of another size than this relay's datagrams, or more than it could send."""
    reconnects: int = 0
    """Sessions that were begun after one that was lost."""
    transport: Transport | None = None
    """What carries the media; ``None`` before the first session."""
    error: str | None = None
    """The last failure; ``None`` while the stream is received."""
    path: tuple[str, ...] = ()
    """The identities of the servers above, the nearest first."""


class ServerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The server as a whole. *ingest* is starting, running, stalled, paused, stopped or ended.

    *source_counts* names each fault in what the source delivered, and how often it was seen; a fault that never
    happened is left out. *drops* does the same for datagrams that were not delivered to clients.
    """

    uptime_s: float
    source: str
    ingest: str
    sessions: int
    active: int
    active_over_tcp: int = 0
    datagrams: int
    segmentation: bool
    sender: SenderKind = "loop"
    """How one tick's datagrams get to all clients: in one system call, or in one a client."""
    fallbacks: dict[str, int] = {}
    """Why clients were sent single datagrams instead of batches, and how many clients."""
    drops: dict[str, int] = {}
    source_counts: dict[str, int] = {}
    refused: dict[str, int] = {}
    """What was refused, or made to wait, because of a limit, by reason."""
    receivers: dict[str, ReceiverClaim] = {}
    """What players that speak RTSP report, by the number of their session; of sixteen at most."""
    identity: str = ""
    """Random, another one in each run: by it a relay knows itself. Empty: a server that is older."""
    upstream: UpstreamStatus | None = None
    """Where a relay takes its stream from; ``None`` for a server that plays videos."""


class Status(_Reply, frozen=True, kw_only=True):
    """Answer to :class:`StatusQuery`, which is allowed in every state."""

    command: ClassVar[Command] = Command.STATUS
    session: ClientCounters
    server: ServerStatus


class LoggedIn(_Reply, frozen=True, kw_only=True):
    """Answer to :class:`Login`: commands are carried out from now on."""

    command: ClassVar[str] = LOGIN


class Refused(_Reply, frozen=True, kw_only=True):
    """The request was not carried out and changed nothing; *allowed* lists what is possible now.

    A goodbye, after which the server ends the connection, has no *command*. It may come unasked, as :data:`IDLE` does,
    and cross a request: the server has not read that request then.
    """

    command: str | None
    code: str
    message: str
    allowed: tuple[str, ...] = ()


Reply = Connected | Interrupted | Continued | Disconnected | Status | LoggedIn | Refused


class _Event(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what the server says unasked; *state* is the session's state after it."""

    state: State


class Active(_Event, frozen=True, kw_only=True):
    """Consent arrived from *address*:*port*; the first datagram: see :class:`Continued`.

    Over TCP these are address and port of the client's end of the control connection.
    """

    address: str
    port: int
    first_sequence: int | None
    first_timestamp: int | None = None


class Closed(_Event, frozen=True, kw_only=True):
    """The server ended the session: *code* for programs, *message* for people."""

    code: str
    message: str
    last_sequence: int | None = None


class Notice(_Event, frozen=True, kw_only=True):
    """Something the client should know that changes no state, such as a token from a wrong address.

    ``media_moved``: the token comes from another port now, so the delivery window goes on there, without a new
    :class:`Active`. :data:`TOKEN_LATE`: no token has come for half the consent timeout.
    """

    code: str
    message: str


class Alive(_Event, frozen=True, kw_only=True):
    """Application keep-alive; its absence tells a client that the server is gone."""


Event = Active | Closed | Notice | Alive
Message = Request | Login | Reply | Event
