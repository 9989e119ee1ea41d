"""Ports that a test can name before a program of its own opens them."""

import contextlib
import random
import socket

# Linux gives ports from 32768 on to sockets that name none (net.ipv4.ip_local_port_range).
LOWEST, HIGHEST = 20_000, 32_767

_random = random.Random()  # not the module's own generator: two workers must not draw the same numbers


def free_port(*, above: int = 0) -> int:
    """Return a port of 127.0.0.1 that is free for TCP and UDP, and that the kernel gives to no other socket.

    *above*: so many above it are free for UDP as well.

    A port that the kernel gave to a probe may belong to another test a moment after the probe was closed. This one is
    still free when the test opens it, also while other tests run beside it.
    """
    while True:
        port = _random.randint(LOWEST, HIGHEST)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
                for number in range(port, port + 1 + above):
                    udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                    udp.bind(("127.0.0.1", number))
            except OSError:
                continue
        return port
