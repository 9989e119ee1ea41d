"""A TCP proxy of a Docker engine's socket, like ``dockerd --host tcp://…``: for tests of a remote DOCKER_HOST."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)  # an attachment closed in one direction still works in the other


def _serve_one(near: socket.socket, path: Path) -> None:
    with near, socket.socket(socket.AF_UNIX) as far:
        far.connect(str(path))
        back = threading.Thread(target=_pump, args=(far, near), daemon=True)
        back.start()
        _pump(near, far)
        back.join()


@contextlib.contextmanager
def engine_on_tcp(path: Path = Path("/var/run/docker.sock")) -> Iterator[tuple[str, list[int]]]:
    """Yield a ``DOCKER_HOST`` for the engine at *path*, and a list that grows with each connection."""
    connections: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    near, (_, port) = listener.accept()
                except OSError:
                    return
                connections.append(port)
                threading.Thread(target=_serve_one, args=(near, path), daemon=True).start()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{listener.getsockname()[1]}", connections
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
