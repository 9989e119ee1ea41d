r"""Requests, responses and interleaved packets on one RTSP connection (RFC 2326, sections 4 to 7 and 10.12).

A request is a line, headers and an empty line, perhaps a body; a packet is ``$``, a channel, a length of two bytes and
the packet. Both sides may send packets between their messages.

A player that is not quite right is understood: lines that end with a lone newline, empty lines before a request, header
names in any case, a packet in the midst of pipelined requests. What is wrong is answered by the status that the RFC has
for it. Where the end of a wrong request is known, the connection goes on behind it.
"""

import enum
import string
from collections.abc import Callable, Mapping
from typing import Generic, NamedTuple, TypeVar

VERSION = "RTSP/1.0"

MAX_HEAD_BYTES = 8192
"""Longest request line with headers. The longest seen is RealRTSP's, below 1000."""

MAX_BODY_BYTES = 4096
"""Longest body. Those of players are empty, or name a parameter."""

_TOKEN = frozenset(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~")
"""Characters of a method and of a header's name (RFC 2068, section 2.2)."""

_FRAME_HEAD_BYTES = 4


class Status(enum.IntEnum):
    """Status codes that this server answers with (RFC 2326, section 11)."""

    OK = 200
    BAD_REQUEST = 400
    UNAUTHORIZED = 401
    NOT_FOUND = 404
    TOO_LARGE = 413
    URI_TOO_LONG = 414
    NOT_UNDERSTOOD = 451
    SESSION_NOT_FOUND = 454
    NOT_IN_THIS_STATE = 455
    INVALID_RANGE = 457
    NOT_AGGREGATE = 459
    UNSUPPORTED_TRANSPORT = 461
    DESTINATION_UNREACHABLE = 462
    INTERNAL_ERROR = 500
    NOT_IMPLEMENTED = 501
    UNAVAILABLE = 503
    VERSION_NOT_SUPPORTED = 505
    OPTION_NOT_SUPPORTED = 551


REASONS: Mapping[Status, str] = {
    Status.OK: "OK",
    Status.BAD_REQUEST: "Bad Request",
    Status.UNAUTHORIZED: "Unauthorized",
    Status.NOT_FOUND: "Not Found",
    Status.TOO_LARGE: "Request Entity Too Large",
    Status.URI_TOO_LONG: "Request-URI Too Large",
    Status.NOT_UNDERSTOOD: "Parameter Not Understood",
    Status.SESSION_NOT_FOUND: "Session Not Found",
    Status.NOT_IN_THIS_STATE: "Method Not Valid in This State",
    Status.INVALID_RANGE: "Invalid Range",
    Status.NOT_AGGREGATE: "Aggregate Operation Not Allowed",
    Status.UNSUPPORTED_TRANSPORT: "Unsupported Transport",
    Status.DESTINATION_UNREACHABLE: "Destination Unreachable",
    Status.INTERNAL_ERROR: "Internal Server Error",
    Status.NOT_IMPLEMENTED: "Not Implemented",
    Status.UNAVAILABLE: "Service Unavailable",
    Status.VERSION_NOT_SUPPORTED: "RTSP Version Not Supported",
    Status.OPTION_NOT_SUPPORTED: "Option Not Supported",
}


class Request(NamedTuple):
    """One request. Names of *headers* are in lower case; a header that came twice has its values joined by a comma."""

    method: str
    uri: str
    cseq: int
    headers: Mapping[str, str]
    body: bytes = b""


class Response(NamedTuple):
    """One response, of any server: its *status* may be any of three digits. For *headers* see :class:`Request`."""

    status: int
    reason: str
    cseq: int | None
    headers: Mapping[str, str]
    body: bytes = b""


class Packet(NamedTuple):
    """One interleaved packet (RFC 2326, section 10.12)."""

    channel: int
    data: bytes


class Fault(NamedTuple):
    """Bytes that are no request that can be carried out: what to answer. *is_last*: where it ends is not known."""

    status: Status
    message: str
    cseq: int | None = None
    is_last: bool = False


Item = Request | Packet | Fault

_HeadT = TypeVar("_HeadT", Request, Response)


class Messages(Generic[_HeadT]):
    """Collects one side's bytes, and gives out one message or packet at a time. Memory is bounded by the longest."""

    def __init__(self, parse_head: Callable[[bytes], _HeadT | Fault], *, max_body_bytes: int) -> None:
        """Begin at the start of a message, whose line and headers *parse_head* reads."""
        self._parse_head: Callable[[bytes], _HeadT | Fault] = parse_head
        self._max_body_bytes = max_body_bytes
        self._pending = bytearray()
        self._searched = 0
        """How many of the pending bytes are known to hold no end of headers."""
        self._is_over = False

    @property
    def pending_bytes(self) -> int:
        """How many bytes have come and were not taken."""
        return len(self._pending)

    def append_untrusted(self, data: bytes | memoryview) -> None:
        """Keep *data*, whatever its length: who feeds the buffer bounds it. Raises nothing."""
        if not self._is_over:
            self._pending += data

    def clear(self) -> None:
        """Forget what has come."""
        self._pending.clear()
        self._searched = 0

    def take_untrusted(self) -> _HeadT | Packet | Fault | None:
        """Return the next item; ``None`` until one is complete, and after a fault that was the last. Raises nothing."""
        blanks = len(self._pending) - len(self._pending.lstrip(b"\r\n"))
        if blanks:
            del self._pending[:blanks]
            self._searched = 0
        if not self._pending:
            return None
        return self._take_packet() if self._pending[0] == ord("$") else self._take_message()

    def _take_packet(self) -> Packet | None:
        if len(self._pending) < _FRAME_HEAD_BYTES:
            return None
        end = _FRAME_HEAD_BYTES + int.from_bytes(self._pending[2:4], "big")
        if len(self._pending) < end:
            return None
        packet = Packet(self._pending[1], bytes(self._pending[_FRAME_HEAD_BYTES:end]))
        self._drop(end)
        return packet

    def _take_message(self) -> _HeadT | Fault | None:
        end, length = self._end_of_head()
        if end < 0 and len(self._pending) < MAX_HEAD_BYTES + 4:  # with the empty line
            return None
        if not 0 <= end <= MAX_HEAD_BYTES:
            return self._end(Fault(Status.TOO_LARGE, f"a request has at most {MAX_HEAD_BYTES} bytes before its body"))
        head = self._parse_head(bytes(self._pending[:end]))
        if isinstance(head, Fault):
            return self._skip(head, end, length)
        body = _content_length(head.headers, self._max_body_bytes)
        if isinstance(body, Fault):
            return self._end(body._replace(cseq=head.cseq))
        if len(self._pending) < end + length + body:
            return None
        content = bytes(self._pending[end + length : end + length + body])
        self._drop(end + length + body)
        return head._replace(body=content)

    def _skip(self, fault: Fault, end: int, length: int) -> Fault:
        """Go on behind a wrong head, unless it may have a body: that must not be taken for requests."""
        if fault.is_last or b"content-length" in self._pending[:end].lower():
            return self._end(fault)
        self._drop(end + length)
        return fault

    def _end_of_head(self) -> tuple[int, int]:
        """Return where the headers end and how long the empty line is; -1 until it has come."""
        start = max(0, self._searched - 3)
        found = [
            (at, len(mark))
            for mark in (b"\r\n\r\n", b"\n\n", b"\n\r\n")
            if (at := self._pending.find(mark, start)) >= 0
        ]
        end = min(found, default=(-1, 0))
        self._searched = len(self._pending) if end[0] < 0 else end[0]  # a body may still be on its way
        return end

    def _drop(self, count: int) -> None:
        del self._pending[:count]
        self._searched = 0

    def _end(self, fault: Fault) -> Fault:
        self.clear()
        self._is_over = True
        return fault._replace(is_last=True)


class MessageBuffer(Messages[Request]):
    r"""Collects a client's bytes into requests and packets.

    >>> messages = MessageBuffer()
    >>> messages.append_untrusted(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n$\1\0\2ab")
    >>> messages.take_untrusted().method, messages.take_untrusted(), messages.take_untrusted()
    ('OPTIONS', Packet(channel=1, data=b'ab'), None)
    """

    def __init__(self) -> None:
        """Begin at the start of a request."""
        super().__init__(parse_head_untrusted, max_body_bytes=MAX_BODY_BYTES)


def parse_head_untrusted(head: bytes) -> Request | Fault:
    """Return the request whose line and headers are *head*, without its body; or what is wrong. Raises nothing."""
    try:
        first, *lines = head.decode().replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError:
        return Fault(Status.BAD_REQUEST, "a request is text in UTF-8")
    headers = headers_untrusted(lines)
    if isinstance(headers, Fault):
        return headers
    cseq = number(headers.get("cseq"))
    method, _, rest = first.partition(" ")
    uri, _, version = rest.rpartition(" ")
    if not method or not set(method) <= _TOKEN or not uri or " " in uri or not uri.isprintable():
        return Fault(Status.BAD_REQUEST, f"a request begins with METHOD URI {VERSION}", cseq)
    if version != VERSION:
        # A web page can make a browser send HTTP with requests of RTSP in its body, so that nothing behind it counts.
        is_other = not version.startswith("RTSP/")
        return Fault(Status.VERSION_NOT_SUPPORTED, f"this server speaks {VERSION}", cseq, is_last=is_other)
    if cseq is None:
        return Fault(Status.BAD_REQUEST, "a request has one CSeq, a number")
    return Request(method, uri, cseq, headers)


def headers_untrusted(lines: list[str]) -> dict[str, str] | Fault:
    """Return the headers in *lines*, names in lower case; or which line is none. Raises nothing."""
    headers: dict[str, str] = {}
    for line in _unfolded(lines):
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if not colon or not name or not set(name) <= _TOKEN:
            return Fault(Status.BAD_REQUEST, f"no header: {line[:80]!r}", number(headers.get("cseq")))
        value = value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _unfolded(lines: list[str]) -> list[str]:
    """Join each line that begins with a space to the one before it (RFC 2068, section 2.2)."""
    joined: list[str] = []
    for line in lines:
        if line[:1] in {" ", "\t"} and joined:
            joined[-1] += " " + line.strip()
        elif line:
            joined.append(line)
    return joined


def number(text: str | None) -> int | None:
    """Return the number in *text*, of at most ten digits."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 10 else None


def _content_length(headers: Mapping[str, str], most: int) -> int | Fault:
    text = headers.get("content-length", "0")
    length = number(text)
    if length is None:
        return Fault(Status.BAD_REQUEST, f"no length of a body: {text[:40]!r}")
    if length > most:
        return Fault(Status.TOO_LARGE, f"a body has at most {most} bytes")
    return length


def encode_response(status: Status, cseq: int | None, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    r"""Return a response. The *headers* are those behind CSeq; the length of a *body* is added.

    >>> encode_response(Status.OK, 7, {"Session": "5f"})
    b'RTSP/1.0 200 OK\r\nCSeq: 7\r\nSession: 5f\r\n\r\n'
    """
    lines = [f"{VERSION} {status.value} {REASONS[status]}"]
    if cseq is not None:
        lines.append(f"CSeq: {cseq}")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def packet_header(channel: int, packet_bytes: int) -> bytes:
    r"""Return the four bytes before an interleaved packet.

    >>> packet_header(0, 1328)
    b'$\x00\x050'
    """
    return bytes([ord("$"), channel]) + packet_bytes.to_bytes(2, "big")
