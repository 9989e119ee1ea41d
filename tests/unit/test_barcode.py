"""The barcode: every number reads back at every size, and a frame without a barcode has no number."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume import barcode


def draw(
    number: int, width: int, height: int, *, pitch: int | None = None, black: int = 16, white: int = 235
) -> bytearray:
    """Return a grey frame with the barcode of *number*."""
    pitch = pitch or width
    plane = bytearray(bytes([128]) * (pitch * height))
    top, half = round(barcode.TOP * height), round(barcode.HALF_HEIGHT * height)
    for index, bit in enumerate(barcode.cells_of(number)):
        left = round((barcode.LEFT + index * barcode.CELL_WIDTH) * width)
        right = round((barcode.LEFT + (index + 1) * barcode.CELL_WIDTH) * width)
        for line in range(top, top + 2 * half):
            value = white if (line < top + half) == bool(bit) else black
            plane[line * pitch + left : line * pitch + right] = bytes([value]) * (right - left)
    return plane


@given(st.integers(0, barcode.NUMBERS - 1))
def test_every_number_reads_back(number: int) -> None:
    assert barcode.decode(draw(number, 320, 180), 320, 180, 320) == number


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1280, 720), (854, 480), (640, 360), (160, 90)])
def test_every_size_reads(width: int, height: int) -> None:
    assert barcode.decode(draw(43210, width, height, pitch=width + 32), width, height, width + 32) == 43210


def test_a_washed_out_frame_reads_and_a_grey_one_does_not() -> None:
    assert barcode.decode(draw(777, 640, 360, black=60, white=180), 640, 360, 640) == 777
    assert barcode.decode(draw(777, 640, 360, black=110, white=140), 640, 360, 640) is None


@pytest.mark.parametrize("upper", [0, 255])
@pytest.mark.parametrize("line", range(10, 40, 2))
def test_an_edge_across_the_frame_is_no_number(upper: int, line: int) -> None:
    plane = bytes([upper]) * (320 * line) + bytes([255 - upper]) * (320 * (180 - line))
    assert barcode.decode(plane, 320, 180, 320) is None


def test_noise_is_no_number() -> None:
    source = random.Random(1)
    assert all(barcode.decode(source.randbytes(160 * 90), 160, 90, 160) is None for _ in range(500))


def test_a_wrong_parity_is_no_number() -> None:
    plane = draw(5, 320, 180)
    cell = slice(round(barcode.LEFT * 320), round((barcode.LEFT + barcode.CELL_WIDTH) * 320))
    for line in range(180):
        plane[line * 320 + cell.start : line * 320 + cell.stop] = bytes(
            255 - value for value in plane[line * 320 + cell.start : line * 320 + cell.stop]
        )
    assert barcode.decode(plane, 320, 180, 320) is None


def test_a_frame_too_small_for_cells_has_none() -> None:
    assert barcode.decode(bytes(30 * 20), 30, 20, 30) is None


def test_a_plane_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than"):
        barcode.decode(bytes(100), 320, 180, 320)
