"""Attackers in plain Python: ``python -m support.attacks.programs NAME HOST PORT SECONDS [COUNT]``.

Each attacks for SECONDS and ends. It says ``begun`` as soon as the attack is at full strength.
"""

import contextlib
import itertools
import json
import os
import resource
import selectors
import socket
import ssl
import struct
import sys
import time
from collections import deque
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


CONNECT, DISCONNECT = b'{"command":"connect","transport":"tcp"}\n', b'{"command":"disconnect"}\n'
CONTINUE = b'{"command":"interrupt"}\n{"command":"continue"}\n'


class _Drawing:
    """Connections that draw as much as can be had by commands. Each begins with *first* and repeats *again*."""

    def __init__(self, server: tuple[str, int], count: int, first: bytes, again: bytes) -> None:
        self._server, self._count, self._first, self._again = server, count, first, again
        self._waiting = selectors.DefaultSelector()
        self.sent = self.received = 0

    def fill(self) -> None:
        """Make connections until there are *count*."""
        for _ in range(self._count - len(self._waiting.get_map())):
            with contextlib.suppress(OSError):
                connection = connect(self._server)
                self.sent += connection.send(self._first)
                connection.setblocking(False)
                self._waiting.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE, time.monotonic())

    def end_old(self) -> None:
        """End the connections that are 50 ms old."""
        for key in tuple(self._waiting.get_map().values()):
            if key.data < time.monotonic() - 0.05:
                self._end(key)

    def _end(self, key: selectors.SelectorKey) -> None:
        self._waiting.unregister(key.fileobj)
        key.fileobj.close()  # type: ignore[union-attr]

    def go_on(self) -> None:
        """Read and write what can be read and written now."""
        for key, events in self._waiting.select(0.05):
            try:
                if events & selectors.EVENT_READ:
                    came = len(key.fileobj.recv(1 << 18))  # type: ignore[union-attr]
                    self.received += came
                    if not came:
                        raise ConnectionResetError
                if events & selectors.EVENT_WRITE and self._again:
                    self.sent += key.fileobj.send(self._again)  # type: ignore[union-attr]
            except BlockingIOError:
                continue
            except OSError:
                self._end(key)


def _draw(first: bytes, again: bytes, *, anew: bool = False) -> Callable[[tuple[str, int], float, int], None]:
    """Draw on *count* connections; with *anew* on new ones all the time. Print the bytes sent and received."""

    def attack(server: tuple[str, int], until_s: float, count: int) -> None:
        drawing = _Drawing(server, count, first, again)
        begun()
        while time.monotonic() < until_s:
            if anew:
                drawing.end_old()
            drawing.fill()
            drawing.go_on()
            time.sleep(0.002)
        print(drawing.sent, drawing.received, flush=True)

    return attack


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


def _alike(server: tuple[str, int], token: str, *, are_answers: bool) -> list[bytes]:
    """Datagrams that the kernel's filter lets pass: of the form and with the beginning of tokens, or of answers."""
    if are_answers:  # of a session that lives: each has to be compared with what was asked
        return [f"{token}!{os.urandom(6).hex()}".encode() for _ in range(1000)]
    return [f"{token[:8]}{os.urandom(12).hex()}".encode() for _ in range(1000)]


def _flood_alike(*, are_answers: bool) -> Callable[[tuple[str, int], float, int], None]:
    """Flood the UDP port with what looks like tokens, or like answers, from *count* ports in turn."""

    def attack(server: tuple[str, int], until_s: float, count: int) -> None:
        control = connect(server)
        control.sendall(b'{"command":"connect"}\n')
        token = json.loads(control.makefile().readline())["token"]
        ports = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
        for media in ports:
            media.bind((control.getsockname()[0], 0))
            media.connect(server)
        data = _alike(server, token, are_answers=are_answers)
        begun()
        while time.monotonic() < until_s:
            for media in ports:
                for datagram in data:
                    with contextlib.suppress(OSError):
                        media.send(datagram)

    return attack


HELLO = bytes.fromhex("160301020001fc0303")
"""How a record with a client's first message begins: 512 bytes in all."""


def _again_and_again(greet: Callable[[socket.socket], None]) -> Callable[[tuple[str, int], float, int], None]:
    """Connect from *count* addresses in turn, without end, and let each connection *greet* the server."""

    def attack(server: tuple[str, int], until_s: float, count: int) -> None:
        sources = itertools.cycle(addresses(count))
        begun()
        while time.monotonic() < until_s:
            with contextlib.suppress(OSError), connect(server, next(sources)) as connection:
                greet(connection)

    return attack


_believing = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_believing.check_hostname, _believing.verify_mode = False, ssl.CERT_NONE


def _shake_hands(connection: socket.socket) -> None:
    _believing.wrap_socket(connection).close()


def _send_garbage(connection: socket.socket) -> None:
    connection.sendall(HELLO + os.urandom(508))
    connection.recv(100)


def tls_stalled(server: tuple[str, int], until_s: float, count: int) -> None:
    """Begin *count* handshakes from many addresses, 60 each, and go on with none of them; again when all are there."""
    kept: deque[socket.socket] = deque(maxlen=count)
    begun()
    for source in itertools.cycle(addresses(-(-count // 60))):
        for _ in range(60):
            if time.monotonic() > until_s:
                return
            with contextlib.suppress(OSError):
                kept.append(connect(server, source))
                kept[-1].sendall(HELLO)


def _sources_until(until_s: float, count: int) -> Iterator[str]:
    """Yield *count* addresses again and again until *until_s*, then print how many there were."""
    begun()
    for number, source in enumerate(itertools.cycle(addresses(count))):
        if time.monotonic() > until_s:
            print(number, flush=True)
            return
        yield source


def storm(server: tuple[str, int], until_s: float, count: int) -> None:
    """Connect and close at once, from *count* addresses, as fast as one process can; every other one by a reset."""
    for number, source in enumerate(_sources_until(until_s, count)):
        with contextlib.suppress(OSError), socket.socket() as connection:
            connection.setblocking(False)
            connection.bind((source, 0))
            if number % 2:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.connect_ex(server)


def storm_of_commands(server: tuple[str, int], until_s: float, count: int) -> None:
    """Connect from *count* addresses, ask for the stream over TCP and close at once, as fast as one process can."""
    for source in _sources_until(until_s, count):
        with contextlib.suppress(OSError), connect(server, source) as connection:
            connection.send(CONNECT)


def rtsp_half_open(server: tuple[str, int], until_s: float, count: int) -> None:
    """Be *count* players of *count* addresses that set up and do not play; half of them stop within a request."""
    setup = b"SETUP * RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP;unicast;client_port=9000-9001\r\n\r\n"
    kept: list[socket.socket] = []
    for number, source in enumerate(addresses(count)):
        if time.monotonic() > until_s:
            break
        with contextlib.suppress(OSError):
            kept.append(connect(server, source))
            kept[-1].sendall(setup if number % 2 else setup[:-2])
    begun()
    time.sleep(max(0.0, until_s - time.monotonic()))


def rtsp_punches(server: tuple[str, int], until_s: float, count: int) -> None:
    """Set up at *count* addresses, play at none, and flood the media port with what may be punches from there."""
    setup = (
        b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"
        b"SETUP * RTSP/1.0\r\nCSeq: 2\r\nTransport: RTP/AVP;unicast;client_port=9000-9001\r\n\r\n"
    )
    sources, kept, flooding = list(addresses(count)), dict[str, socket.socket](), list[socket.socket]()
    for source in sources:
        sending = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sending.bind((source, 0))
        flooding.append(sending)
    begun()
    for turn in itertools.count():
        if time.monotonic() > until_s:
            break
        source = sources[turn % count]
        if turn % 200 == 0:  # the server ends what does not play
            with contextlib.suppress(OSError):
                kept[source] = connect(server, source)
                kept[source].sendall(setup)
        for sending in flooding:
            with contextlib.suppress(OSError):
                sending.sendto(b"\x80" + bytes(11), server)


ATTACKS: dict[str, Callable[[tuple[str, int], float, int], None]] = {
    "silent": silent,
    "slow_writers": slow_writers,
    "commands_at_once": commands_at_once,
    "blank_lines": _flood(b"\n" * 65_536, reading=False),
    "status": _flood(STATUS * 50, reading=True),
    "no_newline": _flood(b"x" * 65_536, reading=True),
    "never_reads": never_reads,
    "junk": junk,
    "connect_again": _draw(CONNECT, DISCONNECT + CONNECT),
    "continue_again": _draw(CONNECT, CONTINUE),
    "connect_anew": _draw(CONNECT, b"", anew=True),
    "watch": _draw(CONNECT, b""),
    "tls_handshakes": _again_and_again(_shake_hands),
    "tls_garbage": _again_and_again(_send_garbage),
    "tls_stalled": tls_stalled,
    "storm": storm,
    "storm_of_commands": storm_of_commands,
    "rtsp_requests": _flood(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n$\0\0\0HELLO\r\n\r\n" * 50, reading=True),
    "rtsp_half_open": rtsp_half_open,
    "rtsp_punches": rtsp_punches,
    "tokens_alike": _flood_alike(are_answers=False),
    "answers_alike": _flood_alike(are_answers=True),
}


def main() -> None:
    os.nice(10)  # server and honest clients would run on hosts of their own
    name, host, port, seconds, count = sys.argv[1:6]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 16_384)), hard))
    ATTACKS[name]((host, int(port)), time.monotonic() + float(seconds), int(count))


if __name__ == "__main__":
    main()
