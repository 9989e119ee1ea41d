"""Datagrams that come to the media port: to which session they go, and what is counted."""

import socket
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from flume.control.endpoint import Address
from flume.server.ports import bind_media
from flume.server.sending.media_port import MediaPort
from flume.server.sessions import arrivals
from flume.server.sessions.arrivals import ADDRESSES_KEPT, DATAGRAMS_AT_ONCE, REFUSED_RECENTLY_S, Arrivals
from flume.server.sessions.tokens import Tokens

HOST = "127.0.0.1"


class Holder:
    def __init__(self, peer: Address = (HOST, 4000)) -> None:
        self.peer = peer
        self.local_host: str | None = None
        self.leaving = False
        self.port_check = self
        self.icmp_error: str | None = None
        self.asked = 0
        self.proofs: list[Address] = []
        self.consents: list[Address] = []
        self.notices: list[str] = []

    def has_proved(self, source: Address) -> bool:
        return source in self.consents

    def await_proof(self, source: Address) -> bool:
        self.asked += 1
        return self.asked > 1

    def note_proof(self, source: Address) -> None:
        self.proofs.append(source)

    def consent(self, source: Address) -> None:
        self.consents.append(source)

    def notice(self, code: str, message: str) -> None:
        self.notices.append(f"{code}: {message}")


class ArrivalsHarness:
    def __init__(self) -> None:
        self.port = MediaPort(HOST, bind_media(HOST, 0))
        self.tokens = Tokens()
        self.later: list[tuple[Callable[..., None], tuple[object, ...]]] = []
        self.arrivals = Arrivals(
            self.port, self.tokens, call_later=lambda _s, call, *arguments: self.later.append((call, arguments))
        )
        self.holder = Holder()
        self.token = self.tokens.issue(self.holder).encode()
        self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.client.bind((HOST, 0))
        self.client.settimeout(5)
        self.client.connect((HOST, self.port.port))

    def let_time_pass(self) -> None:
        """Make the calls that are due later."""
        due, self.later = self.later, []
        for call, arguments in due:
            call(*arguments)

    def close(self) -> None:
        self.port.close()
        self.client.close()


@pytest.fixture
def harness() -> Iterator[ArrivalsHarness]:
    made = ArrivalsHarness()
    yield made
    made.close()


def prove(harness: ArrivalsHarness) -> bytes:
    """Send the token, and what the server answers; return that."""
    harness.client.send(harness.token)
    harness.arrivals.on_listener_readable()
    request = harness.client.recv(2048)
    harness.client.send(request)
    harness.arrivals.on_listener_readable()
    return request


def test_a_token_is_consent_of_its_session_once_its_port_has_proved_that_it_wants_the_stream(harness: ArrivalsHarness):
    harness.client.send(harness.token)
    harness.arrivals.on_listener_readable()
    assert harness.holder.consents == []
    harness.client.recv(2048)
    request = prove(harness)
    assert request.startswith(harness.token + b"!")
    assert len(request) < 2 * len(harness.token)
    assert harness.holder.consents == [harness.client.getsockname()]
    harness.client.send(harness.token)
    harness.arrivals.on_listener_readable()
    assert len(harness.holder.consents) == 2, "and then the token is enough"
    assert harness.tokens.counts == {}


def test_a_port_that_does_not_answer_is_asked_once_more_and_no_token_buys_three_times_its_bytes(
    harness: ArrivalsHarness,
):
    harness.client.send(harness.token)
    harness.arrivals.on_listener_readable()
    for _ in range(3):
        harness.let_time_pass()
    requests = [harness.client.recv(2048) for _ in range(2)]
    assert all(request.startswith(harness.token + b"!") for request in requests)
    assert sum(map(len, requests)) < 3 * len(harness.token)
    harness.client.setblocking(False)
    with pytest.raises(BlockingIOError):
        harness.client.recv(2048)


@pytest.mark.parametrize("why", ["it has answered", "its session has ended", "it leaves"])
def test_a_port_is_not_asked_again_when(harness: ArrivalsHarness, why: str):
    harness.client.send(harness.token)
    harness.arrivals.on_listener_readable()
    request = harness.client.recv(2048)
    if why == "it has answered":
        harness.arrivals.on_datagram_untrusted(request, harness.client.getsockname())
        assert harness.holder.proofs == [harness.client.getsockname()]
    elif why == "its session has ended":
        harness.tokens.forget(harness.token.decode())
    else:
        harness.holder.leaving = True
    harness.let_time_pass()
    harness.client.setblocking(False)
    with pytest.raises(BlockingIOError):
        harness.client.recv(2048)


def test_a_proof_of_another_port_proves_nothing_and_is_answered_by_nothing(harness: ArrivalsHarness):
    request = prove(harness)
    host, port = harness.client.getsockname()
    for forged in (request, harness.token + b"!" + b"0" * 12, harness.token + b"!" + b"\xff" * 12):
        harness.arrivals.on_datagram_untrusted(forged, (host, port + 1))
    assert harness.holder.consents == [(host, port)]
    assert harness.tokens.counts == {"proof_of_other_port": 3}
    harness.client.setblocking(False)
    with pytest.raises(BlockingIOError):
        harness.client.recv(2048)


@pytest.mark.parametrize("error", [None, "send_ehostunreach"])
def test_a_client_whose_proofs_are_missing_is_told_why_once_a_token(harness: ArrivalsHarness, error: str | None):
    harness.holder.icmp_error = error
    for _ in range(2):
        harness.arrivals.on_datagram_untrusted(harness.token, harness.client.getsockname())
    (notice,) = harness.holder.notices
    assert notice.startswith("proof_missing: the token came from 127.0.0.1")
    assert ("send_ehostunreach" in notice) == (error is not None)
    assert "as new as the server" in notice


def test_a_port_unreachable_of_the_same_host_is_the_reason_too_for_a_while(harness: ArrivalsHarness, monkeypatch):
    """A host sends few such messages, so all of them may have been about the port of another session."""
    now_s = 1000.0
    monkeypatch.setattr(arrivals, "time", SimpleNamespace(monotonic=lambda: now_s))
    for number in range(3 * ADDRESSES_KEPT):
        harness.arrivals.note_refused(f"198.18.{number // 250}.{number % 250}")
    harness.arrivals.note_refused(HOST)
    for _ in range(3):
        harness.arrivals.on_datagram_untrusted(harness.token, harness.client.getsockname())
        now_s += 0.6 * REFUSED_RECENTLY_S
    first, later = harness.holder.notices
    assert "send_econnrefused" in first
    assert "send_econnrefused" not in later


def test_a_flood_of_tokens_is_answered_at_a_bounded_rate(harness: ArrivalsHarness):
    for port in range(1000, 2000):
        harness.arrivals.on_datagram_untrusted(harness.token, (HOST, port))
    assert harness.tokens.counts["proof_not_asked"] + harness.tokens.counts["proof_not_sent"] >= 1000 - 200 - 100


def test_of_a_client_that_leaves_no_proof_is_asked(harness: ArrivalsHarness):
    harness.holder.leaving = True
    harness.arrivals.on_datagram_untrusted(harness.token, (HOST, 4001))
    assert harness.tokens.counts == {"proof_not_asked": 1}


def test_a_token_from_another_host_is_reported_to_the_client_and_counted_and_is_no_consent(harness: ArrivalsHarness):
    harness.arrivals.on_datagram_untrusted(harness.token, ("198.18.0.9", 1))
    assert harness.holder.consents == []
    (notice,) = harness.holder.notices
    assert notice.startswith("token_from_other_address: the token came from 198.18.0.9")
    assert harness.tokens.counts == {"token_from_other_address": 1}


@pytest.mark.parametrize("data", [b"", b"x", b"0" * 32, b"\xff" * 32])
def test_other_bytes_are_counted(harness: ArrivalsHarness, data: bytes):
    harness.arrivals.on_datagram_untrusted(data, (HOST, 1))
    assert harness.tokens.counts == {"unknown_token": 1}


def test_an_echo_goes_back_as_it_came_and_is_no_consent(harness: ArrivalsHarness):
    harness.client.send(harness.token + b"?" + bytes(100))
    harness.arrivals.on_listener_readable()
    assert harness.client.recv(2048) == harness.token + b"?" + bytes(100)
    assert harness.holder.consents == []


def test_an_echo_that_cannot_be_sent_is_counted(harness: ArrivalsHarness):
    harness.port.close()
    harness.arrivals.on_datagram_untrusted(harness.token + b"?", (HOST, 1))
    assert harness.tokens.counts == {"echo_not_sent": 1}


def test_a_flood_lets_the_loop_do_other_work(harness: ArrivalsHarness):
    prove(harness)
    for _ in range(DATAGRAMS_AT_ONCE + 5):
        harness.client.send(harness.token)
    harness.arrivals.on_listener_readable()
    assert len(harness.holder.consents) == 1 + DATAGRAMS_AT_ONCE
    harness.arrivals.on_listener_readable()
    assert len(harness.holder.consents) == 1 + DATAGRAMS_AT_ONCE + 5
