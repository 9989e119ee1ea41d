"""libvlc's errors and warnings, which explain why an item fails."""

import os
import re

LOG_BYTES = 1 << 20
"""How much of libvlc's own words is kept in memory."""

_REJECTED = re.compile(r"unsupported codec (.{4})")
_NOISE = re.compile(r"vlcpulse|logger module|buffer deadlock prevented|no more input streams")


class VlcLog:
    """libvlc's errors and warnings, by its own file logger into memory: a Python callback would run in its threads."""

    def __init__(self) -> None:
        self._file = os.memfd_create("flume-vlc-log")
        self.arguments = ("--file-logging", f"--logfile=/proc/self/fd/{self._file}", "--log-verbose=1")
        self._mark = 0

    def mark(self) -> None:
        """Look from here on."""
        self._mark = os.fstat(self._file).st_size

    def trim(self) -> None:
        """Let go of what was said so far once it is long: a camera may warn for weeks."""
        if os.fstat(self._file).st_blocks * 512 > LOG_BYTES:
            # The logger writes on at its own place and leaves a hole before it, which takes no memory.
            os.ftruncate(self._file, 0)
            self._mark = 0

    def lines(self) -> list[str]:
        """Return what was said since the mark, at most the last 64 KiB of it."""
        end = os.fstat(self._file).st_size
        start = max(self._mark, end - (64 << 10))
        return os.pread(self._file, max(0, end - start), start).lstrip(b"\0").decode("utf-8", "replace").splitlines()

    def last_error(self) -> str | None:
        """Return the last line that can explain a failure: an error, else a warning."""
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
        os.close(self._file)
