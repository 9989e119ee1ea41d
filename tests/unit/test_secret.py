"""What hides secrets in texts."""

import pytest

from flume.secret import Secret, hide_secrets


@pytest.mark.parametrize(
    ("text", "location", "shown"),
    [
        ("rtsp://ann:hunter2@cam/1 failed", "", "rtsp://cam/1 failed"),
        ("cannot open 'http://a:b%40c@h/x?sig=abc' now", "", "cannot open 'http://h/x?sig=…' now"),
        ("two: ftp://a:b@h/, http://c:d@i/", "", "two: ftp://h/, http://i/"),
        ("user ann, password hunter2", "rtsp://ann:hunter2@cam/", "user ann, password …"),
        ("password h@nter", "rtsp://ann:h%40nter@cam/", "password …"),
        ("a b", "rtsp://ann:a@cam/", "a b"),
        ("mail ann@example.org about /srv/a@b.mp4", "", "mail ann@example.org about /srv/a@b.mp4"),
        ("bad address", "http://[zz]", "bad address"),
    ],
)
def test_secrets_are_hidden_and_nothing_else(text, location, shown):
    assert hide_secrets(text, location) == shown


def test_a_secret_shows_itself_only_when_asked():
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]} { ({'a': secret}) }"
    assert secret.reveal() == "hunter2"
    assert secret == Secret("hunter2") != Secret("other")
