"""RTCP (RFC 3550, section 6): sender reports and BYE out, receiver reports in. Pure.

Reports of receivers are claims: a datagram from the client's port, that anybody behind its address can send.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

SENDER_REPORT, RECEIVER_REPORT, DESCRIPTION, BYE = 200, 201, 202, 203

_VERSION = 2 << 6
_NTP_EPOCH_S = 2_208_988_800
"""From 1900, where NTP counts from, to 1970."""

_HEAD = struct.Struct("!BBH")
_SENDER = struct.Struct("!IIIIII")
_BLOCK = struct.Struct("!IIIIII")
_CNAME = 1


class ReceiverReport(NamedTuple):
    """What a receiver says of one stream."""

    ssrc: int
    fraction_lost: float
    """Of the datagrams since its report before, 0 to 1."""
    lost: int
    """In all; negative where duplicates came."""
    highest_sequence: int
    """With the number of wraps in the upper 16 bits."""
    jitter: int
    """In units of the stream's clock: 1/90000 s."""


def sender_report(
    ssrc: int, *, wall_s: float, rtp_time: int, datagrams: int, octets: int, cname: str, is_bye: bool = False
) -> bytes:
    """Return a compound packet: a sender report, the sender's name, and *is_bye* BYE.

    *wall_s* (since 1970) and *rtp_time* are one moment. *datagrams* and *octets*, of their payloads, count modulo 2³².

    >>> sender_report(7, wall_s=0.5, rtp_time=9, datagrams=3, octets=60, cname="a").hex(" ", 4)[:62]
    '80c80006 00000007 83aa7e80 80000000 00000009 00000003 0000003c'
    """
    ntp_s, fraction = divmod(wall_s + _NTP_EPOCH_S, 1)
    ntp = int(ntp_s) & 0xFFFFFFFF, int(fraction * (1 << 32)) & 0xFFFFFFFF
    counts = rtp_time & 0xFFFFFFFF, datagrams & 0xFFFFFFFF, octets & 0xFFFFFFFF
    report = _packet(SENDER_REPORT, 0, _SENDER.pack(ssrc, *ntp, *counts))
    name = cname.encode()[:255]
    item = struct.pack("!IBB", ssrc, _CNAME, len(name)) + name
    item += bytes(4 - len(item) % 4)  # at least one zero ends the list of items
    packets = report + _packet(DESCRIPTION, 1, item)
    return packets + _packet(BYE, 1, struct.pack("!I", ssrc)) if is_bye else packets


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return _HEAD.pack(_VERSION | count, kind, len(body) // 4) + body


def kinds_untrusted(data: bytes) -> list[int]:
    """Return the kinds of the packets in a compound packet, as many as can be read. Raises nothing.

    >>> kinds_untrusted(bytes.fromhex("80c80000 81ca0000")) == [SENDER_REPORT, DESCRIPTION]
    True
    """
    return [kind for kind, _, _ in _packets_untrusted(data)]


def is_rtcp_untrusted(data: bytes) -> bool:
    """Whether *data* begins like a packet of RTCP. Raises nothing."""
    return len(data) >= 8 and data[0] >> 6 == 2 and SENDER_REPORT <= data[1] <= 207


def receiver_reports_untrusted(data: bytes) -> list[ReceiverReport]:
    """Return the report blocks in a compound packet, as many as can be read. Raises nothing."""
    reports: list[ReceiverReport] = []
    for kind, count, body in _packets_untrusted(data):
        skipped = {RECEIVER_REPORT: 4, SENDER_REPORT: _SENDER.size}.get(kind)
        if skipped is not None:
            blocks = body[skipped:]
            whole = min(count, len(blocks) // _BLOCK.size)
            reports += [_block(blocks[n * _BLOCK.size :]) for n in range(whole)]
    return reports


def _packets_untrusted(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield kind, count and body of the packets in a compound packet, as many as can be read. Raises nothing."""
    at = 0
    while at + _HEAD.size <= len(data):
        head, kind, words = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + words * 4
        if head >> 6 != 2 or end > len(data):
            return
        yield kind, head & 31, data[at + _HEAD.size : end]
        at = end


def _block(data: bytes) -> ReceiverReport:
    ssrc, losses, highest, jitter, _, _ = _BLOCK.unpack_from(data)
    lost = losses & 0xFFFFFF
    return ReceiverReport(ssrc, (losses >> 24) / 256, lost - (1 << 24) if lost >> 23 else lost, highest, jitter)
