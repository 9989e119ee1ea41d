"""What several integration tests share."""

from pathlib import Path

import pytest

from flume.lab import testcard


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A test card of two seconds as a file."""
    path = tmp_path_factory.mktemp("clips") / "card.mp4"
    return testcard.generate(path, duration_s=2, width=320, height=180, bitrate_kbit=800)
