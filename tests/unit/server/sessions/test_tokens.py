"""Tokens: issue, forget, find, and the permission to ask for an echo."""

from hypothesis import given
from hypothesis import strategies as st

from flume.control.endpoint import Address
from flume.server.sessions.echo import EchoAllowance
from flume.server.sessions.tokens import TOKEN_CHARACTERS, Tokens
from flume.settings import ECHO_BURST

HOST, STRANGER = ("198.18.0.3", 4000), ("198.18.0.9", 4000)


class Holder:
    def __init__(self, peer: Address = HOST) -> None:
        self.peer = peer
        self.local_host: str | None = None
        self.leaving = False
        self.echoes = EchoAllowance()

    def consent(self, source: Address) -> None:
        """Not asked here."""

    def notice(self, code: str, message: str) -> None:
        """Not asked here."""


def test_a_token_identifies_its_session_until_it_is_forgotten():
    tokens, first, second = Tokens(), Holder(), Holder()
    token, other = tokens.issue(first), tokens.issue(second)
    assert len(token) == TOKEN_CHARACTERS
    assert token != other
    assert tokens.find_untrusted(token.encode()) is first
    assert tokens.find_untrusted(other.encode()) is second
    tokens.forget(token)
    tokens.forget(token)
    assert tokens.find_untrusted(token.encode()) is None
    assert tokens.find_untrusted(other.encode()) is second


@given(st.binary(max_size=80))
def test_any_other_bytes_belong_to_no_session_and_raise_nothing(data: bytes):
    tokens = Tokens()
    tokens.issue(Holder())
    assert tokens.find_untrusted(data) is None
    assert tokens.grant_echo_untrusted(data, HOST, 0.0) is None


def test_an_echo_is_granted_to_the_host_that_holds_the_token_while_it_stays():
    tokens, holder = Tokens(), Holder()
    request = tokens.issue(holder).encode() + b"?padding"
    assert tokens.grant_echo_untrusted(request, HOST, 0.0) is holder
    assert tokens.grant_echo_untrusted(request, (HOST[0], 9), 0.0) is holder, "from any port of it"
    assert tokens.grant_echo_untrusted(request, STRANGER, 0.0) is None
    holder.leaving = True
    assert tokens.grant_echo_untrusted(request, HOST, 0.0) is None
    assert tokens.counts == {"echo_without_session": 2}


def test_echoes_beyond_the_allowance_are_counted():
    tokens = Tokens()
    request = tokens.issue(Holder()).encode() + b"?"
    granted = sum(tokens.grant_echo_untrusted(request, HOST, 0.0) is not None for _ in range(ECHO_BURST + 7))
    assert granted == ECHO_BURST
    assert tokens.counts == {"echo_over_rate": 7}
