"""The frame number drawn into a video frame: where its cells are, and how to read it back. Pure; no vendor.

The barcode is twenty cells in a row near the top. Each cell has two halves, one white and one black: white above black
is a 1. Sixteen cells hold the number, most significant bit first, four cells its parity. Differences between halves
survive scaling, compression and wrong colour ranges; a frame without a barcode has no twenty such pairs in a row. An
edge across the whole frame (a letterbox) would look like twenty equal bits. So two of the parity bits are inverted, and
neither 0 nor 65535 has twenty equal bits.

The lab's test card draws it (:mod:`flume.lab.testcard`), the client's player reads it from a luma plane::

    decode(plane, 1280, 720, pitch=1280)    # 4711, or None
"""

import functools

NUMBER_BITS = 16
PARITY_BITS = 4
CELLS = NUMBER_BITS + PARITY_BITS
NUMBERS = 1 << NUMBER_BITS

LEFT = 6 / 32
CELL_WIDTH = 1 / 32
"""Fractions of the frame's width: a cell has 40 pixels at 1280, and still 10 at 320."""

TOP = 1 / 24
HALF_HEIGHT = 1 / 18
"""Fractions of the frame's height: a half has 40 pixels at 720."""

LEAST_CONTRAST = 64
"""Least difference of luma between the halves of a cell; black and white are 219 apart in video range."""

PARITY_INVERTED = (True, True, False, False)

_PROBES = ((0.5, 0.5), (0.35, 0.35), (0.65, 0.35), (0.35, 0.65), (0.65, 0.65))
"""Where a half is sampled, as fractions of its size: away from edges, which scaling and compression blur."""


def parity_bits(number: int) -> tuple[int, ...]:
    """Return the parity cells of *number*: cell j covers the bits k with k mod 4 = j, the lowest being 0."""
    bits = []
    for cell in range(PARITY_BITS):
        ones = sum(number >> bit & 1 for bit in range(cell, NUMBER_BITS, PARITY_BITS))
        bits.append((ones + PARITY_INVERTED[cell]) & 1)
    return tuple(bits)


def cells_of(number: int) -> tuple[int, ...]:
    """Return all cells of *number* (modulo 65536) from left to right."""
    number %= NUMBERS
    return (*(number >> bit & 1 for bit in reversed(range(NUMBER_BITS))), *parity_bits(number))


@functools.lru_cache(maxsize=8)
def _pixel_offsets(width: int, height: int, pitch: int) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Return for each cell the pairs of offsets in the plane to compare: (upper half, lower half)."""
    cells = []
    for cell in range(CELLS):
        pairs = []
        for across, down in _PROBES:
            column = int((LEFT + (cell + across) * CELL_WIDTH) * width)
            upper = int((TOP + down * HALF_HEIGHT) * height) * pitch + column
            lower = int((TOP + (1 + down) * HALF_HEIGHT) * height) * pitch + column
            pairs.append((upper, lower))
        cells.append(tuple(pairs))
    return tuple(cells)


def decode(plane: bytes | bytearray | memoryview, width: int, height: int, pitch: int) -> int | None:
    """Return the number in a luma *plane* (one byte a pixel, *pitch* bytes a line), or ``None`` without one.

    It reads 200 pixels, fewer without a barcode: about 30 µs. Raises ``ValueError`` when *plane* is shorter than
    *height* lines.
    """
    if width < 2 * CELLS or height < 36:
        return None
    if len(plane) < (height - 1) * pitch + width:
        raise ValueError(f"a plane of {height} lines of {pitch} bytes is longer than the {len(plane)} bytes given")
    value = 0
    for pairs in _pixel_offsets(width, height, pitch):
        difference = 0
        for upper, lower in pairs:
            difference += plane[upper] - plane[lower]
        if abs(difference) < LEAST_CONTRAST * len(_PROBES):
            return None
        value = value << 1 | (difference > 0)
    number = value >> PARITY_BITS
    seen = tuple(value >> bit & 1 for bit in reversed(range(PARITY_BITS)))
    return number if seen == parity_bits(number) else None
