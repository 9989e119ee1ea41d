"""An X server without a monitor, and what can be seen on it."""

import mmap
import os
import struct
import subprocess
from pathlib import Path

from flume.barcode import decode

DEPTH = 24
PIXEL_BYTES = 4


class XScreen:
    """Xvfb on a display number that it chooses itself, with its picture in a file that can be read at any time."""

    def __init__(self, folder: Path, *, width: int = 640, height: int = 360) -> None:
        self._size = width, height
        ready, written = os.pipe()
        arguments = ["-displayfd", str(written), "-screen", "0", f"{width}x{height}x{DEPTH}", "-fbdir", str(folder)]
        with (folder / "xvfb.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["Xvfb", *arguments, "-nocursor", "-nolisten", "tcp", "-noreset"],
                stdout=log,
                stderr=log,
                pass_fds=(written,),
            )
        os.close(written)
        with os.fdopen(ready) as answer:
            number = answer.readline().strip()
        assert number, f"Xvfb did not start: {(folder / 'xvfb.log').read_text()}"
        self.display = f":{number}"
        self._file = (folder / "Xvfb_screen0").open("rb")

    def __enter__(self) -> "XScreen":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._process.terminate()
        self._process.wait(10)

    def luma(self) -> bytes:
        """The green of every pixel, row by row: of a black and white barcode the same as its brightness."""
        with mmap.mmap(self._file.fileno(), 0, prot=mmap.PROT_READ) as picture:
            # XWDFile.h: the header's own size is its first word, and 12 bytes for each colour follow it.
            words = struct.unpack(">25I", picture[:100])
            begin = words[0] + 12 * words[19]
            width, height = self._size
            assert (words[4], words[5], words[12]) == (width, height, width * PIXEL_BYTES)
            return bytes(picture[begin + 1 : begin + width * height * PIXEL_BYTES : PIXEL_BYTES])

    @property
    def is_empty(self) -> bool:
        """Whether all of it is black: no window is open."""
        return not any(self.luma())

    def frame_number(self) -> int | None:
        """The test card's, if the screen shows it."""
        return decode(self.luma(), *self._size, self._size[0])
