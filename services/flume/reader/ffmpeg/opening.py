"""Opens an item with FFmpeg, within bounds of time, and says what is wrong with those that do not open."""

import contextlib
import io
import ipaddress
import os
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import av
from av.container import InputContainer

from flume.reader.engine import UnplayableError
from flume.reader.ffmpeg import whole_file
from flume.reader.ffmpeg.files import IO_BYTES, MappedFile, NamedFile, as_pyav_reads
from flume.reader.ffmpeg.programs import ProgramTracks, programs_in_description
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

FILE_PROTOCOLS = "file,fd,crypto,data"
NETWORK_PROTOCOLS = "http,https,httpproxy,tcp,tls,udp,rtp,rtsp,rtsps,rtmp,rtmps,srt,ftp,crypto,data,hls"
"""An item from the network cannot name files of this host, and a file names no address; HLS lists may."""


class OpenedItem(NamedTuple):
    """A container, whether the item is live, and its file if that is a transport stream."""

    container: InputContainer
    live: bool
    stream: MappedFile | None = None

    @property
    def programs(self) -> tuple[ProgramTracks, ...]:
        """The programs of a transport stream."""
        if self.stream is not None:
            return self.stream.programs
        return _described_programs(self.container) if self.container.format.name == "mpegts" else ()


@contextlib.contextmanager
def opened(item: Play) -> Iterator[OpenedItem]:
    """Open *item* and close it at the end. Raises :class:`UnplayableError`."""
    with contextlib.ExitStack() as stack:
        try:
            file = _file_of(item, stack)
            container = stack.enter_context(_open(item, file, stack))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise UnplayableError(reason_of(item, error), unreadable=_is_unreadable(error)) from error
        if container.format.name in NO_VIDEOS:
            raise UnplayableError(f"{item.name} is no video ({container.format.long_name})")
        if _is_animated_webp(container):
            raise UnplayableError(
                f"{item.name} is an animation in WebP, which FFmpeg cannot read: convert it to GIF or MP4"
            )
        yield OpenedItem(container, _is_live(item, container), file if isinstance(file, MappedFile) else None)


def _is_animated_webp(container: InputContainer) -> bool:
    """Whether *container* is a file of WebP of which FFmpeg decodes no picture."""
    return container.format.name == "webp_pipe" and not any(each.width for each in container.streams.video)


def _file_of(item: Play, stack: contextlib.ExitStack) -> NamedFile | MappedFile | None:
    """Return the file of *item*; ``None`` if FFmpeg opens it by its name."""
    location = os.fsdecode(item.location)
    if not item.is_path or _is_list(location):
        return None
    # By a file object: FFmpeg would take "%03d" in a picture's name for a sequence, and knows UTF-8 names only.
    return as_pyav_reads(stack.enter_context(io.FileIO(item.location)), location)


def _is_list(location: str) -> bool:
    return location.lower().endswith((".m3u8", ".m3u", ".mpd"))


def _open(item: Play, file: NamedFile | MappedFile | None, stack: contextlib.ExitStack) -> InputContainer:
    location = os.fsdecode(item.location)
    options = {"fflags": "+genpts"}
    if not item.is_path:
        return _open_address(location, item, options, stack)
    options |= FILE_PROBE
    options["protocol_whitelist"] = FILE_PROTOCOLS if file is not None else f"{FILE_PROTOCOLS},{NETWORK_PROTOCOLS}"
    if file is None:
        return av.open(f"file:{location}", options=options, timeout=(OPEN_TIMEOUT_S, READ_TIMEOUT_S))
    return av.open(file, "r", options=options, buffer_size=IO_BYTES)


def _open_address(location: str, item: Play, options: dict[str, str], stack: contextlib.ExitStack) -> InputContainer:
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
    may_be_whole = scheme in {"http", "https"} and not item.live
    is_named = urlsplit(location).path.lower().endswith(whole_file.SUFFIXES)
    saved = _fetched_whole(location, item, options, stack) if may_be_whole and is_named else None
    if saved is not None:
        return saved
    container = av.open(location, options=options, timeout=(OPEN_TIMEOUT_S, READ_TIMEOUT_S))
    if may_be_whole and not is_named and container.format.name.startswith("mov,"):
        saved = _fetched_whole(location, item, options, stack)
        if saved is not None:
            container.close()
    return saved or container


def _fetched_whole(
    location: str, item: Play, options: dict[str, str], stack: contextlib.ExitStack
) -> InputContainer | None:
    """Return the item as a file of this host if it has to be one, and close that at the end."""
    file = whole_file.fetched_whole(location, item.name, options, timeout_s=OPEN_TIMEOUT_S)
    if file is None:
        return None
    stack.callback(file.close)
    return av.open(file, "r", options={"fflags": "+genpts", **FILE_PROBE, "protocol_whitelist": FILE_PROTOCOLS})


def _is_multicast(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_multicast
    return False


def _described_programs(container: InputContainer) -> tuple[ProgramTracks, ...]:
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        described: Any = container  # PyAV's stubs leave it out
        return programs_in_description(described.dumps_format())
    finally:
        av.logging.set_level(level)


def _is_live(item: Play, container: InputContainer) -> bool:
    """Whether the item continues while it is not read: if nothing else says so, because it has neither end nor size."""
    if item.live is not None:
        return item.live
    endless = container.duration is None and (container.size <= 0 or container.format.name == "hls")
    return endless and not item.is_path


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
