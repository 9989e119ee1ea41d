"""What the kernel counts of one socket's memory (SO_MEMINFO; linux/sock_diag.h, since Linux 4.12)."""

import socket
import struct

from flume.linux import SO_MEMINFO

_VALUES = 9
_RCVBUF, _DROPS = 1, 8


def kernel_buffer_bytes(sock: socket.socket) -> int:
    """Return the receive buffer of *sock* in the kernel's count; 0 where the system does not say."""
    return _value(sock, _RCVBUF)


def dropped_by_kernel(sock: socket.socket) -> int:
    """Return the datagrams that *sock* did not get: without room in its buffer, or dropped by its filter.

    0 where the system does not say.
    """
    return _value(sock, _DROPS)


def _value(sock: socket.socket, index: int) -> int:
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, _VALUES * 4)
    except OSError:
        return 0
    counters = struct.unpack(f"={len(raw) // 4}I", raw[: len(raw) // 4 * 4])
    return int(counters[index]) if index < len(counters) else 0
