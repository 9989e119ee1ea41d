"""A filter in the kernel that drops what does not begin like a token, before it takes room in a socket's queue.

A classic BPF program (socket(7), SO_ATTACH_FILTER). All tokens of one server begin alike, by chance. A flood that does
not know how is dropped where it arrives, and the tokens of newcomers find room.

Players that are not ours have no token. While one of them is about to play, short datagrams of its address pass too.
"""

import ctypes
import ipaddress
import logging
import socket
import struct
from collections.abc import Iterable, Iterator

from flume.linux import SO_ATTACH_FILTER

PREFIX_BYTES = 8
"""Two words of BPF."""

UDP_HEADER_BYTES = 8
"""The kernel shows the filter of a UDP socket the datagram from its header on."""

MOST_HOSTS = 32
"""Addresses that one program lets through. To build and attach it takes 0.02 ms for one, 0.3 ms for so many."""

LONGEST_FROM_HOSTS = 256
"""Payload of a datagram of such an address. FFmpeg sends 12 bytes, live555 4, GStreamer 200."""

_LOAD_WORD, _LOAD_LENGTH, _RETURN = 0x20, 0x80, 0x06
"""BPF_LD|BPF_W|BPF_ABS, BPF_LD|BPF_W|BPF_LEN, BPF_RET|BPF_K (linux/bpf_common.h)."""
_JUMP_EQUAL, _JUMP_GREATER = 0x15, 0x25
"""BPF_JMP|BPF_JEQ|BPF_K, BPF_JMP|BPF_JGT|BPF_K: how many instructions to skip if so, if not, and the value."""
_PROTOCOL = 0xFFFFF000
"""SKF_AD_OFF + SKF_AD_PROTOCOL (linux/filter.h): the protocol of the link's payload."""
_IP_HEADER = 0xFFF00000
"""SKF_NET_OFF: from here on the header of IP."""
_IPV4, _IPV4_SOURCE, _IPV6, _IPV6_SOURCE = 0x0800, 12, 0x86DD, 8
_KEEP, _DROP = (_RETURN, 0, 0, 0xFFFF), (_RETURN, 0, 0, 0)

_Instruction = tuple[int, int, int, int]

_log = logging.getLogger(__name__)


def program(prefix: bytes, hosts: Iterable[str] = ()) -> bytes:
    """Return the instructions that keep a datagram whose payload begins with *prefix*, of :data:`PREFIX_BYTES`.

    They also keep those of *hosts* (IPv4 and IPv6 addresses, :data:`MOST_HOSTS` at most) with a payload of at most
    :data:`LONGEST_FROM_HOSTS` bytes. A load beyond the end of a datagram drops it.
    """
    first, second = struct.unpack("!II", prefix)
    instructions: tuple[_Instruction, ...] = (
        (_LOAD_LENGTH, 0, 0, 0),
        (_JUMP_GREATER, 0, 5, UDP_HEADER_BYTES + PREFIX_BYTES - 1),
        (_LOAD_WORD, 0, 0, UDP_HEADER_BYTES),
        (_JUMP_EQUAL, 0, 3, first),
        (_LOAD_WORD, 0, 0, UDP_HEADER_BYTES + 4),
        (_JUMP_EQUAL, 0, 1, second),
        _KEEP,
        *_keep_short_ones_of(hosts),
        _DROP,
    )
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)


def _keep_short_ones_of(hosts: Iterable[str]) -> Iterator[_Instruction]:
    """Yield what keeps short datagrams of *hosts*, and lets all others come to the next instruction."""
    addresses = [_plain_address(host) for host in tuple(hosts)[-MOST_HOSTS:]]
    if not addresses:
        return
    v4 = [list(_compare(address, _IPV4_SOURCE)) for address in addresses if address.version == 4]
    v6 = [list(_compare(address, _IPV6_SOURCE)) for address in addresses if address.version == 6]
    yield (_LOAD_LENGTH, 0, 0, 0)
    yield (_JUMP_GREATER, 0, 1, UDP_HEADER_BYTES + LONGEST_FROM_HOSTS)
    yield _DROP
    yield (_LOAD_WORD, 0, 0, _PROTOCOL)
    yield (_JUMP_EQUAL, 0, sum(map(len, v4)) + 1, _IPV4)  # at most 2 instructions an address: a jump reaches 255
    yield from (instruction for compare in v4 for instruction in compare)
    yield _DROP
    yield (_JUMP_EQUAL, 1, 0, _IPV6)
    yield _DROP
    yield from (instruction for compare in v6 for instruction in compare)


def _compare(address: ipaddress.IPv4Address | ipaddress.IPv6Address, offset: int) -> Iterator[_Instruction]:
    """Yield what keeps a datagram whose source, *offset* bytes into the header of IP, is *address*."""
    words = struct.unpack(f"!{len(address.packed) // 4}I", address.packed)
    for position, word in enumerate(words):
        yield (_LOAD_WORD, 0, 0, _IP_HEADER + offset + 4 * position)
        yield (_JUMP_EQUAL, 0, 2 * (len(words) - position) - 1, word)
    yield _KEEP


def _plain_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address in the header of IP: without the interface, and without the IPv6 around an IPv4 address."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def attach(receiving: socket.socket, prefix: bytes, hosts: Iterable[str] = ()) -> bool:
    """Let *receiving* take only what :func:`program` keeps, from now on; return whether the kernel does it."""
    code = program(prefix, hosts)
    memory = ctypes.create_string_buffer(code, len(code))
    try:
        # struct sock_fprog: how many instructions, and where
        receiving.setsockopt(
            socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(code) // 8, ctypes.addressof(memory))
        )
    except OSError as error:
        _log.info("no socket filter here (%s): junk at the UDP port takes room in its queue", error.strerror)
        return False
    return True
