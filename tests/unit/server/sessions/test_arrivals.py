"""Datagrams that come to the media port: to which session they go, and what is counted."""

import socket
from collections.abc import Iterator

import pytest

from flume.server.ports import bind_media
from flume.server.sending.media_port import MediaPort
from flume.server.sessions.arrivals import DATAGRAMS_AT_ONCE, Arrivals
from flume.server.sessions.echo import EchoAllowance
from flume.server.sessions.tokens import Address, Tokens

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


class Stage:
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
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


def test_a_token_is_consent_of_its_session(stage: Stage):
    stage.client.send(stage.token)
    stage.arrivals.on_listener_readable()
    assert stage.holder.consents == [stage.client.getsockname()]
    assert stage.tokens.counts == {}


def test_a_token_from_another_host_is_told_and_counted_and_no_consent(stage: Stage):
    stage.arrivals.on_datagram_untrusted(stage.token, ("198.18.0.9", 1))
    assert stage.holder.consents == []
    (notice,) = stage.holder.notices
    assert notice.startswith("token_from_other_address: the token came from 198.18.0.9")
    assert stage.tokens.counts == {"token_from_other_address": 1}


@pytest.mark.parametrize("data", [b"", b"x", b"0" * 32, b"\xff" * 32])
def test_other_bytes_are_counted(stage: Stage, data: bytes):
    stage.arrivals.on_datagram_untrusted(data, (HOST, 1))
    assert stage.tokens.counts == {"unknown_token": 1}


def test_an_echo_goes_back_as_it_came_and_is_no_consent(stage: Stage):
    stage.client.send(stage.token + b"?" + bytes(100))
    stage.arrivals.on_listener_readable()
    assert stage.client.recv(2048) == stage.token + b"?" + bytes(100)
    assert stage.holder.consents == []


def test_an_echo_that_cannot_be_sent_is_counted(stage: Stage):
    stage.port.close()
    stage.arrivals.on_datagram_untrusted(stage.token + b"?", (HOST, 1))
    assert stage.tokens.counts == {"echo_not_sent": 1}


def test_a_flood_lets_the_loop_do_other_work(stage: Stage):
    for _ in range(DATAGRAMS_AT_ONCE + 5):
        stage.client.send(stage.token)
    stage.arrivals.on_listener_readable()
    assert len(stage.holder.consents) == DATAGRAMS_AT_ONCE
    stage.arrivals.on_listener_readable()
    assert len(stage.holder.consents) == DATAGRAMS_AT_ONCE + 5
