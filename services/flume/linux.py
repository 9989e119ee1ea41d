"""Numbers of Linux that Python's standard library does not name, each with the header that defines it.

Only numbers: the modules that use them say what for.
"""

UDP_SEGMENT = 103
"""linux/udp.h, since Linux 4.18: one send carries many datagrams of this size."""

SO_ATTACH_FILTER = 26
"""asm-generic/socket.h: a classic BPF program decides which datagrams a socket takes."""

SO_RCVBUFFORCE = 33
"""asm-generic/socket.h: SO_RCVBUF beyond net.core.rmem_max, for processes with CAP_NET_ADMIN."""

SO_TIMESTAMPNS = 35
"""asm-generic/socket.h: the kernel's time of arrival beside each datagram, in nanoseconds."""

SO_MEMINFO = 55
"""asm-generic/socket.h, since Linux 4.12: the memory of a socket, in nine 32-bit words.

linux/sock_diag.h numbers them; the last one counts the datagrams that the socket dropped.
"""

IP_MTU_DISCOVER, IPV6_MTU_DISCOVER = 10, 23
"""linux/in.h, linux/in6.h: who minds the MTU of the path."""

PMTUDISC_DONT, PMTUDISC_WANT = 0, 1
"""linux/in.h: learn the MTU of the path from ICMP; or believe the interface alone, and never set "don't fragment"."""

IP_PKTINFO = 8
"""linux/in.h: the local address of one datagram (ip(7)). Python's socket module names it from 3.14 on."""

TIOCOUTQ = 0x5411
"""asm-generic/ioctls.h, as SIOCOUTQ: bytes that a socket holds unsent (udp(7)) or unacknowledged (tcp(7)).

Python's termios names it too, but that module is not on every system.
"""
