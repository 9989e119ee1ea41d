"""ffmpeg is run with a limit, reports how far it is, and fails in one line."""

from pathlib import Path

import pytest

from flume.errors import SetupError
from flume.lab import ffmpeg


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in place of ffmpeg; a test writes its text."""
    path = tmp_path / "fake-ffmpeg"
    path.touch(mode=0o755)
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", lambda: str(path))
    return path


def test_the_frames_done_are_reported(fake: Path) -> None:
    fake.write_text("#!/bin/sh\necho frame=3\necho fps=25\necho frame=7\necho 'frame= 7'\necho frame=9\n")
    seen: list[int] = []
    ffmpeg.run([], doing="count", progress=seen.append)
    assert seen == [3, 7, 9]


def test_a_failure_is_the_last_line_of_many(fake: Path) -> None:
    fake.write_text("#!/bin/sh\nfor n in $(seq 2000); do echo line $n >&2; done\nexit 3\n")
    with pytest.raises(ffmpeg.FfmpegError, match=r"^ffmpeg could not count \(status 3\): line 2000$"):
        ffmpeg.run([], doing="count")


def test_a_program_that_gets_no_further_is_ended(fake: Path) -> None:
    fake.write_text("#!/bin/sh\necho frame=1\nexec sleep 60\n")
    with pytest.raises(ffmpeg.FfmpegError, match=r"could not count: no further frame for 0\.2 s"):
        ffmpeg.run([], doing="count", stalled_s=0.2)


def test_an_interrupt_ends_the_program_too(fake: Path, tmp_path: Path) -> None:
    fake.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\necho frame=1\nexec sleep 60\n")

    def interrupt(_frames: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ffmpeg.run([], doing="count", progress=interrupt)
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_a_program_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", lambda: str(tmp_path / "none"))
    with pytest.raises(SetupError, match="cannot be started"):
        ffmpeg.run([], doing="count")
    with pytest.raises(SetupError, match="does not list its filters"):
        ffmpeg.filters()


def test_its_filters_are_known() -> None:
    assert {"libvmaf", "psnr", "select", "ssim", "vmafmotion", "xpsnr"} <= ffmpeg.filters()
