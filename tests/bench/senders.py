"""The senders that are compared: for each, the packages it needs and its command. Only values; nothing runs here."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from bench import build
from bench.clips import Clip
from bench.naive import PINNED
from support.namespaces import SERVER_ADDRESS

CONTROL_PORT = 5004
MAX_SESSIONS = 4000
GST_SEND_BUFFER_BYTES = 64 << 20
UNPRIVILEGED = "nobody"
"""VLC refuses to run as root."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What a sender has to send, and where. The file *listing* has *destinations*, one "address port" a line."""

    clip: Clip
    clip_path: Path
    """The clip's file, by a path that an unprivileged user can open, too."""
    destinations: Sequence[tuple[str, int]]
    listing: Path
    tick_ms: float
    batch: int


class Sender(Protocol):
    """One kind of sender."""

    @property
    def name(self) -> str:
        """Its name on the command line and in the tables."""

    @property
    def what(self) -> str:
        """What it is, in one line."""

    @property
    def rtp(self) -> bool:
        """Whether its datagrams carry RTP's header."""

    @property
    def sessions(self) -> bool:
        """Whether clients must ask for the stream over TCP and send a token."""

    @property
    def is_rtsp(self) -> bool:
        """Whether its clients are players that ask by RTSP, instead of our own."""

    @property
    def user(self) -> str | None:
        """The user that it runs as; ``None`` for the bench's own user."""

    @property
    def needs(self) -> Mapping[str, str]:
        """Program or file → Debian package."""

    def command(self, work: Work) -> list[str]:
        """Return what to run at the server's end."""


class _Described(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of all senders, as fields."""

    name: str
    what: str
    rtp: bool = False
    sessions: bool = False
    is_rtsp: bool = False
    user: str | None = None
    needs: Mapping[str, str] = {}


class FlumeServer(_Described, frozen=True, kw_only=True):
    """The whole server of this project; it reads the clip's bytes from the file."""

    kind: str = "auto"
    """The server's setting *sender*."""

    def command(self, work: Work) -> list[str]:
        """See :class:`Sender`."""
        options = (work.clip_path, SERVER_ADDRESS, CONTROL_PORT, work.tick_ms, work.batch, MAX_SESSIONS, self.kind)
        return [sys.executable, "-m", "bench.flume_server", *map(str, options)]


class FlumeServe(_Described, frozen=True):
    """The server as people run it: ``flume serve``, with libvlc as the source."""

    def command(self, work: Work) -> list[str]:
        """See :class:`Sender`."""
        options = {
            "--host": SERVER_ADDRESS,
            "--port": CONTROL_PORT,
            "--tick": work.tick_ms,
            "--batch": work.batch,
            "--max-sessions": MAX_SESSIONS,
        }
        words = [str(word) for pair in options.items() for word in pair]
        return [sys.executable, "-m", "flume.cli", "serve", str(work.clip_path), *words]


class PythonSender(_Described, frozen=True, kw_only=True):
    """A program of this folder that sends to a list of destinations."""

    module: str
    more: Sequence[str] = ()

    def command(self, work: Work) -> list[str]:
        """See :class:`Sender`."""
        options = (work.clip_path, work.listing, work.clip.bytes_per_s, work.tick_ms)
        return [sys.executable, "-m", self.module, *map(str, options), *self.more]


class Limit(_Described, frozen=True):
    """The C program ``limit.c``."""

    def command(self, work: Work) -> list[str]:
        """See :class:`Sender`."""
        options = (work.clip_path, work.listing, work.clip.bytes_per_s, work.tick_ms)
        return [str(build.program("limit")), *map(str, options)]


class MultiUdpSink(_Described, frozen=True):
    """GStreamer's sink for many clients, in a pipeline that paces by PCR."""

    def command(self, work: Work) -> list[str]:
        """See :class:`Sender`."""
        clients = ",".join(f"{address}:{port}" for address, port in work.destinations)
        return [
            *("gst-launch-1.0", "-q", "filesrc", f"location={work.clip_path}"),
            *("!", "tsparse", "set-timestamps=true", "alignment=7", "!"),
            *("multiudpsink", "sync=true", f"buffer-size={GST_SEND_BUFFER_BYTES}", f"clients={clients}"),
        ]


class FfmpegTee(_Described, frozen=True):
    """FFmpeg's tee muxer with one UDP output for each client."""

    def command(self, work: Work) -> list[str]:
        """See :class:`Sender`."""
        outputs = "|".join(f"[f=mpegts]udp://{address}:{port}?pkt_size=1316" for address, port in work.destinations)
        return [
            *("ffmpeg", "-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-i", str(work.clip_path)),
            *("-c", "copy", "-map", "0", "-f", "tee", outputs),
        ]


class VlcDuplicate(_Described, frozen=True):
    """VLC's stream output with one destination for each client."""

    def command(self, work: Work) -> list[str]:
        """See :class:`Sender`."""
        outputs = ",".join(f"dst=std{{access=udp,mux=ts,dst={address}:{port}}}" for address, port in work.destinations)
        return [
            "cvlc",
            "--quiet",
            "--loop",
            str(work.clip_path),
            "--sout",
            f"#duplicate{{{outputs}}}",
            "--no-sout-audio",
        ]


_GST = {"gst-launch-1.0": "gstreamer1.0-tools"}


def all_senders(machine: str) -> dict[str, Sender]:
    """Return every sender by name, flume first; *machine* is the CPU's name in library paths, such as x86_64."""
    library = f"/usr/lib/{machine}-linux-gnu"
    gst = {
        f"{library}/gstreamer-1.0/libgst{plugin}.so": f"gstreamer1.0-plugins-{part}"
        for plugin, part in (("coreelements", "base"), ("udp", "good"), ("mpegtsdemux", "bad"))
        if plugin != "coreelements"  # comes with gstreamer1.0-tools
    }
    libvlc = {
        f"{library}/libvlc.so.5": "libvlc5",
        f"{library}/vlc/plugins/codec/libavcodec_plugin.so": "vlc-plugin-base",
        f"{library}/vlc/vlc-cache-gen": "libvlc-bin",
    }
    found: tuple[Sender, ...] = (
        FlumeServer(name="flume", what="this project's server, reading the clip's bytes", rtp=True, sessions=True),
        FlumeServe(
            name="flume+vlc", what="`flume serve`, with libvlc as source", rtp=True, sessions=True, needs=libvlc
        ),
        FlumeServer(
            name="flume-loop",
            what="flume without io_uring: a system call for each client and tick",
            rtp=True,
            sessions=True,
            kind="loop",
        ),
        FlumeServer(
            name="flume-rtsp",
            what="flume with clients that are RTSP players, over UDP",
            rtp=True,
            sessions=True,
            is_rtsp=True,
        ),
        PythonSender(name="naive", what="Python, a thread for each client, one datagram a send", module="bench.naive"),
        PythonSender(
            name="naive-pinned",
            what="naive on one CPU, where its threads cannot compete for the interpreter",
            module="bench.naive",
            more=(PINNED,),
        ),
        PythonSender(name="asyncio", what="Python, one asyncio transport", module="bench.asyncio_sender"),
        MultiUdpSink(name="multiudpsink", what="GStreamer multiudpsink", needs=_GST | gst),
        FfmpegTee(name="ffmpeg", what="FFmpeg tee muxer", needs={"ffmpeg": "ffmpeg"}),
        VlcDuplicate(name="vlc", what="VLC #duplicate", user=UNPRIVILEGED, needs={"cvlc": "vlc-bin"} | libvlc),
        Limit(name="limit", what="C, sendmmsg and UDP_SEGMENT: the limit", rtp=True),
    )
    return {sender.name: sender for sender in found}
