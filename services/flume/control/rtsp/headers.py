"""What stands in the headers of RTSP: Transport, Session, Range and RTP-Info (RFC 2326, section 12).

A player lists the transports that it can use, the best first; the first that the server has is taken. What the list has
beside it, such as multicast, is no error.
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

LOWEST_PORT = 1024
"""Media go to no port below: services of a host listen there (RFC 6335), and players do not."""

_RTP_OVER_UDP = frozenset({"rtp/avp", "rtp/avp/udp"})
_RTP_OVER_TCP = "rtp/avp/tcp"
_NPT = re.compile(r"npt\s*=\s*(?:now|\d{1,9}(?:\.\d{0,20})?|\d{1,4}:\d\d?:\d\d?(?:\.\d{0,20})?)?\s*-.{0,32}")


class UdpTransport(NamedTuple):
    """RTP over UDP to *port* of the client, RTCP to *rtcp_port*, if the client has one."""

    port: int
    rtcp_port: int | None


class TcpTransport(NamedTuple):
    """RTP on the RTSP connection itself, in packets of *channel*; RTCP in those of *rtcp_channel*."""

    channel: int
    rtcp_channel: int


Transport = UdpTransport | TcpTransport


class TransportRefusal(NamedTuple):
    """Why none of the transports that the client lists can be used."""

    message: str


def choose_transport_untrusted(
    header: str, *, udp: bool, own_addresses: tuple[str, ...]
) -> Transport | TransportRefusal:
    """Return the first transport in *header* that the server has; over UDP only where *udp* says so.

    A ``destination`` that is not one of *own_addresses*, which the client has proved, is refused: a stream goes to no
    other host. Raises nothing.

    >>> choose_transport_untrusted("RTP/AVP;unicast;client_port=9000-9001", udp=True, own_addresses=())
    UdpTransport(port=9000, rtcp_port=9001)
    >>> choose_transport_untrusted("RTP/AVP/TCP;interleaved=2-3", udp=True, own_addresses=())
    TcpTransport(channel=2, rtcp_channel=3)
    """
    refusal = TransportRefusal("no Transport header: send RTP/AVP;unicast;client_port=9000-9001")
    for specification in header.split(",")[:16]:
        name, *rest = (part.strip() for part in specification.split(";"))
        values = dict(parameters(rest))
        chosen = _transport(name.lower(), values, udp=udp, own_addresses=own_addresses)
        if not isinstance(chosen, TransportRefusal):
            return chosen
        refusal = chosen
    return refusal


def parameters(texts: list[str]) -> Iterator[tuple[str, str]]:
    """Yield name, in lower case, and value of each of *texts*: the parts of a Transport header behind its first."""
    for parameter in texts:
        name, _, value = parameter.partition("=")
        yield name.strip().lower(), value.strip().strip('"')


def _transport(
    name: str, values: Mapping[str, str], *, udp: bool, own_addresses: tuple[str, ...]
) -> Transport | TransportRefusal:
    if name not in _RTP_OVER_UDP and name != _RTP_OVER_TCP:
        return TransportRefusal("this server has RTP/AVP over UDP, and RTP/AVP/TCP")
    unwanted = _unwanted(values, own_addresses)
    if unwanted is not None:
        return TransportRefusal(unwanted)
    if name == _RTP_OVER_TCP:
        return _over_tcp(values)
    if not udp:
        return TransportRefusal("this server sends no media over UDP: ask for RTP/AVP/TCP;interleaved=0-1")
    return _over_udp(values)


def _unwanted(values: Mapping[str, str], own_addresses: tuple[str, ...]) -> str | None:
    if "multicast" in values:
        return "this server has no multicast"
    if values.get("mode", "play").lower() != "play":
        return "this server plays, and records nothing"
    destination = values.get("destination", "")
    if destination and _plain(destination) not in {_plain(own) for own in own_addresses}:
        return "media go to the address that this connection comes from: leave out destination"
    return None


def _plain(address: str) -> str:
    """Return *address* in its one spelling: without brackets, and an IPv4 address without the IPv6 around it."""
    try:
        parsed = ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def _over_tcp(values: Mapping[str, str]) -> Transport | TransportRefusal:
    first, second = number_pair(values.get("interleaved", "0-1"))
    if first is None or first > 255 or (second or 0) > 255:
        return TransportRefusal("interleaved names two channels from 0 to 255")
    if second is None:
        second = first + 1 if first < 255 else 254
    if second == first:
        return TransportRefusal("interleaved names two channels from 0 to 255")
    return TcpTransport(first, second)


def _over_udp(values: Mapping[str, str]) -> Transport | TransportRefusal:
    port, rtcp_port = number_pair(values.get("client_port", ""))
    if port is None:
        return TransportRefusal("client_port is missing: send RTP/AVP;unicast;client_port=9000-9001")
    if not all(LOWEST_PORT <= each <= 65_535 for each in (port, port if rtcp_port is None else rtcp_port)):
        return TransportRefusal(f"client_port is from {LOWEST_PORT} to 65535")
    return UdpTransport(port, None if rtcp_port == port else rtcp_port)


def number_pair(text: str) -> tuple[int | None, int | None]:
    """Return the numbers in ``a-b`` or ``a``."""
    match = re.fullmatch(r"(\d{1,5})(?:\s*-\s*(\d{1,5}))?", text, re.ASCII)
    if match is None:
        return None, None
    return int(match[1]), None if match[2] is None else int(match[2])


def transport_header(chosen: Transport, *, port: int, rtcp_port: int | None, ssrc: int) -> str:
    """Return the Transport header of the response to SETUP; *port* and *rtcp_port* are the server's.

    >>> transport_header(TcpTransport(0, 1), port=5004, rtcp_port=5005, ssrc=0xABC)
    'RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=00000ABC;mode="PLAY"'
    """
    if isinstance(chosen, TcpTransport):
        where = f"RTP/AVP/TCP;unicast;interleaved={chosen.channel}-{chosen.rtcp_channel}"
    else:
        theirs = f"{chosen.port}" if chosen.rtcp_port is None else f"{chosen.port}-{chosen.rtcp_port}"
        ours = f"{port}" if rtcp_port is None else f"{port}-{rtcp_port}"
        where = f"RTP/AVP;unicast;client_port={theirs};server_port={ours}"
    return f'{where};ssrc={ssrc:08X};mode="PLAY"'


def printable(text: str) -> str:
    r"""Return *text* with a space for each character that cannot be printed, so that it adds no line of its own.

    >>> printable("a\r\nb")
    'a  b'
    """
    return "".join(character if character.isprintable() else " " for character in text)


def session_id(header: str | None) -> str | None:
    """Return the identifier in a Session header, without its timeout.

    >>> session_id("5f3a;timeout=60")
    '5f3a'
    """
    return None if header is None else header.partition(";")[0].strip()


def is_playable_range(header: str | None) -> bool:
    """Whether the Range of a PLAY asks for what this server can do: play on from now.

    A player names the place at which it paused (``npt=12.5-``); the stream is live, and answers with ``npt=now-``. An
    absolute time is another matter: the stream cannot be moved there.

    >>> is_playable_range("npt=12.5-"), is_playable_range("clock=19961108T143720Z-")
    (True, False)
    """
    return header is None or _NPT.fullmatch(header.strip().lower()) is not None


def rtp_info(uri: str, *, sequence: int | None, timestamp: int | None) -> str:
    """Return the RTP-Info of the response to PLAY: number and time of the first datagram, as far as they are known."""
    first = "" if sequence is None else f";seq={sequence}"
    return f"url={uri}{first}" + ("" if timestamp is None else f";rtptime={timestamp}")


def credentials_untrusted(header: str | None) -> tuple[str, str] | None:
    """Return user and secret of a Basic Authorization header (RFC 7617); ``None`` for any other. Raises nothing.

    >>> credentials_untrusted("Basic YW5uYTpnZWhlaW0=")
    ('anna', 'geheim')
    """
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (user, secret) if colon else None
