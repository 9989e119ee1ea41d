"""A filter in the kernel that drops what does not begin like a token, before it takes room in a socket's queue.

A classic BPF program (socket(7), SO_ATTACH_FILTER). All tokens of one server begin alike, by chance. A flood that does
not know how is dropped where it arrives, and the tokens of newcomers find room.
"""

import ctypes
import logging
import socket
import struct

from flume.linux import SO_ATTACH_FILTER

PREFIX_BYTES = 8
"""Two words of BPF."""

UDP_HEADER_BYTES = 8
"""The kernel shows the filter of a UDP socket the datagram from its header on."""

_LOAD_WORD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
"""BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_RET|BPF_K (linux/bpf_common.h)."""

_log = logging.getLogger(__name__)


def program(prefix: bytes) -> bytes:
    """Return the instructions that keep a datagram whose payload begins with *prefix*, of :data:`PREFIX_BYTES`.

    A datagram that is shorter is dropped: a load beyond its end drops it.
    """
    first, second = struct.unpack("!II", prefix)
    instructions = (
        (_LOAD_WORD, 0, 0, UDP_HEADER_BYTES),
        (_JUMP_EQUAL, 0, 3, first),
        (_LOAD_WORD, 0, 0, UDP_HEADER_BYTES + 4),
        (_JUMP_EQUAL, 0, 1, second),
        (_RETURN, 0, 0, 0xFFFF),
        (_RETURN, 0, 0, 0),
    )
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)


def attach(receiving: socket.socket, prefix: bytes) -> bool:
    """Let *receiving* take only datagrams that begin with *prefix*; return whether the kernel does it."""
    code = program(prefix)
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
