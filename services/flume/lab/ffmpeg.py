"""Finds ffmpeg, the program that the package imageio-ffmpeg brings, and runs it. The only importer of imageio_ffmpeg.

A run ends with an error of one line, when ffmpeg fails and when it gets no further for some time. An interrupt ends
ffmpeg too.
"""

import contextlib
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import imageio_ffmpeg

from flume.errors import LabError, SetupError

Progress = Callable[[int], None]
"""Called with the number of frames that are done."""

STALLED_S = 120.0
"""Without a further frame for so long ffmpeg is ended. It decodes hundreds a second; 4K video, compared on one busy
core, still gives one every two seconds."""
_LONGEST_LINE = 300


class FfmpegError(LabError):
    """ffmpeg did not do what it was asked for; the message has the last line that it wrote."""


def program() -> str:
    """Return the path of ffmpeg. Raises :class:`~flume.errors.SetupError` where there is none."""
    try:
        path: str = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise SetupError(f"there is no ffmpeg (pip install imageio-ffmpeg): {error}") from error
    return path


def filters() -> frozenset[str]:
    """Return the names of the filters that this ffmpeg has. Raises :class:`~flume.errors.SetupError`.

    >>> "ssim" in filters()
    True
    """
    try:
        listing = subprocess.run(
            [program(), "-hide_banner", "-filters"], capture_output=True, text=True, check=True, timeout=STALLED_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise SetupError(f"{program()} does not list its filters: {error}") from error
    lines = (line.split() for line in listing.stdout.splitlines())
    return frozenset(words[1] for words in lines if len(words) > 2 and "->" in words[2])


def run(
    arguments: Sequence[str],
    *,
    doing: str,
    progress: Progress | None = None,
    folder: Path | None = None,
    stalled_s: float = STALLED_S,
) -> None:
    """Run ffmpeg with *arguments* in *folder* to its end; *doing* completes "ffmpeg could not …".

    *progress* is called about twice a second. Raises :class:`FfmpegError` when ffmpeg fails, or gets no further for
    *stalled_s*, and :class:`~flume.errors.SetupError` where there is none::

        run(["-i", "in.ts", "-f", "null", "-"], doing="decode in.ts")
    """
    command = [program(), "-nostdin", "-hide_banner", "-v", "error", "-y", "-progress", "pipe:1", *arguments]
    with tempfile.TemporaryFile() as errors:  # a pipe that is not read would block ffmpeg
        try:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, cwd=folder)
        except OSError as error:
            raise SetupError(f"ffmpeg at {command[0]} cannot be started: {error}") from error
        with process:
            try:
                went_on = _watch(process, progress, stalled_s)
            except BaseException:
                process.kill()
                raise
            if not went_on:
                process.kill()
        if not went_on:
            raise FfmpegError(f"ffmpeg could not {doing}: no further frame for {stalled_s:g} s, so it was ended")
        if process.returncode:
            raise FfmpegError(f"ffmpeg could not {doing} (status {process.returncode}): {_last_line(errors)}")


def _watch(process: subprocess.Popen[bytes], progress: Progress | None, stalled_s: float) -> bool:
    """Read what ffmpeg says of its progress until it ends; return False when it got no further."""
    assert process.stdout is not None  # noqa: S101 - it was opened with a pipe
    output, rest, frames, deadline = process.stdout.fileno(), b"", -1, time.monotonic() + stalled_s
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([output], [], [], left)[0]:
            return False
        data = os.read(output, 1 << 16)
        if not data:
            return True
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            key, _, value = line.partition(b"=")
            if key == b"frame" and value.strip().isdigit() and int(value) > frames:
                frames, deadline = int(value), time.monotonic() + stalled_s
                if progress is not None:
                    progress(frames)
    return False


def _last_line(errors: IO[bytes]) -> str:
    with contextlib.suppress(OSError):
        errors.seek(-min(4096, errors.seek(0, os.SEEK_END)), os.SEEK_END)
    lines = errors.read().decode("utf-8", "replace").strip().splitlines() or ["no message"]
    return lines[-1].strip()[:_LONGEST_LINE]
