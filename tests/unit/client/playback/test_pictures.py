"""Pictures in memory, drawn by the test in the place of libvlc: what is counted, and what is recorded."""

import ctypes
from collections import deque

from flume import barcode
from flume.client.playback.frame_count import FrameCount
from flume.client.playback.pictures import PictureMemory, Shown

WIDTH, HEIGHT = 320, 180


def memory(shown: deque[Shown] | None = None) -> PictureMemory:
    made = PictureMemory(FrameCount(buffer_s=0.3), shown)
    chroma = ctypes.create_string_buffer(4)
    numbers = [(ctypes.c_uint * 3)(*values) for values in ((WIDTH,), (HEIGHT,), (), ())]
    made._set_up(ctypes.pointer(ctypes.c_void_p()), ctypes.addressof(chroma), *numbers)  # type: ignore[arg-type]
    assert chroma.raw == b"I420"
    return made


def draw(made: PictureMemory, number: int | None) -> None:
    """Draw the barcode of *number*, or a grey picture, and show it."""
    picture = made._picture
    assert picture is not None
    picture.luma[:] = bytes([128]) * len(picture.luma)
    if number is not None:
        pairs = barcode._pixel_offsets(picture.width, picture.height, picture.pitch)
        for cell, offsets in zip(barcode.cells_of(number), pairs, strict=True):
            for upper, lower in offsets:
                # A square around each probe, so that the lines of the checksum change too.
                for at, value in ((upper, 235 if cell else 16), (lower, 16 if cell else 235)):
                    for line in range(-4, 5):
                        picture.luma[at + line * picture.pitch] = value
    made._show(None, None)


def test_each_new_picture_is_recorded_with_its_number() -> None:
    shown: deque[Shown] = deque()
    made = memory(shown)
    for number in (7, 7, None, 8):
        draw(made, number)
    assert [number for _, number in shown] == [7, None, 8], "a picture that is drawn again is no new one"
    times_s = [time_s for time_s, _ in shown]
    assert times_s == sorted(times_s)
    assert made._count.frames == 3


def test_without_a_record_pictures_are_counted_alike() -> None:
    made = memory()
    for number in (7, 8):
        draw(made, number)
    assert (made._count.frames, made.number) == (2, 8)
