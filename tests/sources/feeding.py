"""Sources that are no files: a web server, a recording that grows, addresses in a playlist."""

import contextlib
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

from sources.entry import Serving
from support.servers.web import web_server


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder: with byte ranges or without, after some redirects."""

    protocol_version = "HTTP/1.1"
    ranges = True
    redirects = 0

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        done = int(query.removeprefix("hop=") or 0) if query.startswith("hop=") else 0
        if done < self.redirects:
            self.send_response(302)
            self.send_header("Location", f"{path}?hop={done + 1}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._send(Path(self.translate_path(path)))

    def _send(self, file: Path) -> None:
        if not file.is_file():
            self.send_error(404)
            return
        data = file.read_bytes()
        begin, end = 0, len(data)
        wanted = self.headers.get("Range", "")
        if self.ranges and wanted.startswith("bytes="):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            begin, end = int(first or 0), min(int(last) + 1 if last else len(data), len(data))
            if begin >= len(data):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(end - begin))
        self.send_header("Content-Type", self.guess_type(str(file)))
        if self.ranges:
            self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(data[begin:end])

    def log_message(self, *_: object) -> None:
        pass


def over_http(name: str, *, ranges: bool = True, redirects: int = 0, protocol: str = "HTTP/1.1") -> Serving:
    """Return a source: *name* of the recipe's folder over http."""

    @contextlib.contextmanager
    def serving(folder: Path) -> Iterator[list[str]]:
        kind = type("Kind", (Handler,), {"ranges": ranges, "redirects": redirects, "protocol_version": protocol})
        with web_server(functools.partial(kind, directory=str(folder))) as address:
            yield [f"{address}/{name}"]

    return serving


def growing(name: str, *, rate: float = 3.0, seconds: float = 4.0) -> Serving:
    """Return a source: a recording that is still being written, *rate* times as fast as it plays."""

    @contextlib.contextmanager
    def serving(folder: Path) -> Iterator[list[str]]:
        data = (folder / name).read_bytes()
        target = folder / f"growing-{name}"
        pieces = 40
        size = -(-len(data) // pieces)
        stop = threading.Event()

        def write() -> None:
            with target.open("r+b") as file:
                file.seek(0, 2)
                for at in range(size * 8, len(data), size):
                    if stop.wait(seconds / rate / pieces):
                        return
                    file.write(data[at : at + size])
                    file.flush()

        target.write_bytes(data[: size * 8])
        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        try:
            yield [target.name]
        finally:
            stop.set()
            writer.join(5)

    return serving


def list_of_addresses(*names: str) -> Serving:
    """Return a source: a playlist with each file as a ``file://`` address, percent-encoded."""

    @contextlib.contextmanager
    def serving(folder: Path) -> Iterator[list[str]]:
        target = folder / "addresses.m3u"
        target.write_text("".join(f"{(folder / name).as_uri()}\n" for name in names))
        yield [target.name]

    return serving
