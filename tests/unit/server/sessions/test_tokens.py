"""Tokens: issue, forget, find, and the permission to ask for an echo."""

from hypothesis import given
from hypothesis import strategies as st

from flume.control.endpoint import Address
from flume.server.sessions.tokens import TOKEN_CHARACTERS, Tokens
from flume.settings import ECHO_BURST

HOST, STRANGER = ("198.18.0.3", 4000), ("198.18.0.9", 4000)


class Holder:
    def __init__(self, peer: Address = HOST) -> None:
        self.peer = peer
        self.local_host: str | None = None
        self.leaving = False
        self.port_check = self
        self.icmp_error: str | None = None

    def has_proved(self, source: Address) -> bool:
        """Nobody here."""
        return False

    def await_proof(self, source: Address) -> bool:
        """Nobody here."""
        return False

    def note_proof(self, source: Address) -> None:
        """Not asked here."""

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
    assert tokens.grant_echo_untrusted(request, HOST, 0.05) is not None, "and more with time"


def test_all_sessions_of_one_host_share_its_allowance_and_another_host_has_its_own():
    tokens = Tokens()
    requests = [tokens.issue(Holder()).encode() + b"?" for _ in range(60)]
    granted = sum(tokens.grant_echo_untrusted(request, HOST, 0.0) is not None for request in requests * 60)
    assert granted == ECHO_BURST
    other = tokens.issue(Holder(STRANGER)).encode() + b"?"
    assert tokens.grant_echo_untrusted(other, STRANGER, 0.0) is not None


def test_all_tokens_of_a_server_begin_alike_and_differ_from_those_of_another():
    tokens = Tokens()
    issued = [tokens.issue(Holder()) for _ in range(100)]
    assert {token[: len(tokens.prefix)] for token in issued} == {tokens.prefix}
    assert len(set(issued)) == 100
    assert {len(token) for token in issued} == {32}
    assert Tokens().prefix != tokens.prefix
