"""What a media socket of this machine is made of: its buffer in the kernel, and the kernel's own count of drops.

Reading is one ``recv`` a datagram, and UDP_GRO stays off: see "Receiving" in services/README.md for what was measured.
"""

import contextlib
import socket
import struct

SO_RCVBUFFORCE = 33
"""Linux, asm-generic/socket.h: SO_RCVBUF beyond net.core.rmem_max, for those with CAP_NET_ADMIN. Python does not name
it, nor the next one."""

SO_MEMINFO = 55
"""Since Linux 4.12; linux/sock_diag.h numbers its values."""
_MEMINFO_VALUES = 9
_MEMINFO_RCVBUF = 1
_MEMINFO_DROPS = 8


def open_media_socket(server: tuple[str, int], family: socket.AddressFamily, *, buffer_bytes: int) -> socket.socket:
    """Return a socket to *server* that never waits, with as much of *buffer_bytes* as is granted; raises ``OSError``.

    It is connected: the kernel refuses other senders, and tells when the server's port is closed.
    """
    media = socket.socket(family, socket.SOCK_DGRAM)
    try:
        media.settimeout(0)
        ask_for_buffer(media, buffer_bytes)
        media.connect(server)
    except OSError:
        media.close()
        raise
    return media


def ask_for_buffer(media: socket.socket, buffer_bytes: int) -> None:
    """Give *media* a receive buffer of *buffer_bytes*, or what net.core.rmem_max leaves of it."""
    media.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    if granted_bytes(media) < buffer_bytes:
        with contextlib.suppress(OSError):  # EPERM for most, and other systems do not know it
            media.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, buffer_bytes)


def granted_bytes(media: socket.socket) -> int:
    """Return the receive buffer of *media*, counted as it was asked for (Linux doubles that for its book-keeping)."""
    return media.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2


def kernel_buffer_bytes(media: socket.socket) -> int:
    """Return the receive buffer of *media* in the kernel's count; 0 where the system does not say."""
    return _meminfo(media, _MEMINFO_RCVBUF)


def dropped_by_kernel(media: socket.socket) -> int:
    """Return the datagrams that had no room in the buffer of *media*; 0 where the system does not say."""
    return _meminfo(media, _MEMINFO_DROPS)


def _meminfo(media: socket.socket, index: int) -> int:
    try:
        raw = media.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, _MEMINFO_VALUES * 4)
    except OSError:
        return 0
    counters = struct.unpack(f"={len(raw) // 4}I", raw[: len(raw) // 4 * 4])
    return int(counters[index]) if index < len(counters) else 0
