"""A TCP proxy of a Docker engine's socket, like ``dockerd --host tcp://…``: for tests of a remote DOCKER_HOST."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)  # an attachment closed in one direction still works in the other


class EngineProxy:
    """A proxy of the engine at *path*, which may die under its users. Use ``with``."""

    def __init__(self, path: Path = Path("/var/run/docker.sock")) -> None:
        self._path = path
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        """A ``DOCKER_HOST``."""
        self.connections: list[int] = []
        """Grows with each connection."""
        self._open: set[socket.socket] = set()
        self._accepting = threading.Thread(target=self._accept)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._accepting.is_alive():
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()

    def die(self) -> None:
        """End as an engine that is killed: nothing listens any more, and all connections are reset."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        for one in tuple(self._open):
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                near, (_, port) = self._listener.accept()
            except OSError:
                return
            self.connections.append(port)
            threading.Thread(target=self._serve_one, args=(near,), daemon=True).start()

    def _serve_one(self, near: socket.socket) -> None:
        with near, socket.socket(socket.AF_UNIX) as far:
            far.connect(str(self._path))
            self._open |= {near, far}
            back = threading.Thread(target=_pump, args=(far, near), daemon=True)
            back.start()
            _pump(near, far)
            back.join()
            self._open -= {near, far}


@contextlib.contextmanager
def engine_on_tcp(path: Path = Path("/var/run/docker.sock")) -> Iterator[tuple[str, list[int]]]:
    """Yield a ``DOCKER_HOST`` for the engine at *path*, and a list that grows with each connection."""
    with EngineProxy(path) as proxy:
        yield proxy.url, proxy.connections
