"""Datagrams that come to the media port: to which session they go, and what is counted."""

import socket
from collections.abc import Iterator

import pytest

from flume.control.endpoint import Address
from flume.server.ports import bind_media
from flume.server.sending.media_port import MediaPort
from flume.server.sessions.arrivals import DATAGRAMS_AT_ONCE, Arrivals
from flume.server.sessions.echo import EchoAllowance
from flume.server.sessions.tokens import Tokens

HOST = "127.0.0.1"


class Holder:
    def __init__(self, peer: Address = (HOST, 4000)) -> None:
        self.peer = peer
        self.local_host: str | None = None
        self.leaving = False
        self.echoes = EchoAllowance()
        self.consents: list[Address] = []
        self.notices: list[str] = []

    def consent(self, source: Address) -> None:
        self.consents.append(source)

    def notice(self, code: str, message: str) -> None:
        self.notices.append(f"{code}: {message}")


class ArrivalsHarness:
    def __init__(self) -> None:
        self.port = MediaPort(HOST, bind_media(HOST, 0))
        self.tokens = Tokens()
        self.arrivals = Arrivals(self.port, self.tokens)
        self.holder = Holder()
        self.token = self.tokens.issue(self.holder).encode()
        self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.client.bind((HOST, 0))
        self.client.settimeout(5)
        self.client.connect((HOST, self.port.port))

    def close(self) -> None:
        self.port.close()
        self.client.close()


@pytest.fixture
def harness() -> Iterator[ArrivalsHarness]:
    made = ArrivalsHarness()
    yield made
    made.close()


def test_a_token_is_consent_of_its_session(harness: ArrivalsHarness):
    harness.client.send(harness.token)
    harness.arrivals.on_listener_readable()
    assert harness.holder.consents == [harness.client.getsockname()]
    assert harness.tokens.counts == {}


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
    for _ in range(DATAGRAMS_AT_ONCE + 5):
        harness.client.send(harness.token)
    harness.arrivals.on_listener_readable()
    assert len(harness.holder.consents) == DATAGRAMS_AT_ONCE
    harness.arrivals.on_listener_readable()
    assert len(harness.holder.consents) == DATAGRAMS_AT_ONCE + 5
