r"""The client's side of RTSP 1.0 (RFC 2326): writes requests, reads responses and the SDP (RFC 4566) of any server.

A server that is not quite right is understood as a player understands it: a response without CSeq, lines that end with
a lone newline, a Transport in any order.
"""

from collections.abc import Mapping
from typing import NamedTuple

from flume.control.rtsp.headers import number_pair, parameters, printable
from flume.control.rtsp.messages import VERSION, Fault, Messages, Response, Status, headers_untrusted, number

MAX_RESPONSE_BODY_BYTES = 65_536
"""Longest SDP: those of cameras with parameter sets have a few kilobytes."""

MAX_MEDIA, MAX_URI = 32, 1024


class ResponseBuffer(Messages[Response]):
    r"""Collects a server's bytes into responses and packets.

    >>> responses = ResponseBuffer()
    >>> responses.append_untrusted(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n$\0\0\1a")
    >>> responses.take_untrusted().status, responses.take_untrusted()
    (200, Packet(channel=0, data=b'a'))
    """

    def __init__(self) -> None:
        """Begin at the start of a response."""
        super().__init__(parse_response_untrusted, max_body_bytes=MAX_RESPONSE_BODY_BYTES)


def parse_response_untrusted(head: bytes) -> Response | Fault:
    """Return the response whose line and headers are *head*, without its body; or what is wrong. Raises nothing."""
    first, *lines = head.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    version, _, rest = first.partition(" ")
    status, _, reason = rest.strip().partition(" ")
    if not version.startswith("RTSP/1.") or not (len(status) == 3 and number(status) is not None):
        return Fault(Status.BAD_REQUEST, f"a response begins with {VERSION} and a status")
    headers = headers_untrusted(lines)
    if isinstance(headers, Fault):
        return headers
    return Response(int(status), reason.strip(), number(headers.get("cseq")), headers)


def encode_request(method: str, uri: str, cseq: int, headers: Mapping[str, str]) -> bytes:
    r"""Return a request without a body.

    >>> encode_request("PLAY", "rtsp://192.0.2.7:5004/", 4, {"Session": "5f"})
    b'PLAY rtsp://192.0.2.7:5004/ RTSP/1.0\r\nCSeq: 4\r\nSession: 5f\r\n\r\n'
    """
    lines = [f"{method} {uri} {VERSION}", f"CSeq: {cseq}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


class ServerTransport(NamedTuple):
    """What a server says in answer to SETUP. Ports and channel are ``None`` where it names none."""

    over_tcp: bool
    port: int | None = None
    rtcp_port: int | None = None
    channel: int | None = None
    source: str | None = None
    """The address that the media come from, where it is named."""


def server_transport_untrusted(header: str) -> ServerTransport:
    """Return what the Transport header of a response says. Raises nothing.

    >>> server_transport_untrusted("RTP/AVP;unicast;client_port=9000-9001;server_port=5004-5005")
    ServerTransport(over_tcp=False, port=5004, rtcp_port=5005, channel=None, source=None)
    """
    name, *rest = header.partition(",")[0].split(";")
    values = dict(parameters(rest))
    port, rtcp_port = number_pair(values.get("server_port", ""))
    channel, _ = number_pair(values.get("interleaved", ""))
    has_ports = all(0 < each < 65_536 for each in (port, rtcp_port) if each is not None)
    return ServerTransport(
        over_tcp=name.strip().upper() == "RTP/AVP/TCP",
        port=port if has_ports else None,
        rtcp_port=rtcp_port if has_ports else None,
        channel=channel if channel is not None and channel < 256 else None,
        source=values.get("source", "")[:64] or None,
    )


class Media(NamedTuple):
    """One stream of a description: ``video`` or another kind, its format, and the address that SETUP names."""

    kind: str
    format: str
    uri: str


def read_description_untrusted(sdp: bytes, base: str) -> list[Media]:
    r"""Return the streams over RTP in *sdp* whose control addresses are relative to *base*. Raises nothing.

    >>> read_description_untrusted(b"v=0\nm=video 0 RTP/AVP 33\na=control:stream=0\n", "rtsp://192.0.2.7/")
    [Media(kind='video', format='MP2T/90000', uri='rtsp://192.0.2.7/stream=0')]
    """
    lines = [line.strip() for line in sdp.decode("utf-8", "replace").splitlines()]
    if not lines or lines[0] != "v=0":
        return []
    found: list[Media] = []
    is_rtp = False
    for line in lines:
        kind, _, value = line.partition("=")
        if kind == "m":
            words = value.split()
            is_rtp = len(words) >= 4 and words[2].upper().startswith("RTP/") and len(found) < MAX_MEDIA
            if is_rtp:
                payload = "MP2T/90000" if words[3] == "33" else f"payload type {words[3]}"
                found.append(Media(_words(words[0]), _words(payload), base))
        elif is_rtp and kind == "a":
            found[-1] = _with_attribute(found[-1], value, base)
    return found


def _with_attribute(media: Media, attribute: str, base: str) -> Media:
    name, _, value = attribute.partition(":")
    if name == "rtpmap":
        return media._replace(format=_words(value.partition(" ")[2]) or media.format)
    if name == "control" and value not in {"", "*"}:
        uri = value if "://" in value else f"{base.rstrip('/')}/{value}"
        is_sendable = uri.isprintable() and uri.isascii() and " " not in uri and len(uri) <= MAX_URI
        return media._replace(uri=uri) if is_sendable else media
    return media


def _words(text: str) -> str:
    """Return *text* as it can be shown to a person."""
    return printable(text)[:60].strip()
