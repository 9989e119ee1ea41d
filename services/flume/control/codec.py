"""The dialect of flume control: one JSON object a line, in both directions, over TCP.

A person can drive a server from ``nc``::

    {"command":"connect"}
    {"reply":"connect","state":"connecting","token":"9f…","port":5004,…}
    {"event":"active","state":"active","address":"198.18.0.3","port":41234,"first_sequence":1201}
    {"command":"interrupt"}
    {"reply":"interrupt","state":"interrupted","last_sequence":1873,"datagrams":673}

A request has ``command``, a reply ``reply`` (the name of the command, or ``error``), an event ``event``. The other keys
are the fields of :mod:`flume.control.messages`, and ``version`` in both lines of ``connect``. Media on this connection
come between the lines, in frames (:mod:`flume.control.framing`).
"""

from collections.abc import Mapping
from typing import Any, cast, get_args

import msgspec

from flume.control.messages import (
    Active,
    Alive,
    Closed,
    Connect,
    Connected,
    Continued,
    Disconnected,
    Event,
    Interrupted,
    LoggedIn,
    Login,
    Message,
    Notice,
    Refused,
    Reply,
    Request,
    Status,
)
from flume.control.session import Command
from flume.errors import RemoteProtocolError
from flume.settings import MAX_LINE_BYTES

PROTOCOL_VERSION = 1

Line = bytes | RemoteProtocolError
"""A line without its newline, or the reason why the bytes before the newline are not a line."""

_REQUESTS: Mapping[str, type[Request | Login]] = {kind.command: kind for kind in (*get_args(Request), Login)}
_ANSWERS = (Connected, Interrupted, Continued, Disconnected, Status, LoggedIn)
_REPLIES: Mapping[str, type[Reply]] = {kind.command: kind for kind in _ANSWERS} | {"error": Refused}
_EVENTS: Mapping[str, type[Event]] = {"active": Active, "closed": Closed, "notice": Notice, "alive": Alive}
_HEADS: Mapping[type[Message], dict[str, object]] = {
    kind: {key: name}
    for key, kinds in (("command", _REQUESTS), ("reply", _REPLIES), ("event", _EVENTS))
    for name, kind in kinds.items()
}
"""The first key of a line and its value, by the class of the message."""

FORMER_COUNTS = {"foreign_packets": "unreferenced_packets"}
"""Former → present names in ``source_counts`` of ``status``. For one release the server writes both."""

_encoder = msgspec.json.Encoder()
_object_decoder = msgspec.json.Decoder(dict[str, object])
_KNOWN = ", ".join(command.value for command in Command)


class _Version(msgspec.Struct, frozen=True):
    """The part of a ``connect`` line that belongs to this dialect alone."""

    version: int = PROTOCOL_VERSION


def encode(message: Message) -> bytes:
    r"""Return *message* as one line, newline included.

    >>> encode(Connect(payload="ts"))
    b'{"command":"connect","version":1,"payload":"ts"}\n'
    """
    return _encoder.encode(_keys_of(message)) + b"\n"


def to_object(message: Message) -> dict[str, Any]:
    """Return what :func:`encode` writes, as a dictionary of plain values.

    >>> to_object(Connect(payload="ts"))
    {'command': 'connect', 'version': 1, 'payload': 'ts'}
    """
    return cast("dict[str, Any]", msgspec.to_builtins(_keys_of(message)))


def _keys_of(message: Message) -> dict[str, object]:
    head, fields = _HEADS[type(message)], msgspec.structs.asdict(message)
    if isinstance(message, Connect):
        head = {**head, "version": PROTOCOL_VERSION}
        if message.transport == "udp":
            del fields["transport"]  # a server that does not know this key refuses the line
    elif isinstance(message, Connected):
        fields["version"] = PROTOCOL_VERSION
    elif isinstance(message, Status):
        counts = message.server.source_counts
        former = {old: counts[new] for old, new in FORMER_COUNTS.items() if new in counts}
        fields["server"] = msgspec.structs.replace(message.server, source_counts=counts | former)
    return {**head, **fields}


def check_length_untrusted(line: bytes) -> None:
    """Raise :class:`RemoteProtocolError` (``oversized``) for a line over :data:`MAX_LINE_BYTES`."""
    if len(line) > MAX_LINE_BYTES:
        message = f"a control line has at most {MAX_LINE_BYTES} bytes, this one has more; send one JSON object a line"
        raise RemoteProtocolError("oversized", message)


def parse_request_untrusted(line: bytes) -> Request | Login:
    """Return the request in *line*, or raise :class:`RemoteProtocolError` and nothing else.

    Codes: ``oversized``, ``malformed`` (not a JSON object), ``unknown_command``, ``invalid`` (a field is of a
    wrong type, unknown or out of range), ``unsupported_version``.

    >>> parse_request_untrusted(b'{"command":"connect","payload":"ts"}')
    Connect(payload='ts', transport='udp')
    """
    check_length_untrusted(line)
    try:
        fields = _object_decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f'not a JSON object of the form {{"command":"status"}}: {error}'
        raise RemoteProtocolError("malformed", message) from error
    name = fields.pop("command", None)
    if not isinstance(name, str) or name not in _REQUESTS:
        seen = 'the field "command" is missing' if name is None else f"unknown command {name!r:.80}"
        raise RemoteProtocolError("unknown_command", f"{seen}: send one of {_KNOWN}")
    try:
        version = _take_version(fields) if name == Command.CONNECT else PROTOCOL_VERSION
        request = msgspec.convert(fields, _REQUESTS[name])
    except (msgspec.ValidationError, RecursionError) as error:
        raise RemoteProtocolError("invalid", f"{name}: {error}") from error
    if version != PROTOCOL_VERSION:
        message = f"protocol version {version} is not spoken here: this server speaks {PROTOCOL_VERSION}"
        raise RemoteProtocolError("unsupported_version", message)
    return request


def _take_version(fields: dict[str, object]) -> int:
    """Take the key ``version`` out of *fields*; raises :class:`msgspec.ValidationError` unless it is an integer."""
    present = {"version": fields.pop("version")} if "version" in fields else {}
    return msgspec.convert(present, _Version).version


def parse_from_server_untrusted(line: bytes) -> Reply | Event:
    """Return the reply or event in *line*, or raise :class:`RemoteProtocolError` and nothing else."""
    check_length_untrusted(line)
    try:
        fields = _object_decoder.decode(line)
        message = msgspec.convert(fields, _kind_untrusted(fields))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError("malformed", f"the server sent a line that is not flume control: {error}") from error
    return _with_present_names(message) if isinstance(message, Status) else message


def _with_present_names(status: Status) -> Status:
    counts = {FORMER_COUNTS.get(name, name): count for name, count in status.server.source_counts.items()}
    return msgspec.structs.replace(status, server=msgspec.structs.replace(status.server, source_counts=counts))


def _kind_untrusted(fields: Mapping[str, object]) -> type[Reply | Event]:
    """Return the class of the reply or event in *fields*; raises :class:`msgspec.ValidationError`."""
    key, kinds = ("event", _EVENTS) if fields.get("event") is not None else ("reply", _REPLIES)
    name = fields.get(key)
    kind = cast("Mapping[object, type[Reply | Event]]", kinds).get(name) if isinstance(name, str) else None
    if kind is None:
        message = f"no {key} is called {name!r:.80}" if name is not None else "it has neither reply nor event"
        raise msgspec.ValidationError(message)
    return kind


class LineBuffer:
    """Collects bytes, and gives out one line at a time: taking a line costs no more than that line is long.

    An oversized line is reported once and skipped up to its newline. The connection stays open after it, so that a
    person's typing session survives one bad paste. Skipping needs no memory.

    >>> lines = LineBuffer()
    >>> lines.append_untrusted(b'{"command":"status"}\\r\\n\\n{"comm')
    >>> lines.take_untrusted(), lines.take_untrusted(), lines.take_untrusted()
    (b'{"command":"status"}', b'', None)
    """

    def __init__(self, *, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        """Begin at the start of a line; a line has at most *max_line_bytes*, the newline included."""
        self._max_line_bytes = max_line_bytes
        self._pending = bytearray()
        self._searched = 0
        """How many of the pending bytes are known to hold no newline."""
        self._skipping = False

    @property
    def pending_bytes(self) -> int:
        """How many bytes have come and were not taken."""
        return len(self._pending)

    def append_untrusted(self, data: bytes | memoryview) -> None:
        """Keep *data*, whatever its length: who feeds the buffer bounds it. Raises nothing."""
        self._pending += data

    def take_untrusted(self) -> Line | None:
        """Return the next line, empty for a blank one; ``None`` until it is complete. Raises nothing."""
        end = self._pending.find(b"\n", self._searched)
        if end < 0:
            return self._take_beginning()
        line = bytes(self._pending[:end])
        del self._pending[: end + 1]
        self._searched = 0
        if self._skipping:
            self._skipping = False
            return b""
        if len(line) >= self._max_line_bytes:  # one byte is the newline's
            return self._oversized()
        return line.rstrip(b"\r") if line.strip() else b""

    def _take_beginning(self) -> Line | None:
        """Return an error, once, if a line that has no end yet is too long already."""
        self._searched = len(self._pending)
        if not self._skipping and self._searched < self._max_line_bytes:
            return None
        was_skipping, self._skipping = self._skipping, True
        self._pending.clear()
        self._searched = 0
        return None if was_skipping else self._oversized()

    def _oversized(self) -> RemoteProtocolError:
        message = f"a control line has at most {self._max_line_bytes} bytes; this one was skipped"
        return RemoteProtocolError("oversized", message)

    def clear(self) -> None:
        """Forget all that was not taken."""
        self._pending.clear()
        self._searched = 0


class LineAssembler:
    """Collects bytes into lines, as :class:`LineBuffer`, and returns all lines that are complete.

    >>> LineAssembler().feed_untrusted(b'{"command":"status"}\\r\\n{"comm')
    [b'{"command":"status"}']
    """

    def __init__(self) -> None:
        """Begin at the start of a line."""
        self._buffer = LineBuffer()

    @property
    def pending_bytes(self) -> int:
        """How many bytes of an unfinished line have come so far."""
        return self._buffer.pending_bytes

    def feed_untrusted(self, data: bytes) -> list[Line]:
        """Take *data* and return what is now complete; blank lines are left out. Raises nothing."""
        self._buffer.append_untrusted(data)
        lines: list[Line] = []
        while (line := self._buffer.take_untrusted()) is not None:
            if line:
                lines.append(line)
        return lines
