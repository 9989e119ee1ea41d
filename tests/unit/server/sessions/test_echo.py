"""Echoes: what a request looks like, and how many are granted."""

from flume.server.limits.buckets import Bucket
from flume.server.sessions.echo import ECHO_RATE, is_echo_request

TOKEN = b"0123456789abcdef" * 2


def test_a_request_is_a_token_a_mark_and_padding():
    assert is_echo_request(TOKEN + b"?", token_bytes=32)
    assert is_echo_request(TOKEN + b"?" + bytes(1400), token_bytes=32)
    for other in (TOKEN, TOKEN + b"!", TOKEN[1:] + b"?", b"", b"?", TOKEN + b"?" + bytes(2049 - 33)):
        assert not is_echo_request(other, token_bytes=32)


def test_an_examination_gets_all_its_echoes():
    bucket = Bucket(ECHO_RATE)
    assert all(bucket.take(step * 0.6) for step in range(3) for _ in range(20))
