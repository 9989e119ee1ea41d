"""Packets that lie about where they come from, or about what happened to another packet. Needs root."""

import socket
import struct
from typing import NamedTuple


def checksum(data: bytes) -> int:
    """The checksum of IP and ICMP (RFC 1071)."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip_header(source: str, destination: str, *, payload_bytes: int, protocol: int = socket.IPPROTO_UDP) -> bytes:
    packed = socket.inet_aton(source), socket.inet_aton(destination)
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + payload_bytes, 1, 0, 64, protocol, 0, *packed)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:]


def udp_datagram(source: tuple[str, int], destination: tuple[str, int], payload: bytes) -> bytes:
    """A whole IP packet with *payload*, which claims to come from *source*."""
    udp = struct.pack("!HHHH", source[1], destination[1], 8 + len(payload), 0) + payload
    return ip_header(source[0], destination[0], payload_bytes=len(udp)) + udp


class Kind(NamedTuple):
    """Type and code of an ICMP message, over IPv4 and over IPv6."""

    over_4: tuple[int, int]
    over_6: tuple[int, int]


PORT_UNREACHABLE, PROHIBITED = Kind((3, 3), (1, 4)), Kind((3, 13), (1, 1))
"""RFC 792, RFC 1812 (5.2.7.1), RFC 4443 (3.1): no such port; administratively prohibited."""


def unreachable(server: tuple[str, int], client: tuple[str, int], kind: Kind = PORT_UNREACHABLE) -> bytes:
    """An ICMP message of *kind* about a datagram of *server* to *client*."""
    udp = struct.pack("!HHHH", server[1], client[1], 8, 0)
    if ":" in server[0]:
        ends = (socket.inet_pton(socket.AF_INET6, host) for host, _ in (server, client))
        about = struct.pack("!IHBB16s16s", 6 << 28, len(udp), socket.IPPROTO_UDP, 64, *ends) + udp
        return struct.pack("!BBHI", *kind.over_6, 0, 0) + about  # the kernel fills in the checksum (RFC 3542)
    about = ip_header(server[0], client[0], payload_bytes=8) + udp
    message = struct.pack("!BBHI", *kind.over_4, 0, 0) + about
    return message[:2] + struct.pack("!H", checksum(message)) + message[4:]


def icmp_socket(source: str) -> socket.socket:
    """A socket that sends ICMP messages as they are, from *source*."""
    if ":" in source:
        sender = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    else:
        sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    sender.bind((source, 0))
    return sender


def raw_socket() -> socket.socket:
    """A socket that sends IP packets as they are."""
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
