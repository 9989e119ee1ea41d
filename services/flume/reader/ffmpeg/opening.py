"""Opens an item with FFmpeg, within bounds of time, and says what is wrong with those that do not open."""

import contextlib
import io
import ipaddress
import os
import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

import av
from av.container import InputContainer

from flume.reader.engine import UnplayableError
from flume.reader.ffmpeg.files import IO_BYTES, MappedFile, NamedFile, as_pyav_reads
from flume.reader.messages import Play

OPEN_TIMEOUT_S = 10.0
"""For an address that does not answer. A file opens in milliseconds."""

READ_TIMEOUT_S = 10.0
"""Without a byte for so long, the item has broken off."""

LIVE_PROBE_US = 1_500_000
"""How much of a live source is read to learn its tracks: FFmpeg's default is 5 s, which all clients would wait."""

FILE_PROBE = {"probesize": str(64 << 20), "analyzeduration": "120000000"}
"""How much of a file may be read to learn its tracks, 64 MiB and 120 s: sound may begin late."""

SCHEME_OPTIONS = {
    # A burst waits in memory, and an overrun is a loss, not an end.
    "udp": {"fifo_size": "100000", "overrun_nonfatal": "1", "buffer_size": str(4 << 20)},
    "rtp": {"buffer_size": str(4 << 20)},
    "rtsp": {"rtsp_flags": "prefer_tcp"},
    # Without it FFmpeg 8 asks again on a connection that the server has closed, and loses the packet at which it did.
    "http": {"multiple_requests": "1"},
    "https": {"multiple_requests": "1"},
}

NO_VIDEOS = frozenset(
    {"tty", "bin", "xbin", "adf", "idf", "data", "lavfi", "concat", "concatf", "webvtt", "srt", "ass"}
)
"""Formats of FFmpeg that are no video: text that it would draw, subtitles, and lists of commands to it."""

STILLS = re.compile(r"image2|.+_pipe|gif|apng|webp.*")
"""FFmpeg's formats of pictures; those of one picture are stills."""

FILE_PROTOCOLS = "file,fd,crypto,data"
NETWORK_PROTOCOLS = "http,https,httpproxy,tcp,tls,udp,rtp,rtsp,rtsps,rtmp,rtmps,srt,ftp,crypto,data,hls"
"""An item from the network cannot name files of this host, and a file names no address; HLS lists may."""


class OpenedItem(NamedTuple):
    """A container, whether the item is live, and its file if that is a transport stream."""

    container: InputContainer
    live: bool
    stream: MappedFile | None = None


@contextlib.contextmanager
def opened(item: Play) -> Iterator[OpenedItem]:
    """Open *item* and close it at the end. Raises :class:`UnplayableError`."""
    with contextlib.ExitStack() as stack:
        try:
            file = _file_of(item, stack)
            container = stack.enter_context(_open(item, file))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise UnplayableError(reason_of(item, error), unreadable=_is_unreadable(error)) from error
        if container.format.name in NO_VIDEOS:
            raise UnplayableError(f"{item.name} is no video ({container.format.long_name})")
        yield OpenedItem(container, _is_live(item, container), file if isinstance(file, MappedFile) else None)


def _file_of(item: Play, stack: contextlib.ExitStack) -> NamedFile | MappedFile | None:
    """Return the file of *item*; ``None`` if FFmpeg opens it by its name."""
    location = os.fsdecode(item.location)
    if not item.is_path or _is_list(location):
        return None
    # By a file object: FFmpeg would take "%03d" in a picture's name for a sequence, and knows UTF-8 names only.
    return as_pyav_reads(stack.enter_context(io.FileIO(item.location)), location)


def _is_list(location: str) -> bool:
    return location.lower().endswith((".m3u8", ".m3u", ".mpd"))


def _open(item: Play, file: NamedFile | MappedFile | None) -> InputContainer:
    location = os.fsdecode(item.location)
    options = {"fflags": "+genpts"}
    if not item.is_path:
        return _open_address(location, item, options)
    options |= FILE_PROBE
    options["protocol_whitelist"] = FILE_PROTOCOLS if file is not None else f"{FILE_PROTOCOLS},{NETWORK_PROTOCOLS}"
    if file is None:
        return av.open(f"file:{location}", options=options, timeout=(OPEN_TIMEOUT_S, READ_TIMEOUT_S))
    return av.open(file, "r", options=options, buffer_size=IO_BYTES)


def _open_address(location: str, item: Play, options: dict[str, str]) -> InputContainer:
    scheme = urlsplit(location).scheme.lower()
    options["protocol_whitelist"] = NETWORK_PROTOCOLS
    options["rw_timeout"] = str(int(READ_TIMEOUT_S * 1e6))
    if item.live or scheme in {"udp", "rtp", "rtsp", "srt"}:
        options |= {"analyzeduration": str(LIVE_PROBE_US)}
    options |= SCHEME_OPTIONS.get(scheme, {})
    host = urlsplit(location).hostname
    if scheme == "udp" and "@" in location and host and not _is_multicast(host):
        options["localaddr"] = host  # as libvlc understands "udp://@ADDRESS:PORT": listen on that address only
    for option in item.options:
        name, _, value = option.partition("=")
        if name == "http-user-agent":
            options["user_agent"] = value
        elif name == "http-referrer":
            options["referer"] = value
    return av.open(location, options=options, timeout=(OPEN_TIMEOUT_S, READ_TIMEOUT_S))


def _is_multicast(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_multicast
    return False


def _is_live(item: Play, container: InputContainer) -> bool:
    """Whether the item continues while it is not read: if nothing else says so, because it has neither end nor size."""
    if item.live is not None:
        return item.live
    endless = container.duration is None and (container.size <= 0 or container.format.name == "hls")
    return endless and not item.is_path


def is_still(container: InputContainer) -> bool:
    """Whether *container* is a file of a picture, which plays as long as one likes."""
    return STILLS.fullmatch(container.format.name) is not None


def _is_unreadable(error: Exception) -> bool:
    """Whether another engine may know what FFmpeg does not."""
    return isinstance(error, av.error.InvalidDataError | av.error.ProtocolNotFoundError | av.error.DemuxerNotFoundError)


def detail_of(error: Exception) -> str:
    """Return in a few words what *error* means, for people."""
    if isinstance(error, av.error.InvalidDataError):
        return "no known format, or its index is missing"
    if isinstance(error, av.error.ExitError | av.error.TimeoutError):
        return f"nothing came for {READ_TIMEOUT_S:g} s"
    return getattr(error, "strerror", None) or str(error)


def reason_of(item: Play, error: Exception) -> str:
    """Return why *item* cannot be opened, for people: what was seen and what to try."""
    detail = detail_of(error)
    if item.is_path:
        return f"{item.name} is not a video that FFmpeg can read ({detail}): try it in a player, or convert it"
    return f"{item.name} gives no video ({detail}): check the address, and that it is sending"
