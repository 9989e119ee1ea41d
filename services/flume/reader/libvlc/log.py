"""libvlc's errors and warnings, which explain why an item fails."""

import os
import re

LOG_BYTES = 1 << 20
"""How much of libvlc's log is kept in memory."""

_REJECTED = re.compile(r"unsupported codec (.{4})")
_NOISE = re.compile(
    "|".join(
        (
            # Said of each item, or of each item's end; or of an option of a playlist, which is ignored.
            "unsafe option",
            "vlcpulse|logger module|invalid pcr delay|no more input streams|elst box found|[SC]TTS table of",
            "find KaxCues|no cues|mkv warning: EOF|cannot get block EOF|ogg logical stream",
            # What follows from a refused codec, which `rejected_codecs` knows.
            "rejecting stream|cannot add this stream|new sout input failed|cannot create packetizer|deadlock prevented",
            "vaapi_filters",
            # Modules that are tried in vain, before the one that fits or after the last one.
            "VLC is unable to open|look like an MPEG PS|garbage at input|stream filter prefetch|cannot pre fill",
            "cannot peek|no more data",
        )
    )
)
_GENERAL = re.compile(r"input can't be opened|VLC could not connect|Connection failed$")
"""Lines that say that something failed, and not what."""

_INVALID_DATA = "Unknown error 1094995529"
"""AVERROR_INVALIDDATA, for which libvlc has no text."""


class VlcLog:
    """libvlc's errors and warnings, which its own file logger writes to a file in memory.

    A Python callback would run in libvlc's threads instead.
    """

    def __init__(self) -> None:
        """Open the file; libvlc needs :attr:`arguments`."""
        self._file = os.memfd_create("flume-vlc-log")
        self.arguments = ("--file-logging", f"--logfile=/proc/self/fd/{self._file}", "--log-verbose=1")
        self._mark = 0

    def mark(self) -> None:
        """Ignore the lines so far."""
        self._mark = os.fstat(self._file).st_size

    def trim(self) -> None:
        """Drop a log that has grown beyond :data:`LOG_BYTES`: a camera may warn for weeks."""
        if os.fstat(self._file).st_blocks * 512 > LOG_BYTES:
            # The logger continues at its own offset and leaves a hole before it, which takes no memory.
            os.ftruncate(self._file, 0)
            self._mark = 0

    def lines(self) -> list[str]:
        """Return the lines since the mark, at most the last 64 KiB of them."""
        end = os.fstat(self._file).st_size
        start = max(self._mark, end - (64 << 10))
        return os.pread(self._file, max(0, end - start), start).lstrip(b"\0").decode("utf-8", "replace").splitlines()

    def reason(self) -> str | None:
        """Return what explains a failure best, in one line; see :func:`reason_of`."""
        return reason_of(self.lines())

    def rejected_codecs(self) -> set[str]:
        """Return the four-character codes that the multiplexer refused."""
        return {match[1] for line in self.lines() if (match := _REJECTED.search(line))}

    def close(self) -> None:
        """Free the memory."""
        os.close(self._file)


def reason_of(lines: list[str]) -> str | None:
    """Return the last line that can explain a failure: an error, else a warning, else an error that says little.

    >>> reason_of(["http error: cannot connect to 10.0.0.1:80", "main error: Your input can't be opened"])
    'http error: cannot connect to 10.0.0.1:80'
    >>> reason_of(["mux_ts error: invalid pcr delay (70ms) resetting to 70ms"])
    """
    telling = [line for line in lines if not _NOISE.search(line)]
    specific = [line for line in telling if not _GENERAL.search(line)]
    for kind, candidates in ((" error: ", specific), (" warning: ", specific), (" error: ", telling)):
        for line in reversed(candidates):
            if kind in line:
                return line.replace(_INVALID_DATA, "not a format that FFmpeg knows")
    return None
