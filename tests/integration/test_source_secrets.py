"""Passwords and tokens of sources, in what a server writes."""

import http.server

import pytest

from support.clients.wire_client import WireClient
from support.media.synthetic import SyntheticSource
from support.ports import free_port
from support.servers.running_server import RunningServer
from support.servers.serving import serving
from support.servers.web import web_server

PASSWORD, TOKEN = "S3cretWord", "T0kenWord"


@pytest.mark.parametrize("engine", ["ffmpeg", "vlc"])
@pytest.mark.parametrize("scheme", ["http", "rtsp", "ftp"])
def test_no_password_or_token_of_a_source_is_written(engine, scheme):
    """Nothing listens: the engines say so, each in its words, which quote the address."""
    address = f"{scheme}://viewer:{PASSWORD}@127.0.0.1:{free_port()}/film.mp4?token={TOKEN}"
    with serving(address, "--ingest", engine, "--port", "0", "--once", "--film", "--verbose") as process:
        said, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "film.mp4" in errors, "the source is named"
    for secret in (PASSWORD, TOKEN, f"viewer:{PASSWORD}"):
        assert secret not in said + errors


def test_a_client_is_shown_no_query_at_all():
    """A key in it may have any name, such as ``k``."""
    address = f"http://viewer:{PASSWORD}@cam.example/film.ts?k={TOKEN}#t=1"

    class Camera(SyntheticSource):
        name = address

    with RunningServer(Camera()) as server, WireClient(server.port) as client:
        client.connect()
        assert client.ask("status")["server"]["source"] == "http://cam.example/film.ts"
        server.loop.call_soon_threadsafe(server.server._on_item_broken, f"{address}: timed out")
        assert client.event("notice")["message"] == "http://cam.example/film.ts: timed out"
        server.loop.call_soon_threadsafe(server.server._ending.on_source_ended, f"reading {address} failed")
        assert client.event("closed")["message"].endswith("reading http://cam.example/film.ts failed")


class _Redirecting(http.server.BaseHTTPRequestHandler):
    """Sends clients on to an address with a password and a token, at which nothing listens."""

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", f"rtmp://viewer:{PASSWORD}@127.0.0.1:9/live?token={TOKEN}")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("engine", ["ffmpeg", "vlc"])
def test_nor_one_of_an_address_that_the_source_leads_to(engine):
    """libvlc quotes that address, which the server does not know."""
    with (
        web_server(_Redirecting) as address,
        serving(f"{address}/film.mp4", "--ingest", engine, "--port", "0", "--once", "--film", "--verbose") as process,
    ):
        said, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "film.mp4" in errors
    for secret in (PASSWORD, TOKEN):
        assert secret not in said + errors
