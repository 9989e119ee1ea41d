"""Attackers in plain Python: ``python -m support.attacks.programs NAME HOST PORT SECONDS [COUNT]``.

Each attacks for SECONDS and ends. It says ``begun`` as soon as the attack is at full strength.
"""

import contextlib
import os
import resource
import selectors
import socket
import sys
import time
from collections.abc import Callable, Iterator

STATUS = b'{"command":"status"}\n'


def addresses(count: int, *, network: int = 1) -> Iterator[str]:
    """Yield *count* source addresses on loopback, 200 in each /24."""
    for number in range(count):
        yield f"127.{network}.{number // 200}.{number % 200 + 1}"


def connect(server: tuple[str, int], source: str = "127.0.0.66", *, timeout_s: float = 2.0) -> socket.socket:
    return socket.create_connection(server, timeout=timeout_s, source_address=(source, 0))


def begun() -> None:
    print("begun", flush=True)


def silent(server: tuple[str, int], until_s: float, count: int) -> None:
    """Open *count* connections from many addresses, 64 each, and keep as many of them as there are descriptors for."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 64
    kept: list[socket.socket] = []
    sources = list(addresses(-(-count // 64)))
    begun()
    for number in range(count):
        if time.monotonic() > until_s:
            break
        with contextlib.suppress(OSError):
            kept.append(connect(server, sources[number // 64]))
        if len(kept) >= most:
            kept.pop(0).close()
    time.sleep(max(0.0, until_s - time.monotonic()))


def _write_all(connections: list[socket.socket], data: bytes, until_s: float, *, pause_s: float, reading: bool) -> None:
    """Write *data* over and over on all *connections* until the server ends them, and read or do not."""
    waiting = selectors.DefaultSelector()
    for connection in connections:
        connection.setblocking(False)
        waiting.register(connection, selectors.EVENT_WRITE | (selectors.EVENT_READ if reading else 0))
    while time.monotonic() < until_s and waiting.get_map():
        for key, events in waiting.select(0.1):
            try:
                if events & selectors.EVENT_READ and not key.fileobj.recv(1 << 16):  # type: ignore[union-attr]
                    raise OSError
                if events & selectors.EVENT_WRITE:
                    key.fileobj.send(data)  # type: ignore[union-attr]
            except BlockingIOError:
                continue
            except OSError:
                waiting.unregister(key.fileobj)
        time.sleep(pause_s)


def slow_writers(server: tuple[str, int], until_s: float, count: int) -> None:
    """Write a command a byte at a time on *count* connections of *count* addresses."""
    connections = [connect(server, source) for source in addresses(count)]
    begun()
    _write_all(connections, b"{", until_s, pause_s=0.05, reading=False)


def commands_at_once(server: tuple[str, int], until_s: float, count: int) -> None:
    """Write *count* commands in one write, on one connection whose replies are read."""
    connection = connect(server)
    begun()
    connection.setblocking(False)
    left = STATUS * count
    while time.monotonic() < until_s:
        with contextlib.suppress(BlockingIOError, OSError):
            left = left[connection.send(left) :] if left else left
        with contextlib.suppress(BlockingIOError, OSError):
            connection.recv(1 << 16)
        time.sleep(0.001)


def _flood(data: bytes, *, reading: bool) -> Callable[[tuple[str, int], float, int], None]:
    def attack(server: tuple[str, int], until_s: float, count: int) -> None:
        connections = [connect(server) for _ in range(count)]
        begun()
        _write_all(connections, data, until_s, pause_s=0.0, reading=reading)

    return attack


def never_reads(server: tuple[str, int], until_s: float, count: int) -> None:
    """Ask for media over TCP and for status without end, from *count* addresses, and read nothing."""
    connections = [connect(server, source) for source in addresses(count)]
    for connection in connections:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b'{"command":"connect","transport":"tcp"}\n')
    begun()
    _write_all(connections, STATUS * 20, until_s, pause_s=0.01, reading=False)


def junk(server: tuple[str, int], until_s: float, count: int) -> None:
    """Send datagrams of *count* bytes that are no token to the UDP port, as fast as one process can."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as media:
        media.bind(("127.0.0.66", 0))
        media.connect(server)
        begun()
        sent = 0
        data = os.urandom(count)
        while time.monotonic() < until_s:
            for _ in range(100):
                with contextlib.suppress(OSError):
                    media.send(data)
            sent += 100
        print(sent, flush=True)


ATTACKS: dict[str, Callable[[tuple[str, int], float, int], None]] = {
    "silent": silent,
    "slow_writers": slow_writers,
    "commands_at_once": commands_at_once,
    "blank_lines": _flood(b"\n" * 65_536, reading=False),
    "status": _flood(STATUS * 50, reading=True),
    "no_newline": _flood(b"x" * 65_536, reading=True),
    "never_reads": never_reads,
    "junk": junk,
}


def main() -> None:
    os.nice(10)  # server and honest clients would run on hosts of their own
    name, host, port, seconds, count = sys.argv[1:6]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 16_384)), hard))
    ATTACKS[name]((host, int(port)), time.monotonic() + float(seconds), int(count))


if __name__ == "__main__":
    main()
