"""The dialect *RTSP* (RFC 2326): the bytes of one connection in, commands, replies and frames out. Pure.

The judge's terms are those of the session, so a method becomes the command that it stands for: SETUP *connect*, PLAY
*continue*, PAUSE *interrupt*, TEARDOWN *disconnect*, any other *status*. The reply to SETUP names the client's port, so
no token has to. A reply belongs to the request with its CSeq.

RTSP is read anew here: the judge does not rest on the messages that it judges. It reads more loosely than the server,
so that a server that answers what it should refuse is judged by what it does. What the server says grants nothing where
it is not clear what it answers, and hides nothing: bytes that are no message, and a body that belongs to no answer,
count as media.
"""

import re
from typing import NamedTuple

from flume.lab.evidence.facts import Command, Endpoint, Event, Reply
from flume.lab.evidence.json_lines import Frame, json_object

COMMANDS = {"SETUP": "connect", "PLAY": "continue", "PAUSE": "interrupt", "TEARDOWN": "disconnect"}

_LONGEST_HEAD_BYTES = 16_384
"""Longer text without an empty line is no message: the server refuses it long before, and writes none as long."""
_LONGEST_BODY_BYTES = 4096
"""A longer body hides no media: it is read as messages and packets, and counts as media where it is neither."""
_LONGEST_RTCP_BYTES = 512
"""A longer packet is no report (sender report, name, BYE), whatever its second byte says."""
_DOLLAR, _BRACE = ord("$"), ord("{")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_CLIENT_BEGINS = re.compile(rb"[A-Za-z]")
_SERVER_BEGINS = re.compile(rb"RTSP/|[A-Z_-]{1,24}( |\Z)")
_METHOD = re.compile(r"[A-Za-z][A-Za-z_-]*")
_MOST_REQUESTS = 1024
"""Requests of one connection without an answer that are kept."""


def begins_untrusted(first: bytes) -> bool:
    """Whether a connection that begins with *first*, from either side, speaks RTSP: a method in capitals."""
    return first[:1].isalpha() and first[:1].isupper()


class _Message(NamedTuple):
    """A request or response: its first line, headers by lower-case name, and where it began.

    A whole line of JSON, by which the server may turn a connection away, is a message with an empty first line.
    """

    first: str
    headers: dict[str, str]
    offset: int
    data: bytes
    """All of it. Of a body that is too long, as much as has come with the headers."""
    body_at: int
    has_long_body: bool = False

    @property
    def body(self) -> bytes:
        return self.data[self.body_at :]


class _Splitter:
    """Cuts one direction into messages, and interleaved packets between them."""

    def __init__(self, begins: re.Pattern[bytes]) -> None:
        """Take for a message what *begins* so."""
        self._begins = begins
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
        if rest[0] == _BRACE:
            return self._json_line()
        if self._begins.match(rest) is None:  # bad framing hides nothing
            return Frame(bytes(rest), self._offset), len(rest)
        head = _END_OF_HEAD.search(rest)
        if head is None:
            return self._incomplete()
        first, headers = _read_head(bytes(rest[: head.start()]))
        body = _number(headers.get("content-length")) or 0
        is_long = body > _LONGEST_BODY_BYTES
        end = len(rest) if is_long else head.end() + body
        message = _Message(first, headers, self._offset, bytes(rest[:end]), head.end(), is_long)
        return (message, end) if len(rest) >= end else (None, 0)

    def _json_line(self) -> tuple[_Message | Frame | None, int]:
        line = bytes(self._rest[: self._rest.find(b"\n") + 1])
        if not line:
            return self._incomplete()
        is_json = json_object(line) is not None
        return _Message("", {}, self._offset, line, len(line)) if is_json else Frame(line, self._offset), len(line)

    def _incomplete(self) -> tuple[Frame | None, int]:
        """Return what has come of a message, if it is too long for one."""
        rest = self._rest
        return (Frame(bytes(rest), self._offset), len(rest)) if len(rest) > _LONGEST_HEAD_BYTES else (None, 0)


class _Offer(NamedTuple):
    """What a Transport header lists."""

    over_udp: bool
    over_tcp: bool
    ports: tuple[int, ...]
    """The client's, for media over UDP."""


class _Asked(NamedTuple):
    cseq: int | None
    name: str
    offer: _Offer


class Rtsp:
    """One connection in this dialect."""

    def __init__(self, client: Endpoint) -> None:
        """Begin with the first byte of both directions; *client* is the client's end of the connection."""
        self._client = client
        self._from_client, self._from_server = _Splitter(_CLIENT_BEGINS), _Splitter(_SERVER_BEGINS)
        self._asked: list[_Asked] = []
        """Requests without an answer, in their order."""

    def from_client_untrusted(self, time_s: float, data: bytes) -> list[Command]:
        """Take bytes that the client sent; return the commands that they complete. Raises nothing."""
        commands = []
        for item in self._from_client.feed_untrusted(data):
            if isinstance(item, Frame):
                continue  # RTCP of the client
            name = _command(item.first.partition(" ")[0]) or "?"
            offer = _offer(item.headers)
            if len(self._asked) < _MOST_REQUESTS:
                self._asked.append(_Asked(_number(item.headers.get("cseq")), name, offer))
            commands.append(Command(time_s, self._client, name, over_tcp=offer.over_tcp))
        return commands

    def from_server_untrusted(self, time_s: float, data: bytes, *, has_begin: bool) -> list[Reply | Event | Frame]:
        """Take bytes that the server sent; return what they complete, in their order. Raises nothing.

        Where the capture lacks the beginning (*has_begin* is false), what is no message is an event without a name.
        """
        items: list[Reply | Event | Frame] = []
        for item in self._from_server.feed_untrusted(data):
            if isinstance(item, _Message):
                items += self._read(time_s, item)
            elif not _is_rtcp(item.data):
                items.append(item)
        if has_begin:
            return items
        return [
            Event(time_s, self._client, "", offset=item.offset) if isinstance(item, Frame) else item for item in items
        ]

    def _read(self, time_s: float, message: _Message) -> list[Reply | Event | Frame]:
        """Return what a message of the server is: an answer, or none. The body of what answers nothing is media."""
        kind, _, rest = message.first.partition(" ")
        is_response = kind.startswith("RTSP/")
        is_message = is_response or not message.first or "RTSP/" in rest.rpartition(" ")[2]
        status = _status(rest)
        if is_response and not status.startswith("1") and self._asked:
            asked = self._take_asked(message.headers)
            reply = self._reply(time_s, message, asked, status)
            is_media = bool(message.body) and (asked is None or message.has_long_body)
            return [reply, Frame(message.body, message.offset + message.body_at)] if is_media else [reply]
        if message.body or not is_message:
            return [Frame(message.data, message.offset)]
        name = f"rtsp:{kind.lower()}" if kind else ""
        return [Event(time_s, self._client, name, offset=message.offset)]

    def _take_asked(self, headers: dict[str, str]) -> _Asked | None:
        cseq = _number(headers.get("cseq"))
        for position, asked in enumerate(self._asked):
            if asked.cseq == cseq:
                return self._asked.pop(position)
        return None

    def _reply(self, time_s: float, message: _Message, asked: _Asked | None, status: str) -> Reply:
        transport = message.headers.get("transport", "").partition(",")[0]
        answered = _offer({"transport": transport})
        is_setup = asked is not None and asked.name == "connect"
        port = None
        if asked is not None and is_setup and asked.offer.over_udp and not answered.over_tcp:
            offered = asked.offer.ports or answered.ports
            port = next((port for port in answered.ports if port in offered), next(iter(offered), None))
        is_number = re.fullmatch(r"\d{3}", status, re.ASCII) is not None
        is_grant = is_number and status.startswith("2")
        refusal = status if is_number else f"status:{status}"
        if is_grant:
            refusal = "no_cseq" if asked is None else ""
        return Reply(
            time_s,
            self._client,
            None if asked is None or asked.name == "?" else asked.name,
            refusal or None,
            first_sequence=_sequence(message.headers.get("rtp-info")),
            offset=message.offset,
            over_tcp=is_setup and answered.over_tcp,
            media=None if port is None else (self._client[0], port),
            is_unclear=bool(refusal) and (is_grant or not is_number),
        )


def _command(method: str) -> str | None:
    """Return the command that *method* stands for; None for what is no method, such as the lines of another dialect.

    >>> _command("PLAY"), _command("GET_PARAMETER"), _command("{}")
    ('continue', 'status', None)
    """
    return COMMANDS.get(method, "status") if _METHOD.fullmatch(method) else None


def _read_head(head: bytes) -> tuple[str, dict[str, str]]:
    first, *lines = head.decode(errors="replace").splitlines() or [""]
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers.setdefault(name.strip().lower(), value.strip())
    return first, headers


def _status(rest: str) -> str:
    """Return the status in what follows the version: its digits, or the word in their place."""
    found = re.match(r"\s*(\d+|\S{0,16})", rest, re.ASCII)
    return found[1] if found else ""


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 10 else None


def _offer(headers: dict[str, str]) -> _Offer:
    """Return what the Transport among *headers* lists: a transport without TCP in its name is over UDP."""
    listed = headers.get("transport", "").lower().split(",")
    over_udp = [each for each in listed if "/tcp" not in each.partition(";")[0]]
    found = (re.search(r"client_port\s*=\s*\"?(\d{1,5})(?!\d)", each, re.ASCII) for each in over_udp)
    return _Offer(bool(over_udp), len(over_udp) < len(listed), tuple(int(port[1]) for port in found if port))


def _sequence(rtp_info: str | None) -> int | None:
    found = re.search(r";seq=(\d{1,5})(?!\d)", rtp_info or "", re.ASCII)
    return int(found[1]) if found else None


def _is_rtcp(packet: bytes) -> bool:
    """Whether *packet* is of RTCP: its second byte is 192 to 223 (RFC 5761, section 4)."""
    return 8 <= len(packet) <= _LONGEST_RTCP_BYTES and packet[0] >> 6 == 2 and 192 <= packet[1] <= 223
