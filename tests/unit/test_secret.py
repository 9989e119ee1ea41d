"""What hides secrets in texts."""

import pytest

from flume.secret import Secret, hide_queries, hide_secrets


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
        ("http://h/a: timed out", "http://h/a: timed out"),
    ],
)
def test_a_client_is_shown_addresses_without_password_and_query(text, shown):
    assert hide_queries(text) == shown


def test_a_secret_shows_itself_only_when_asked():
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]} { ({'a': secret}) }"
    assert secret.reveal() == "hunter2"
    assert secret == Secret("hunter2") != Secret("other")
