"""What a playlist from the network may name: addresses. Pure.

Its author is not the person who started the server. So an entry reads none of this host's files and devices, and opens
none of its ports.
"""

import re
from ipaddress import ip_address
from urllib.parse import parse_qs, urljoin, urlsplit

from flume.server.sources.items import MAX_ADDRESS, UnplayableError, scheme_of
from flume.server.sources.playlists.values import Entry

_OUTGOING = frozenset(
    {
        *("http", "https", "ftp", "ftps", "srt", "rist"),
        *("rtsp", "rtsps", "rtspt", "rtspu", "rtmp", "rtmps", "rtmpt", "rtmpts", "rtmpe", "rtmpte"),
        *("mms", "mmsh", "mmst"),
    }
)
"""Schemes by which this host connects to another."""

_MULTICAST = frozenset({"udp", "rtp", "srtp", "udplite"})
"""Schemes by which this host receives what others send: only to a multicast group, which a port alone is not."""

_DRIVE = re.compile(r"[A-Za-z]:[/\\]|\\\\|~")


def address_of(entry: Entry, base: str) -> str:
    """Return the address that *entry* means in the playlist at the address *base*.

    A path is one on the playlist's server. Raises :class:`~.items.UnplayableError` where the entry names anything else.

    >>> address_of(Entry("/radio/live.mp3"), "http://host/lists/radio.m3u")
    'http://host/radio/live.mp3'
    """
    written = entry.location.strip()
    if _DRIVE.match(written) or len(written) > MAX_ADDRESS:
        raise _refused(written)
    if not scheme_of(written):
        written = written.replace("\\", "/")
    try:
        address = urljoin(base, written)
        parts = urlsplit(address)
        host, query = parts.hostname or "", parse_qs(parts.query, keep_blank_values=True)
    except ValueError as error:
        raise UnplayableError(written, "is no address: check its spelling") from error
    scheme = scheme_of(address)  # urlsplit also finds one with tabs in it, which no engine knows
    if scheme in _OUTGOING:
        if not host or "listen" in query or query.get("mode", [""])[0] in {"listener", "rendezvous"}:
            raise UnplayableError(written, "would open a port here, which a playlist from the network may not")
        return address
    if scheme in _MULTICAST:
        if not _is_multicast(host):
            raise UnplayableError(written, "would open a port here, which a playlist from the network may not")
        return address
    raise _refused(written)


def _refused(written: str) -> UnplayableError:
    return UnplayableError(
        written, "is neither on the playlist's server nor on another, as a playlist from the network must be"
    )


def _is_multicast(host: str) -> bool:
    try:
        return ip_address(host).is_multicast
    except ValueError:
        return False
