"""Playlists over HTTP, from servers that answer, and from those that do not."""

import http.server
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from flume.server.sources.expand import expand
from flume.server.sources.fetching import fetch_untrusted
from flume.server.sources.http_get import get_untrusted
from flume.server.sources.items import UnplayableError
from flume.server.sources.playlists import formats
from support.servers.certificates import write
from support.servers.web import web_server


class Web(http.server.BaseHTTPRequestHandler):
    """Serves a playlist, redirects, and refuses."""

    seen: list[dict[str, str]]

    def do_GET(self) -> None:
        self.seen.append({"path": self.path, **{name.lower(): value for name, value in self.headers.items()}})
        body = b"#EXTM3U\nsub/a.mp3\n"
        match self.path:
            case "/moved.m3u":
                self.answer(302, Location="/there/list.m3u")
            case "/circle.m3u":
                self.answer(302, Location="/circle.m3u")
            case "/file.m3u":
                self.answer(302, Location="file:///etc/passwd")
            case "/missing.m3u":
                self.answer(404)
            case "/stream.m3u":
                self.answer(200, **{"Content-Type": "audio/mpeg"})
            case "/large.m3u":
                self.answer(200)
                self.wfile.write(b"x" * 3000)
            case _:
                self.answer(200, **{"Content-Type": "audio/x-mpegurl", "Content-Length": str(len(body))})
                self.wfile.write(body)

    def answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    without_proxies(monkeypatch)
    Web.seen = []
    with web_server(Web) as address:
        yield address


@pytest.fixture
def tls_web(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    without_proxies(monkeypatch)
    Web.seen = []
    files = write(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", files.ca)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate)
    with web_server(Web, tls=context) as address:
        yield address


def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_playlist_is_fetched_and_its_entries_are_relative_to_where_it_is(web: str) -> None:
    assert [item.location for item in expand([f"{web}/moved.m3u"])] == [f"{web}/there/sub/a.mp3"]
    assert [item.location for item in expand([f"{web}/lists/x.m3u8"])] == [f"{web}/lists/sub/a.mp3"]


def test_a_user_and_password_are_sent_and_not_to_where_it_redirects(web: str) -> None:
    expand([web.replace("//", "//me:p%40ss@") + "/moved.m3u"])
    sent = [request.get("authorization") for request in Web.seen]
    assert sent == [f"Basic {b64encode(b'me:p@ss').decode()}", None]


@pytest.mark.parametrize(("scheme", "kind"), [("web", socket.socket), ("tls_web", ssl.SSLSocket)])
def test_each_socket_is_kept_so_that_another_thread_can_shut_it_down(
    scheme: str, kind: type, request: pytest.FixtureRequest
) -> None:
    address = request.getfixturevalue(scheme)
    opened: list[socket.socket] = []
    assert get_untrusted(f"{address}/moved.m3u", 5.0, opened).data is not None
    assert [type(each) for each in opened] == [kind, kind], "one for the address, one for where it redirects"


def test_a_certificate_of_an_unknown_issuer_is_refused(tls_web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fetch_untrusted(f"{tls_web}/list.m3u").data is not None
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(UnplayableError, match=r"cannot be fetched \(.*certificate verify failed"):
        fetch_untrusted(f"{tls_web}/list.m3u")


def test_a_stream_is_not_read(web: str) -> None:
    fetched = fetch_untrusted(f"{web}/stream.m3u")
    assert (fetched.data, fetched.content_type) == (None, "audio/mpeg")
    assert [item.location for item in expand([f"{web}/stream.m3u"])] == [f"{web}/stream.m3u"]


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("missing.m3u", "HTTP status 404 Not Found"),
        ("circle.m3u", "HTTP status 302 .*infinite loop"),
        ("file.m3u", "HTTP status 302 .*not allowed"),
    ],
)
def test_what_a_server_refuses_is_said(web: str, page: str, reason: str) -> None:
    with pytest.raises(UnplayableError, match=rf"/{page} cannot be fetched \({reason}") as error:
        fetch_untrusted(f"{web}/{page}")
    assert "\n" not in str(error.value)


def test_a_playlist_beyond_its_limit_is_refused(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flume.server.sources.fetching.MAX_PLAYLIST_BYTES", 2000)
    assert formats.MAX_PLAYLIST_BYTES == 32 << 20
    with pytest.raises(UnplayableError, match="is no playlist: it has more than"):
        fetch_untrusted(f"{web}/large.m3u")


def test_a_port_that_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UnplayableError, match=r"cannot be fetched \(Connection refused\)"):
        fetch_untrusted(f"http://127.0.0.1:{port}/list.m3u")


def test_an_answer_that_is_no_http() -> None:
    with (
        answering(lambda connection: connection.sendall(b"ICY 200 OK\r\n\r\n")) as address,
        pytest.raises(UnplayableError, match=r"cannot be fetched \(ICY 200 OK"),
    ):
        fetch_untrusted(address)


@contextmanager
def answering(talk: Callable[[socket.socket], object]) -> Iterator[str]:
    """Run a server that calls *talk* with its only connection, and closes it."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            with suppress(OSError):
                talk(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/list.m3u"
        thread.join()


def trickle(head: bytes) -> Callable[[socket.socket], object]:
    def talk(connection: socket.socket) -> None:
        connection.sendall(head)
        for _ in range(100):
            connection.sendall(b"x")
            time.sleep(0.05)  # the pace of the server under test

    return talk


@pytest.mark.parametrize(
    "talk",
    [
        lambda connection: connection.recv(1),
        trickle(b"HTTP/1.1 200 OK\r\nX-Header: "),
        trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
    ],
    ids=["silent", "slow headers", "slow body"],
)
def test_a_server_that_is_silent_or_slow_costs_the_time_limit_and_no_thread(talk) -> None:
    begun_s = time.monotonic()
    with answering(talk) as address, pytest.raises(UnplayableError, match=r"does not answer in full within 0\.4 s"):
        fetch_untrusted(address, timeout_s=0.4)
    assert time.monotonic() - begun_s < 4, "the connection was ended, so the server could not send on"
    for thread in threading.enumerate():
        if thread.name == "flume-playlist":
            thread.join(5)
            assert not thread.is_alive()
