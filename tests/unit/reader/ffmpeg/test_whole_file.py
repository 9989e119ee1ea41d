"""Which files of MP4 have their index at the end, by their first bytes."""

import pytest

from flume.reader.ffmpeg.whole_file import HEAD_BYTES, index_comes_last


def box(kind: bytes, size: int = 16, *, filled: bool = True) -> bytes:
    return size.to_bytes(4, "big") + kind + bytes(size - 8 if filled else 8)


LARGE = (1).to_bytes(4, "big") + b"free" + (32).to_bytes(8, "big") + bytes(16)


@pytest.mark.parametrize(
    ("head", "is_last"),
    [
        (box(b"ftyp", 32) + box(b"free") + box(b"mdat", 5000, filled=False), True),
        (box(b"wide") + box(b"mdat", 5000, filled=False), True),
        (box(b"ftyp") + LARGE + box(b"mdat", 5000, filled=False), True),
        (box(b"ftyp", 32) + box(b"moov", 5000, filled=False), False),
        (box(b"ftyp", 32) + box(b"sidx") + box(b"moof", 99, filled=False), False),
        (box(b"ftyp", 32) + bytes(16), False),
        (b"\x1a\x45\xdf\xa3" + bytes(60), False),
        (b"<html><body>no film here</body></html>", False),
        (b"G@\0\x10" * 50, False),
        (b"", None),
        (box(b"ftyp", 32)[:20], None),
        (box(b"ftyp", 32) + box(b"free", 4000, filled=False), None),
        (box(b"ftyp", 32) + box(b"free", 2 * HEAD_BYTES, filled=False), False),
    ],
)
def test_the_first_of_index_and_content_decides(head: bytes, is_last: bool | None) -> None:
    assert index_comes_last(head) is is_last
