"""A test card of two seconds, small, with a keyframe every ten frames."""

import pytest

from flume.lab import testcard


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("video") / "card.ts"
    return testcard.generate(path, duration_s=2, width=320, height=180, bitrate_kbit=1000, gop_s=0.4).read_bytes()
