"""A Docker engine for fast tests: an HTTP server that keeps containers in memory and runs nothing.

It refuses what it does not model, with status 501. Networks and volumes are empty lists.
"""

import contextlib
import http.server
import json
import re
import socketserver
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from flume.lab.machine.endpoint import Endpoint

INFO = {
    "Name": "fake",
    "ServerVersion": "99",
    "KernelVersion": "6.1",
    "OperatingSystem": "Fake",
    "Architecture": "x86_64",
    "NCPU": 2,
    "MemTotal": 1 << 30,
}
CONSTANT = {"version": {"ApiVersion": "1.41"}, "info": INFO, "networks": [], "volumes": {"Volumes": []}}

Answer = tuple[int, Any]


class FakeDocker:
    """The containers, and the requests that were made."""

    def __init__(self) -> None:
        self.containers: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.before: Callable[[str], None] = lambda _request: None
        """Called with each request, such as ``DELETE /containers/x``, before it is carried out; it may raise."""
        self._lock = threading.RLock()

    def add(self, name: str, *, labels: dict[str, str], status: str = "running", pid: int = 4711) -> dict[str, Any]:
        """Add a container; return its inspection, which a test may change."""
        identity = f"{len(self.containers) + 1:064x}{len(self.requests):x}"
        alive = status in {"running", "paused"}
        state = {"Status": status, "Pid": pid if alive else 0, "ExitCode": 0}
        one = {
            "Id": identity,
            "Name": f"/{name}",
            "Created": "2026-01-01T00:00:00Z",
            "Config": {"Labels": labels, "Image": "fake"},
            "State": state,
            "NetworkSettings": {"Networks": {}},
        }
        self.containers[identity] = one
        return one

    def named(self, name: str) -> dict[str, Any] | None:
        """Return the container with this name or identity."""
        return next((one for one in self.containers.values() if name in {one["Id"], one["Name"][1:]}), None)

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        with self._lock:
            self.requests.append(f"{method} {path}")
        self.before(f"{method} {path}")
        with self._lock:
            return self._answer(method, path, query, body)

    def _answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        match method, path.strip("/").split("/"):
            case "GET", [("version" | "info" | "networks" | "volumes") as what]:
                return 200, CONSTANT[what]
            case "GET", ["containers", "json"]:
                wanted = json.loads(query.get("filters", "{}")).get("label", [])
                return 200, [_listed(one) for one in self.containers.values() if _has_labels(one, wanted)]
            case "POST", ["containers", "create"]:
                return self._create(query["name"], body)
            case ("GET", ["containers", name, "json"]) | ("DELETE", ["containers", name]):
                return self._one(name, removed=method == "DELETE")
        return 501, {"message": f"{method} {path} is not modelled"}

    def _one(self, name: str, *, removed: bool) -> Answer:
        one = self.named(name)
        if one is None:
            return 404, {"message": f"No such container: {name}"}
        if removed:
            del self.containers[one["Id"]]
        return (204, None) if removed else (200, one)

    def _create(self, name: str, body: Any) -> Answer:
        if holder := self.named(name):
            return 409, {"message": f'Conflict. The container name "/{name}" is in use by {holder["Id"]}.'}
        return 201, {"Id": self.add(name, labels=body["Labels"], status="created")["Id"], "Warnings": []}


def _listed(one: dict[str, Any]) -> dict[str, Any]:
    return {"Id": one["Id"], "Names": [one["Name"]], "Labels": one["Config"]["Labels"], "State": one["State"]["Status"]}


def _has_labels(one: dict[str, Any], wanted: list[str]) -> bool:
    labels = one["Config"]["Labels"]
    pairs = (text.partition("=") for text in wanted)
    return all(key in labels and (not equals or labels[key] == value) for key, equals, value in pairs)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    docker: FakeDocker

    def address_string(self) -> str:
        return "test"

    def log_message(self, *_: object) -> None:
        pass

    def _serve(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        path = re.sub(r"^/v[\d.]+", "", url.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        status, found = self.docker.answer(self.command, path, dict(urllib.parse.parse_qsl(url.query)), body)
        data = b"" if found is None else json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - names of http.server


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """As an engine's, its queue of connections takes more than a few: the kernel refuses the next one at once."""

    daemon_threads = True
    request_queue_size = 128


class _TcpServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Also for TLS: a handshake that fails is an error of accept()."""

    daemon_threads = True
    allow_reuse_address = True


def _port(server: socketserver.BaseServer) -> int:
    assert isinstance(server, _TcpServer)
    return int(server.socket.getsockname()[1])


@contextlib.contextmanager
def serving(docker: FakeDocker, path: Path | None = None, *, tls: ssl.SSLContext | None = None) -> Iterator[Endpoint]:
    """Serve *docker* at the Unix socket *path*, or at a TCP port of loopback, in the body; yield where."""
    handler = type("Handler", (_Handler,), {"docker": docker})
    server: socketserver.BaseServer
    server = _TcpServer(("127.0.0.1", 0), handler) if path is None else _UnixServer(str(path), handler)
    if tls is not None and isinstance(server, _TcpServer):
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield Endpoint(f"unix://{path}" if path else f"tcp://127.0.0.1:{_port(server)}", "DOCKER_HOST")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
