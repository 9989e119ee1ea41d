"""Control messages: one JSON object a line, in both directions, over TCP.

A person can drive a server from ``nc``::

    {"command":"connect"}
    {"reply":"connect","state":"connecting","token":"9f…","port":5004,…}
    {"event":"active","state":"active","address":"198.18.0.3","port":41234,"first_sequence":1201}
    {"command":"interrupt"}
    {"reply":"interrupt","state":"interrupted","last_sequence":1873,"datagrams":673}

A *request* has ``command``; the server answers each with one *reply* (``reply`` names the command, or
``error``), in order, and sends *events* (``event``) of its own. Before it ends a connection it may say why, in an
``error`` that answers nothing. Sequence numbers are RTP's 16-bit ones, shared by all clients; they are ``null`` while
there is none.

With ``"transport":"tcp"`` in ``connect`` the media come on this very connection, as RTP in frames of RFC 4571 between
the server's lines (:mod:`flume.control.framing`). There is no token then: the connection itself shows that the client
is where it says. ``active`` follows the reply at once, and the promise of ``interrupt`` and ``disconnect`` holds in
the order of the bytes: after the reply not one frame.
"""

import msgspec

from flume.control.session import Command, State
from flume.errors import RemoteProtocolError
from flume.settings import MAX_LINE_BYTES, PayloadKind, SenderKind, Transport

PROTOCOL_VERSION = 1

IDLE = "idle"
"""Code of the goodbye to a connection that has had no session and no command for a while."""


class _Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="command"):
    """Base of what a client may send."""


class Connect(_Request, frozen=True, kw_only=True, tag="connect"):
    """Ask for a token; the stream begins when it comes back from the media socket, or over TCP at once.

    *transport* is left out of the line unless it is set: servers that do not know it refuse what they do not know.
    """

    version: int = PROTOCOL_VERSION
    payload: PayloadKind = "rtp"
    transport: Transport | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        if self.transport == "tcp" and self.payload != "rtp":
            message = "media over TCP come as RTP in frames (RFC 4571): leave payload out, or ask for rtp"
            raise ValueError(message)


class Interrupt(_Request, frozen=True, kw_only=True, tag="interrupt"):
    """Stop the datagrams, keep the session."""


class Continue(_Request, frozen=True, kw_only=True, tag="continue"):
    """Start the datagrams again."""


class Disconnect(_Request, frozen=True, kw_only=True, tag="disconnect"):
    """End the session; the control connection stays open for another ``connect``."""


class StatusQuery(_Request, frozen=True, kw_only=True, tag="status"):
    """Ask for the session's and the server's state."""


Request = Connect | Interrupt | Continue | Disconnect | StatusQuery


class _Reply(msgspec.Struct, frozen=True, kw_only=True, tag_field="reply"):
    """Base of answers; *state* is the session's state after the command."""

    state: State


class Connected(_Reply, frozen=True, kw_only=True, tag="connect"):
    """Send *token* (hexadecimal text, as it is) from the media socket to UDP *port*, then every interval.

    With the *transport* tcp the token is empty, and there is nothing to send.
    """

    token: str
    port: int
    payload: PayloadKind
    ssrc: int
    token_interval_ms: int
    consent_timeout_ms: int
    transport: Transport = "udp"
    version: int = PROTOCOL_VERSION


class Interrupted(_Reply, frozen=True, kw_only=True, tag="interrupt"):
    """The last datagram has left; *last_sequence* was its number (null if none was sent), *datagrams* the count."""

    last_sequence: int | None
    datagrams: int


class Continued(_Reply, frozen=True, kw_only=True, tag="continue"):
    """The next datagram will carry *first_sequence*."""

    first_sequence: int | None


class Disconnected(_Reply, frozen=True, kw_only=True, tag="disconnect"):
    """The session is over; the fields are those of :class:`Interrupted` (0 and null while interrupted)."""

    last_sequence: int | None
    datagrams: int


class ClientCounters(msgspec.Struct, frozen=True, kw_only=True):
    """What the server sent to one client, and what it did not, by reason."""

    transport: Transport = "udp"
    """What carries the media, or did last."""
    datagrams: int = 0
    """Over TCP: frames."""
    bytes: int = 0
    batches: int = 0
    drops: dict[str, int] = {}
    fallbacks: dict[str, int] = {}
    """Why its datagrams left singly instead of in batches."""


class ServerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The server as a whole. *ingest* is starting, running, stalled, paused, stopped or ended.

    *source_counts* names what was not as it should be with what the source delivered, and how often; nothing of what
    never happened. *drops* does the same for what was not delivered to clients.
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
    """How one tick gets to all clients: in one system call, or one a client."""
    fallbacks: dict[str, int] = {}
    """Why clients were sent single datagrams instead of batches, and how many."""
    drops: dict[str, int] = {}
    source_counts: dict[str, int] = {}


def troubles(server: ServerStatus) -> str:
    """Return what is not as it should be, for people, to be put behind a line; empty when there is nothing."""
    parts = (("the source", server.source_counts), ("sent singly", server.fallbacks), ("not sent", server.drops))
    lists = ((title, ", ".join(f"{name} {count}" for name, count in counts.items())) for title, counts in parts)
    return "".join(f"; {title}: {names}" for title, names in lists if names)


class Status(_Reply, frozen=True, kw_only=True, tag="status"):
    """Answer to ``status``, allowed in every state."""

    session: ClientCounters
    server: ServerStatus


class Refused(_Reply, frozen=True, kw_only=True, tag="error"):
    """The request was not carried out and changed nothing; *allowed* lists what is possible now.

    A goodbye, after which the server ends the connection, is one without a *command*. It may come unasked, as
    :data:`IDLE` does, and cross a request: that was neither refused nor heard.
    """

    command: str | None
    code: str
    message: str
    allowed: tuple[str, ...] = ()


Reply = Connected | Interrupted | Continued | Disconnected | Status | Refused


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Base of what the server says unasked."""

    state: State


class Active(_Event, frozen=True, kw_only=True, tag="active"):
    """Consent arrived from *address*:*port*; the first datagram will carry *first_sequence*.

    Over TCP these are the client's ends of the control connection.
    """

    address: str
    port: int
    first_sequence: int | None


class Closed(_Event, frozen=True, kw_only=True, tag="closed"):
    """The server ended the session: *code* for programs, *message* for people."""

    code: str
    message: str
    last_sequence: int | None = None


class Notice(_Event, frozen=True, kw_only=True, tag="notice"):
    """Something the client should know that changes no state, such as a token from a wrong address.

    ``media_moved``: the token comes from another port now, and so the window goes on there, without a new ``active``.
    """

    code: str
    message: str


class Alive(_Event, frozen=True, kw_only=True, tag="alive"):
    """Application keep-alive; its absence tells a client that the server is gone."""


Event = Active | Closed | Notice | Alive
Message = Request | Reply | Event

_encoder = msgspec.json.Encoder()
_request_decoder: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_reply_decoder: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)
_event_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_KNOWN = ", ".join(command.value for command in Command)


class _Kind(msgspec.Struct):
    """Just enough of a line to choose its decoder and to name it in an error."""

    command: object = None
    reply: str | None = None
    event: str | None = None


_kind_decoder = msgspec.json.Decoder(_Kind)


def encode(message: Message) -> bytes:
    """Return *message* as one line, newline included."""
    return _encoder.encode(message) + b"\n"


def command_of(request: Request) -> Command:
    """Return the session command that *request* stands for."""
    return Command(str(request.__struct_config__.tag))


def check_length_untrusted(line: bytes) -> None:
    """Raise :class:`RemoteProtocolError` (``oversized``) for a line over :data:`MAX_LINE_BYTES`."""
    if len(line) > MAX_LINE_BYTES:
        message = f"a control line has at most {MAX_LINE_BYTES} bytes, this one has more; send one JSON object a line"
        raise RemoteProtocolError("oversized", message)


def parse_request_untrusted(line: bytes) -> Request:
    """Return the request in *line*, or raise :class:`RemoteProtocolError` and nothing else.

    Codes: ``oversized``, ``malformed`` (not a JSON object), ``unknown_command``, ``invalid`` (a field is of a
    wrong type, unknown or out of range), ``unsupported_version``.
    """
    check_length_untrusted(line)
    try:
        kind = _kind_decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f'not a JSON object of the form {{"command":"status"}}: {error}'
        raise RemoteProtocolError("malformed", message) from error
    if not isinstance(kind.command, str) or kind.command not in set(Command):
        seen = f"unknown command {kind.command!r:.80}" if kind.command is not None else 'the field "command" is missing'
        raise RemoteProtocolError("unknown_command", f"{seen}: send one of {_KNOWN}")
    try:
        request = _request_decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError("invalid", f"{kind.command}: {error}") from error
    if isinstance(request, Connect) and request.version != PROTOCOL_VERSION:
        message = f"protocol version {request.version} is not spoken here: this server speaks {PROTOCOL_VERSION}"
        raise RemoteProtocolError("unsupported_version", message)
    return request


def parse_from_server_untrusted(line: bytes) -> Reply | Event:
    """Return the reply or event in *line*, or raise :class:`RemoteProtocolError` and nothing else."""
    check_length_untrusted(line)
    try:
        kind = _kind_decoder.decode(line)
        if kind.event is not None:
            return _event_decoder.decode(line)
        return _reply_decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError("malformed", f"the server sent a line that is not flume control: {error}") from error
