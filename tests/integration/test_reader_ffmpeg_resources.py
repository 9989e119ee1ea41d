"""The reader by FFmpeg over its life: it crashes at nothing, hangs at nothing, and never accumulates."""

from pathlib import Path

from support.media.clips import ffmpeg, tone_input, video_input
from support.media.reader_soak import Holding, soak

STARTS = 100
"""So many starts of each kind in the suite. By hand, ``python -m support.media.reader_soak ffmpeg 500 PATH...``."""


def assert_nothing_grew(before: Holding, after: Holding) -> None:
    assert after.mebibytes <= before.mebibytes + 8
    assert after.threads <= before.threads + 1
    assert after.descriptors <= before.descriptors


def test_items_that_are_transcoded(tmp_path: Path) -> None:
    film, sound, picture = tmp_path / "film.webm", tmp_path / "sound.flac", tmp_path / "picture.png"
    codecs = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus")
    ffmpeg(*video_input(seconds=0.4, size="64x64"), *tone_input(seconds=0.4), *codecs, film)
    ffmpeg(*tone_input(seconds=0.4), sound)
    ffmpeg(*video_input(seconds=0.04, size="64x64"), "-frames:v", "1", picture)
    before, after = soak(STARTS, [film, sound, picture], timeout_s=120, engine="ffmpeg")
    assert (after.played, after.failed) == (STARTS, 0)
    assert_nothing_grew(before, after)


def test_items_that_fail(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    ffmpeg(*video_input(seconds=1, size="64x64"), "-movflags", "+faststart", "-c:v", "libx264", film)
    whole = film.read_bytes()
    bad = {
        "text.mp4": b"no video " * 5000,
        "empty.mp4": b"",
        "header.mp4": whole[:600],
        "noise.ts": bytes(range(256)) * 400,
    }
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
    before, after = soak(STARTS, [*map(tmp_path.joinpath, bad), tmp_path / "missing"], timeout_s=120, engine="ffmpeg")
    assert (after.played, after.failed) == (0, STARTS)
    assert_nothing_grew(before, after)
