"""libvlc's errors and warnings, which explain why an item fails."""

import os
import re

LOG_BYTES = 1 << 20
"""How much of libvlc's log is kept in memory."""

_REJECTED = re.compile(r"unsupported codec (.{4})")
_NOISE = re.compile(r"vlcpulse|logger module|buffer deadlock prevented|no more input streams")


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

    def last_error(self) -> str | None:
        """Return the last line that can explain a failure: an error, else a warning, else ``None``."""
        lines = [line for line in self.lines() if not _NOISE.search(line)]
        for kind in (" error: ", " warning: "):
            for line in reversed(lines):
                if kind in line:
                    return line
        return None

    def rejected_codecs(self) -> set[str]:
        """Return the four-character codes that the multiplexer refused."""
        return {match[1] for line in self.lines() if (match := _REJECTED.search(line))}

    def close(self) -> None:
        """Free the memory."""
        os.close(self._file)
