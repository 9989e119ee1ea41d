"""Small pictures for tests of the page, as PNG: a gradient, and the same with a part that was lost."""

import struct
import zlib
from pathlib import Path

WIDTH, HEIGHT = 320, 180


def png(width: int = WIDTH, height: int = HEIGHT, *, damaged: bool = False) -> bytes:
    """Return a gradient of *width* by *height* pixels; *damaged*: its lower third is grey, in blocks."""
    rows = []
    for y in range(height):
        row = bytearray([0])
        for x in range(width):
            lost = damaged and y > height * 2 // 3 and (x // 16 + y // 16) % 3
            row += bytes((128, 128, 128)) if lost else bytes((x * 255 // width, y * 255 // height, 160))
        rows.append(bytes(row))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def write_pictures(folder: Path) -> None:
    """Write the two pictures that the sample's client 3 names, below *folder*."""
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    (folder / "pictures" / "client-3-sent.png").write_bytes(png())
    (folder / "pictures" / "client-3-shown.png").write_bytes(png(damaged=True))
