"""A web server that sends its visitors to other places than the web: nothing of this host is played."""

import http.server
from pathlib import Path

import pytest

from flume.lab import testcard
from flume.server.sources.source import ItemStarted
from support.media.playing import playing
from support.servers.web import web_server

LIBVLC = "VLC/"
"""In the name that libvlc gives itself."""


def leading(film: Path, way: str) -> type[http.server.BaseHTTPRequestHandler]:
    """Return a handler that leads to *film* by a redirect, by a playlist, or by a redirect for libvlc alone."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if way == "redirect" or (way == "redirect of libvlc" and LIBVLC in self.headers["User-Agent"]):
                self.send_response(302)
                self.send_header("Location", f"file://{film}")
                self.end_headers()
                return
            playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{film}\n#EXT-X-ENDLIST\n"
            answer = (playlist if way == "playlist" else "I am not a video\n" * 2000).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.mark.parametrize("way", ["redirect", "playlist", "redirect of libvlc"])
def test_no_web_address_leads_to_a_file_of_this_host(tmp_path: Path, way: str) -> None:
    film = testcard.generate(tmp_path / "film.mp4", duration_s=2, width=320, height=180, bitrate_kbit=400)
    with playing(film, ingest="auto") as recording:
        assert recording.until().bytes > 0, "it can be played where it is named"
    with web_server(leading(film, way)) as address, playing(f"{address}/film.mp4", ingest="auto") as recording:
        recording.until()
    assert recording.bytes == 0
    assert not any(isinstance(event, ItemStarted) for event in recording.events)
    assert len(recording.failures()) == 1
