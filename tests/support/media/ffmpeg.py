"""Runs the static ffmpeg of the package imageio-ffmpeg, with which tests make and decode videos."""

import errno
import subprocess
import time
from pathlib import Path

import imageio_ffmpeg

TIMEOUT_S = 120
PAUSE_S = 0.2
_STARTS = 3


def program() -> str:
    """Return the path of ffmpeg."""
    path: str = imageio_ffmpeg.get_ffmpeg_exe()
    return path


def call(*arguments: object, folder: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run ffmpeg in *folder* to its end; return its status and what it wrote. Raises OSError when it cannot start.

    execve(2) can fail with EFAULT though its arguments are right: twice in some six whole runs of the suite, never in
    37,000 starts made to see it. Its cause is not known. It has then done nothing, so it is asked again.
    """
    command = [program(), "-nostdin", *map(str, arguments)]
    for start in range(1, _STARTS + 1):
        try:
            return subprocess.run(command, check=False, cwd=folder, capture_output=True, timeout=TIMEOUT_S)
        except OSError as error:
            if error.errno != errno.EFAULT or start == _STARTS:
                raise
            time.sleep(PAUSE_S)
    raise AssertionError("the last start returns or raises")
