"""Echoes: what a request looks like, and how many are granted."""

from hypothesis import given
from hypothesis import strategies as st

from flume.server.sessions.echo import EchoAllowance, is_echo_request
from flume.settings import ECHO_BURST, ECHOES_PER_S

TOKEN = b"0123456789abcdef" * 2


def test_a_request_is_a_token_a_mark_and_padding():
    assert is_echo_request(TOKEN + b"?", token_bytes=32)
    assert is_echo_request(TOKEN + b"?" + bytes(1400), token_bytes=32)
    for other in (TOKEN, TOKEN + b"!", TOKEN[1:] + b"?", b"", b"?", TOKEN + b"?" + bytes(2049 - 33)):
        assert not is_echo_request(other, token_bytes=32)


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=200))
def test_requests_at_any_pace_get_at_most_the_bucket_and_its_refill(pauses):
    allowance = EchoAllowance()
    now_s = 1000.0
    given_out = 0
    for pause_s in pauses:
        now_s += pause_s
        given_out += allowance.take(now_s)
    assert given_out <= ECHO_BURST + ECHOES_PER_S * sum(pauses) + 1


def test_an_examination_gets_all_its_echoes():
    allowance = EchoAllowance()
    assert all(allowance.take(step * 0.6) for step in range(3) for _ in range(20))
