"""The dialect *JSON lines*: the bytes of one control connection in, commands, replies, events and frames out. Pure.

The client writes one JSON object a line. The server writes one JSON object a line too, and between its lines it may
send RTP packets in frames of RFC 4571 (two bytes of length, then the packet). This is the only module of the judge
that knows any of this. A second dialect is a second module with a class like :class:`JsonLines`.

The protocol is read anew here, as plain JSON objects: the judge does not rest on the message types that it judges.
"""

import json
from typing import NamedTuple

from flume.lab.evidence.facts import Command, Endpoint, Event, Reply
from flume.settings import MAX_LINE_BYTES

_LONGEST_LINE_BYTES = 4 * MAX_LINE_BYTES
"""Longer text without a newline is no line of the protocol: the server refuses a line long before."""
_FRAMES_BEGIN_BELOW = 8
"""A frame (RFC 4571) begins with its length, of which the first byte is below this; no text begins so."""
_LENGTH_BYTES = 2
_LINE_BEGINS = b"{\r\n"
"""The first byte of a line of the server is one of these; ``\\r`` and ``\\n`` begin a blank line."""

_MOST_MS = 1_000_000_000
"""A longer time than these twelve days is no timeout."""


class Unit(NamedTuple):
    """A line, newline included, or what one frame carries. Bytes that begin like neither count as a frame."""

    data: bytes
    is_frame: bool
    offset: int
    """Of its first byte in the direction's stream, from 0: gives the order of two units in one segment."""


class Frame(NamedTuple):
    """One packet of the media that came on the control connection itself."""

    data: bytes
    offset: int
    """Of its frame in the server's bytes of the connection."""


class LineSplitter:
    """Cuts the client's bytes into lines."""

    def __init__(self) -> None:
        """Begin at the first byte."""
        self._partial = b""

    def feed_untrusted(self, data: bytes) -> list[bytes]:
        """Take the next bytes; return the lines that they complete, newlines included. Raises nothing."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > _LONGEST_LINE_BYTES:
            self._partial = b""
        return [line + b"\n" for line in lines]


class UnitSplitter:
    """Cuts the server's bytes into lines, and frames between them.

    >>> UnitSplitter().feed_untrusted(b'{}' + b'\\n' + b'\\0\\1a', has_begin=True)
    [Unit(data=b'{}\\n', is_frame=False, offset=0), Unit(data=b'a', is_frame=True, offset=3)]
    """

    def __init__(self) -> None:
        """Begin at the first byte."""
        self._rest = bytearray()
        self._offset = 0

    def feed_untrusted(self, data: bytes, *, has_begin: bool) -> list[Unit]:
        """Take the next bytes; return the lines and frames that they complete, in their order. Raises nothing.

        Without *has_begin* the bytes before the first are not known. A byte below 8 may then be in the middle of a
        packet, so everything is read as lines.
        """
        rest, at = self._rest, 0
        rest += data
        units: list[Unit] = []
        while at < len(rest):
            is_frame = has_begin and rest[at] < _FRAMES_BEGIN_BELOW
            is_neither = has_begin and not is_frame and rest[at] not in _LINE_BEGINS
            end = self._end_of_frame(at) if is_frame else rest.find(b"\n", at) + 1
            if is_neither:  # Its end is not known, and may never come.
                end = end or len(rest)
            elif end == 0 and len(rest) - at > _LONGEST_LINE_BYTES:
                end, is_neither = len(rest), has_begin
            if not 0 < end <= len(rest):
                break
            start = at + _LENGTH_BYTES if is_frame else at
            if start < end:
                units.append(Unit(bytes(rest[start:end]), is_frame or is_neither, self._offset + at))
            at = end
        del rest[:at]
        self._offset += at
        return units

    def _end_of_frame(self, at: int) -> int:
        """Return where the frame that begins *at* ends; 0 while its length is not complete."""
        length = self._rest[at : at + _LENGTH_BYTES]
        return at + _LENGTH_BYTES + int.from_bytes(length, "big") if len(length) == _LENGTH_BYTES else 0


class JsonLines:
    """One control connection in this dialect."""

    def __init__(self, client: Endpoint) -> None:
        """Begin with the first byte of both directions; *client* is the client's end of the connection."""
        self._client = client
        self._lines, self._units = LineSplitter(), UnitSplitter()

    def from_client_untrusted(self, time_s: float, data: bytes) -> list[Command]:
        """Take bytes that the client sent; return the commands that they complete. Raises nothing."""
        return [command_untrusted(time_s, self._client, line) for line in self._lines.feed_untrusted(data)]

    def from_server_untrusted(self, time_s: float, data: bytes, *, has_begin: bool) -> list[Reply | Event | Frame]:
        """Take bytes that the server sent; return what they complete, in their order. Raises nothing.

        Whatever is not the protocol counts as media, as it does over UDP: bad framing hides nothing. Where the capture
        lacks the beginning (*has_begin* is false), such bytes are an event without a name.
        """
        return [
            self._answer(time_s, unit, has_begin=has_begin)
            for unit in self._units.feed_untrusted(data, has_begin=has_begin)
        ]

    def _answer(self, time_s: float, unit: Unit, *, has_begin: bool) -> Reply | Event | Frame:
        message = None if unit.is_frame else json_object(unit.data)
        if unit.is_frame or (has_begin and message is None and unit.data.strip()):
            return Frame(unit.data, unit.offset)
        return answer_untrusted(time_s, self._client, message or {}, unit.offset)


def command_untrusted(time_s: float, client: Endpoint, line: bytes) -> Command:
    """Return the command in *line*. Its name is ``?`` where the line is no request. Raises nothing."""
    message = json_object(line) or {}
    name = _text(message, "command")
    return Command(time_s, client, "?" if name is None else name, over_tcp=message.get("transport") == "tcp")


def answer_untrusted(time_s: float, client: Endpoint, message: dict[str, object], offset: int) -> Reply | Event:
    """Return *message* of the server as a value; an event without a name where it is neither. Raises nothing."""
    state = _text(message, "state")
    numbers = (_number(message, "first_sequence"), _number(message, "last_sequence"), _number(message, "datagrams"))
    if "reply" not in message:
        return Event(time_s, client, _text(message, "event") or "", state, *numbers, offset)
    is_refusal = message["reply"] == "error"
    token, timeout_ms = _text(message, "token"), _number(message, "consent_timeout_ms")
    code = str(message.get("code", "error"))
    return Reply(
        time_s,
        client,
        _text(message, "command" if is_refusal else "reply"),
        ("code:ok" if code == "ok" else code) if is_refusal else None,
        state,
        *numbers,
        offset,
        None if token is None else token.encode(errors="surrogatepass"),
        message.get("transport") == "tcp",
        timeout_ms / 1000 if timeout_ms is not None and 0 < timeout_ms < _MOST_MS else None,
    )


def json_object(line: bytes) -> dict[str, object] | None:
    """Return the object that is *line*; None where it is none."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _text(message: dict[str, object], key: str) -> str | None:
    value = message.get(key)
    return value if isinstance(value, str) else None


def _number(message: dict[str, object], key: str) -> int | None:
    value = message.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
