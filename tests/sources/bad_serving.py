"""Sources that misbehave: web servers that are silent, slow or break off, files that change while they are read."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sources.entry import Serving

HEAD = "HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"

Answer = Callable[[socket.socket, bytes], None]
"""What a server does with a connection whose request it has read; it gets the file."""


@contextlib.contextmanager
def tcp_server(answer: Answer, data: bytes) -> Iterator[str]:
    """Run a server that treats each connection with *answer*; return its address as http."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(0.1)
    stop = threading.Event()
    open_ones: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.settimeout(30)
            connection.recv(65536)
            answer(connection, data)
        connection.close()

    def accept() -> None:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = listening.accept()
                open_ones.append(connection)
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/bad.ts"
    finally:
        stop.set()
        thread.join(2)
        listening.close()
        for connection in open_ones:
            connection.close()


def silent(connection: socket.socket, data: bytes) -> None:
    """Never answer."""
    time.sleep(60)


def stalls(fraction: float) -> Answer:
    """Return an answer that sends *fraction* of the file, and then nothing, without an end."""

    def answer(connection: socket.socket, data: bytes) -> None:
        connection.sendall(HEAD.format(length=len(data)).encode())
        connection.sendall(data[: int(len(data) * fraction)])
        time.sleep(60)

    return answer


def breaks_off(connection: socket.socket, data: bytes) -> None:
    """Close after two fifths of what was announced."""
    connection.sendall(HEAD.format(length=len(data)).encode())
    connection.sendall(data[: len(data) * 2 // 5])
    time.sleep(0.2)


def slow(bytes_a_second: int) -> Answer:
    """Return an answer that is slower than the film plays."""

    def answer(connection: socket.socket, data: bytes) -> None:
        connection.sendall(HEAD.format(length=len(data)).encode())
        step = bytes_a_second // 20
        for at in range(0, len(data), step):
            connection.sendall(data[at : at + step])
            time.sleep(0.05)

    return answer


def redirects(connection: socket.socket, data: bytes) -> None:
    """Send everyone back to the same address."""
    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /bad.ts\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def status(line: str) -> Answer:
    """Return an answer with *line* as its status, and a page for people."""

    def answer(connection: socket.socket, data: bytes) -> None:
        page = b"<html>No such film</html>"
        connection.sendall(
            f"HTTP/1.1 {line}\r\nContent-Length: {len(page)}\r\nConnection: close\r\n\r\n".encode() + page
        )

    return answer


def page(connection: socket.socket, data: bytes) -> None:
    """Answer with a page instead of a film, as a portal for guests does."""
    text = b"<html><body>" + b"Please log in. " * 500 + b"</body></html>"
    connection.sendall(
        f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text
    )


def bad_address(answer: Answer, *, file: str = "long.ts", good: tuple[str, ...] = ("good.ts", "good.ts")) -> Serving:
    """Return sources: a good item, the bad address, a good item."""

    @contextlib.contextmanager
    def serving(folder: Path) -> Iterator[list[str]]:
        with tcp_server(answer, (folder / file).read_bytes()) as address:
            yield [good[0], address, *good[1:]]

    return serving


def closed_port(folder: Path) -> contextlib.AbstractContextManager[list[str]]:
    """Return sources: between two good items, an address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    return contextlib.nullcontext(["good.ts", f"http://127.0.0.1:{port}/bad.ts", "good.ts"])


def copied(name: str) -> Serving:
    """Return sources: between two good items, a copy of the long film that a test may change."""

    @contextlib.contextmanager
    def serving(folder: Path) -> Iterator[list[str]]:
        copy = folder / name
        copy.unlink(missing_ok=True)
        copy.write_bytes((folder / "long.ts").read_bytes())
        try:
            yield ["good.ts", name, "good.ts"]
        finally:
            copy.unlink(missing_ok=True)

    return serving


def shrink(path: Path) -> None:
    with contextlib.suppress(OSError):
        os.truncate(path, 188 * 1000)


def vanish(path: Path) -> None:
    path.unlink(missing_ok=True)


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(os.urandom(path.stat().st_size))


def fifo(folder: Path) -> None:
    """Make a FIFO that nobody writes to: a step of a recipe."""
    os.mkfifo(folder / "bad.ts")


def many(folder: Path, source: str, sub: str, count: int) -> None:
    """Make *count* links to *source* in the folder *sub*: a step of a recipe."""
    (folder / sub).mkdir()
    for number in range(count):
        os.link(folder / source, folder / sub / f"{number:05d}{Path(source).suffix}")
