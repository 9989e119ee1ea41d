"""The test card, read back with a decoder."""

from pathlib import Path
from typing import Any

import pytest

from flume.errors import SettingsError, SetupError
from flume.lab import testcard
from support.media.clips import frame_numbers, packet_count


@pytest.mark.parametrize("suffix", [".mp4", ".ts"])
def test_every_frame_carries_its_number(tmp_path: Path, suffix: str) -> None:
    shares: list[float] = []
    path = testcard.generate(
        tmp_path / f"card{suffix}", duration_s=2, width=320, height=180, bitrate_kbit=800, progress=shares.append
    )
    assert frame_numbers(path) == list(range(51))
    assert packet_count(path, "0:a:0") == pytest.approx(2.04 * 48_000 / 1024, abs=2)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_the_rate_is_constant_and_as_asked(tmp_path: Path) -> None:
    path = testcard.generate(tmp_path / "card.mp4", duration_s=4, width=640, height=360, bitrate_kbit=1500)
    assert path.stat().st_size * 8 / 4.04 / 1000 == pytest.approx(1500 + testcard.AUDIO_KBIT, rel=0.1)


def test_a_place_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match=r"card\.mp4"):
        testcard.generate(tmp_path / "file" / "card.mp4", duration_s=1)


def test_an_encoder_that_fails_is_reported_in_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(
        "#!/bin/sh\nfor last; do :; done\necho part > $last\necho first >&2\necho 'disk full' >&2\nexit 7\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", lambda: str(program))
    with pytest.raises(SetupError, match=r"could not make the test card \(status 7\): disk full") as error:
        testcard.generate(tmp_path / "out" / "card.mp4", duration_s=1)
    assert "\n" not in str(error.value)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "wrong", [{"duration_s": 0}, {"width": 321}, {"height": 2}, {"fps": 0}, {"bitrate_kbit": 1}, {"gop_s": 0}]
)
def test_values_out_of_range_are_refused_by_name(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        testcard.generate(tmp_path / "card.mp4", **wrong)
