"""What strangers may read."""

import pytest

from flume.server.public import without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("film.mp4", "film.mp4"),
        ("what? is this #1", "what? is this #1"),
        ("rtsp://cam:554/live", "rtsp://cam:554/live"),
        ("rtsp://me:pass@cam:554/live?token=s", "rtsp://cam:554/live"),
        ("https://h/a?x=1 and http://u@h/b#c", "https://h/a and http://h/b"),
        ("'http://h/a?key=1' cannot be opened", "'http://h/a' cannot be opened"),
        ("HTTP://me:pass@h", "HTTP://h"),
        ("http://[::1]:80/a?b", "http://[::1]:80/a"),
        ("http://h/a?b: timed out", "http://h/a: timed out"),
    ],
)
def test_an_address_is_shown_without_password_and_query(text, shown):
    assert without_secrets(text) == shown
