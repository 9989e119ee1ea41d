"""Packets that lie about where they come from, or about what happened to another packet. Needs root."""

import socket
import struct


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


def port_unreachable(server: tuple[str, int], client: tuple[str, int]) -> bytes:
    """An ICMP message that *client* has no such port, about a datagram of *server*."""
    about = ip_header(*(server[0], client[0]), payload_bytes=8) + struct.pack("!HHHH", server[1], client[1], 8, 0)
    message = struct.pack("!BBHI", 3, 3, 0, 0) + about
    return message[:2] + struct.pack("!H", checksum(message)) + message[4:]


def icmp_socket(source: str) -> socket.socket:
    """A socket that sends ICMP messages as they are, from *source*."""
    sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    sender.bind((source, 0))
    return sender


def raw_socket() -> socket.socket:
    """A socket that sends IP packets as they are."""
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
