"""A live channel: a clip as if it had been on the air since the channel was made, over http, UDP or HLS."""

import contextlib
import http.server
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from support.media.surgery import PACKET, packets
from support.media.ts_stream import Check
from support.servers.web import web_server

PCR_HZ = 27_000_000
LATE_S = 0.5
"""A channel begins with what was on the air so long ago, as servers with a small buffer do."""


class Channel:
    """Packets of *clip* with the time at which each is sent; the channel began when this was made."""

    def __init__(self, clip: Path) -> None:
        self.data = clip.read_bytes()
        self.begun_s = time.monotonic()
        self.connections = 0
        """How many connections receive now."""
        self.is_off = False
        """Nothing is sent, and connections end; what is on the air goes on."""
        self._times = self._send_times()

    def _send_times(self) -> list[float]:
        """Return for each packet when it is due, in seconds after the channel's begin."""
        pcrs = Check(self.data).pcrs
        times = [0.0] * (len(self.data) // PACKET)
        for (first, a), (last, b) in itertools.pairwise([*pcrs, (len(times), pcrs[-1][1])]):
            for number in range(first, last):
                share = (number - first) / max(1, last - first)
                times[number] = (a + (b - a) * share - pcrs[0][1]) / PCR_HZ
        return times

    @property
    def now_s(self) -> float:
        """What is on the air, in seconds of the clip."""
        return time.monotonic() - self.begun_s

    def pieces(self, *, from_s: float) -> Iterator[bytes]:
        """Yield packets from *from_s* on, each no earlier than it is due."""
        pending = bytearray()
        for packet, due_s in zip(packets(self.data), self._times, strict=True):
            if due_s < from_s:
                continue
            if due_s > self.now_s:
                if pending:
                    yield bytes(pending)
                    pending.clear()
                time.sleep(max(0.0, min(due_s - self.now_s + 0.02, 0.1)))
            if not self.is_off:
                pending += packet
        yield bytes(pending)


@contextlib.contextmanager
def over_http(channel: Channel, *, headers: tuple[tuple[str, str], ...] = (), port: int = 0) -> Iterator[str]:
    """Serve *channel* over http, without an end; return its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "video/mp2t")
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            channel.connections += 1
            try:
                with contextlib.suppress(OSError):
                    for piece in channel.pieces(from_s=channel.now_s - LATE_S):
                        if channel.is_off:
                            return
                        self.wfile.write(piece)
            finally:
                channel.connections -= 1

        def log_message(self, *_: object) -> None:
            pass

    with web_server(Handler, port=port) as address:
        yield f"{address}/live.ts"


@contextlib.contextmanager
def over_udp(channel: Channel, port: int) -> Iterator[str]:
    """Send *channel* to a UDP port of loopback; return the address at which to listen."""
    stop = threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for piece in channel.pieces(from_s=0):
                if stop.is_set():
                    return
                for at in range(0, len(piece), 7 * PACKET):
                    with contextlib.suppress(OSError):
                        out.sendto(piece[at : at + 7 * PACKET], ("127.0.0.1", port))

    threading.Thread(target=send, daemon=True).start()
    try:
        yield f"udp://@127.0.0.1:{port}"
    finally:
        stop.set()


@contextlib.contextmanager
def over_hls(channel: Channel, folder: Path, *, window: int = 4) -> Iterator[str]:
    """Serve the segments ``part0.ts``, ``part1.ts`` … of *folder*, of one second each, as a live list of *window*."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.endswith(".m3u8"):
                newest = int(channel.now_s)
                first = max(0, newest - window)
                lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
                for number in range(first, newest):
                    lines += ["#EXTINF:1.0,", f"part{number}.ts"]
                body, kind = "\n".join([*lines, ""]).encode(), "application/vnd.apple.mpegurl"
            else:
                body, kind = (folder / self.path.lstrip("/")).read_bytes(), "video/mp2t"
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with web_server(Handler) as address:
        yield f"{address}/live.m3u8"
