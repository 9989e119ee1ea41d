"""Proofs that a port wants the stream: for whom one is good, and for how long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.server.sessions.proofs import CODE_CHARACTERS, VALID_S, Proofs, is_proof

TOKEN = b"0123456789abcdef" * 2
SOURCE = ("192.0.2.1", 5000)
NOW_S = 1000.0


def test_an_answer_is_good_for_its_token_address_and_port_alone():
    proofs = Proofs()
    request = proofs.request(TOKEN, SOURCE, now_s=NOW_S)
    assert is_proof(request, token_bytes=len(TOKEN))
    assert proofs.is_proof_untrusted(request, SOURCE, now_s=NOW_S)
    other_token = b"f" * len(TOKEN) + request[len(TOKEN) :]
    for data, source in (
        (other_token, SOURCE),
        (request, ("192.0.2.2", 5000)),
        (request, ("192.0.2.1", 5001)),
        (request, ("::ffff:192.0.2.1", 5000)),
        (Proofs().request(TOKEN, SOURCE, now_s=NOW_S), SOURCE),
    ):
        assert not proofs.is_proof_untrusted(data, source, now_s=NOW_S), source


@given(st.floats(0, 1e6), st.floats(0, VALID_S))
def test_a_slow_answer_is_good_and_one_that_was_recorded_is_not(now_s: float, later_s: float):
    proofs = Proofs()
    request = proofs.request(TOKEN, SOURCE, now_s=now_s)
    assert proofs.is_proof_untrusted(request, SOURCE, now_s=now_s + later_s)
    assert not proofs.is_proof_untrusted(request, SOURCE, now_s=now_s + 2 * VALID_S + later_s)


@given(st.binary(max_size=64))
def test_no_other_bytes_are_a_proof(code: bytes):
    assert not Proofs().is_proof_untrusted(TOKEN + b"!" + code, SOURCE, now_s=NOW_S)


@pytest.mark.parametrize("data", [TOKEN, TOKEN + b"!", TOKEN + b"?" * 13, TOKEN + b"!" + b"0" * 11, b"!" * 46])
def test_other_forms_are_no_proof(data: bytes):
    assert not is_proof(data, token_bytes=len(TOKEN))


def test_a_request_has_less_than_one_and_a_half_times_the_bytes_of_its_token():
    request = Proofs().request(TOKEN, SOURCE, now_s=NOW_S)
    assert len(request) == len(TOKEN) + 1 + CODE_CHARACTERS < 1.5 * len(TOKEN)
