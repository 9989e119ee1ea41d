"""The dialect *RTSP* (RFC 2326): the bytes of one connection in, commands, replies and frames out. Pure.

The judge's terms are those of the session, so a method becomes the command that it stands for: SETUP *connect*, PLAY
*continue*, PAUSE *interrupt*, TEARDOWN *disconnect*, any other *status*. The reply to SETUP names the client's port, so
no token has to. A reply belongs to the request with its CSeq.

RTSP is read anew here: the judge does not rest on the messages that it judges. It reads more loosely than the server,
so that a server that answers what it should refuse is judged by what it does.
"""

import re
from typing import NamedTuple

from flume.lab.evidence.facts import Command, Endpoint, Event, Reply
from flume.lab.evidence.json_lines import Frame

COMMANDS = {"SETUP": "connect", "PLAY": "continue", "PAUSE": "interrupt", "TEARDOWN": "disconnect"}

_LONGEST_HEAD_BYTES = 65_536
"""Longer text without an empty line is no message: the server refuses it long before."""
_LONGEST_BODY_BYTES = 65_536
"""A longer body hides no media: all of it counts as media."""
_DOLLAR = ord("$")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_METHOD = re.compile(r"[A-Za-z][A-Za-z_-]*")
_MOST_REQUESTS = 1024
"""Requests of one connection without an answer that are kept."""


def begins_untrusted(first: bytes) -> bool:
    """Whether a connection that begins with *first*, from either side, speaks RTSP: a method in capitals."""
    return first[:1].isalpha() and first[:1].isupper()


class _Message(NamedTuple):
    """A request or response: its first line, headers by lower-case name, and where it began."""

    first: str
    headers: dict[str, str]
    offset: int


class _Splitter:
    """Cuts one direction into messages, and interleaved packets between them."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._offset = 0

    def feed_untrusted(self, data: bytes) -> list[_Message | Frame]:
        """Take the next bytes; return what they complete, in order. Bytes that are neither count as a frame."""
        self._rest += data
        items: list[_Message | Frame] = []
        while self._rest:
            item, length = self._next()
            if not length:
                break
            if item is not None:
                items.append(item)
            del self._rest[:length]
            self._offset += length
        return items

    def _next(self) -> tuple[_Message | Frame | None, int]:
        """Return the item at the beginning and its length; 0 until it is complete."""
        rest = self._rest
        if rest[0] in b"\r\n":
            return None, 1
        if rest[0] == _DOLLAR:
            end = 4 + int.from_bytes(rest[2:4], "big") if len(rest) >= 4 else len(rest) + 1
            return (Frame(bytes(rest[4:end]), self._offset), end) if len(rest) >= end else (None, 0)
        if not chr(rest[0]).isalpha():  # what is no message is judged as media: bad framing hides nothing
            return Frame(bytes(rest), self._offset), len(rest)
        head = _END_OF_HEAD.search(rest)
        if head is None:
            is_too_long = len(rest) > _LONGEST_HEAD_BYTES
            return (Frame(bytes(rest), self._offset), len(rest)) if is_too_long else (None, 0)
        message = _message(bytes(rest[: head.start()]), self._offset)
        body = _number(message.headers.get("content-length")) or 0
        if body > _LONGEST_BODY_BYTES:
            return Frame(bytes(rest), self._offset), len(rest)
        return (message, head.end() + body) if len(rest) >= head.end() + body else (None, 0)


class _Asked(NamedTuple):
    method: str
    over_tcp: bool
    port: int | None


class Rtsp:
    """One connection in this dialect."""

    def __init__(self, client: Endpoint) -> None:
        """Begin with the first byte of both directions; *client* is the client's end of the connection."""
        self._client = client
        self._from_client, self._from_server = _Splitter(), _Splitter()
        self._asked: dict[int, _Asked] = {}

    def from_client_untrusted(self, time_s: float, data: bytes) -> list[Command]:
        """Take bytes that the client sent; return the commands that they complete. Raises nothing."""
        commands = []
        for item in self._from_client.feed_untrusted(data):
            if isinstance(item, Frame):
                continue  # RTCP of the client
            method = item.first.partition(" ")[0]
            transport = item.headers.get("transport", "").lower()
            over_tcp = "/tcp" in transport
            cseq = _number(item.headers.get("cseq"))
            if cseq is not None and len(self._asked) < _MOST_REQUESTS:
                self._asked[cseq] = _Asked(method, over_tcp, _client_port(transport))
            commands.append(Command(time_s, self._client, _command(method) or "?", over_tcp=over_tcp))
        return commands

    def from_server_untrusted(self, time_s: float, data: bytes, *, has_begin: bool) -> list[Reply | Event | Frame]:
        """Take bytes that the server sent; return what they complete, in their order. Raises nothing.

        Where the capture lacks the beginning (*has_begin* is false), what is no message is an event without a name.
        """
        items: list[Reply | Event | Frame] = []
        for item in self._from_server.feed_untrusted(data):
            if isinstance(item, _Message):
                items.append(self._answer(time_s, item))
            elif not has_begin:
                items.append(Event(time_s, self._client, "", offset=item.offset))
            elif not _is_rtcp(item.data):
                items.append(item)
        return items

    def _answer(self, time_s: float, message: _Message) -> Reply | Event:
        version, _, rest = message.first.partition(" ")
        if not version.startswith("RTSP/"):
            return Event(time_s, self._client, message.first.partition(" ")[0].lower(), offset=message.offset)
        status = rest[:3]
        cseq = _number(message.headers.get("cseq"))
        asked = self._asked.pop(cseq, None) if cseq is not None else None
        command = None if asked is None else _command(asked.method)
        transport = message.headers.get("transport", "").lower()
        is_setup = asked is not None and asked.method == "SETUP"
        port = (_client_port(transport) or (asked.port if asked else None)) if is_setup else None
        over_tcp = is_setup and "/tcp" in transport
        return Reply(
            time_s,
            self._client,
            command,
            None if status.startswith("2") else status or "error",
            first_sequence=_sequence(message.headers.get("rtp-info")),
            offset=message.offset,
            over_tcp=over_tcp,
            media=None if over_tcp or port is None else (self._client[0], port),
        )


def _command(method: str) -> str | None:
    """Return the command that *method* stands for; None for what is no method, such as the lines of another dialect.

    >>> _command("PLAY"), _command("GET_PARAMETER"), _command("{}")
    ('continue', 'status', None)
    """
    return COMMANDS.get(method, "status") if _METHOD.fullmatch(method) else None


def _message(head: bytes, offset: int) -> _Message:
    first, *lines = head.decode(errors="replace").splitlines() or [""]
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers.setdefault(name.strip().lower(), value.strip())
    return _Message(first, headers, offset)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 10 else None


def _client_port(transport: str) -> int | None:
    """Return the client's port for media in a Transport header, in lower case."""
    found = re.search(r"client_port=(\d{1,5})", transport, re.ASCII)
    return int(found[1]) if found else None


def _sequence(rtp_info: str | None) -> int | None:
    found = re.search(r";seq=(\d{1,5})(?!\d)", rtp_info or "", re.ASCII)
    return int(found[1]) if found else None


def _is_rtcp(packet: bytes) -> bool:
    """Whether *packet* is of RTCP: its second byte is 192 to 223 (RFC 5761, section 4)."""
    return len(packet) >= 8 and packet[0] >> 6 == 2 and 192 <= packet[1] <= 223
