"""Echoes on the wire: the same bytes, only to the session's host, at a bounded rate, without any other effect."""

import contextlib
import time
from pathlib import Path

import pytest

from flume.doctor.examination import Examination
from flume.lab.evidence.capture import read_tap
from flume.lab.evidence.facts import Evidence, Expectations, Subject
from flume.lab.trial.judge import judge
from flume.lab.trial.verdict import RunFacts, Verdict
from flume.settings import ECHO_BURST, ECHOES_PER_S
from support.clients.wire_client import WireClient
from support.namespaces import SERVER_ADDRESS, Tcpdump, WirePair, client_address
from support.servers.plain_server import PORT, served
from support.servers.running_server import running_server


@pytest.fixture
def server():
    with running_server() as running:
        yield running


def echoed(client: WireClient, size: int, *, for_s: float = 2.0, token: str = "") -> bytes | None:
    """Ask for an echo of *size* bytes; return it, or ``None`` if none arrives within *for_s*."""
    asked = ((token or client.token).encode() + b"?").ljust(size, b".")
    client.media.sendto(asked, client.server)
    deadline = time.monotonic() + for_s
    while time.monotonic() < deadline:
        for datagram in client.receive(for_s=0.02):
            if datagram[:32] == asked[:32]:
                assert datagram == asked
                return datagram
    return None


@pytest.mark.parametrize("size", [33, 548, 1328, 1329, 1472, 2048])
def test_an_echo_is_the_same_bytes_in_every_state_of_a_session(server, size):
    with WireClient(server.port) as client:
        client.token = client.ask("connect")["token"]
        assert echoed(client, size)
        assert client.ask("status")["state"] == "connecting", "an echo is no consent"
        client.send_token()
        client.event("active")
        assert echoed(client, size), "it arrives in one piece, although it is longer than a media datagram"
        client.ask("interrupt")
        client.receive(for_s=0.1)
        assert echoed(client, size)
        assert client.receive(for_s=0.2) == [], "an echo brings no media with it"
        client.ask("disconnect")
        assert echoed(client, size, for_s=0.3) is None


def test_a_longer_datagram_than_is_read_gets_no_answer_because_it_would_be_another(server):
    with WireClient(server.port) as client:
        client.token = client.ask("connect")["token"]
        client.media.sendto((client.token.encode() + b"?").ljust(9000, b"."), client.server)
        assert client.receive(for_s=0.3) == []


def test_no_other_client_is_answered(server):
    with WireClient(server.port) as client, WireClient(server.port, source="127.0.0.2") as other:
        client.token = client.ask("connect")["token"]
        other.ask("connect")
        assert echoed(other, 100, for_s=0.3, token=client.token) is None
        assert echoed(other, 100, for_s=0.3, token=client.token[:8] + "0" * 24) is None
        assert echoed(client, 100)
    assert server.server._tokens.counts["echo_without_session"] == 2


def test_a_flood_of_requests_is_answered_at_a_bounded_rate(server):
    with (
        WireClient(server.port) as client,
        WireClient(server.port) as same,
        WireClient(server.port, source="127.0.0.2") as other,
    ):
        client.token = client.ask("connect")["token"]
        same.token = same.ask("connect")["token"]
        other.token = other.ask("connect")["token"]
        began_s = time.monotonic()
        for number in range(10 * ECHO_BURST):
            with contextlib.suppress(BlockingIOError):
                client.media.sendto(f"{client.token}?{number}".encode(), client.server)
        answers = client.receive(for_s=0.5)
        most = ECHO_BURST + ECHOES_PER_S * (time.monotonic() - began_s) + 1
        assert ECHO_BURST <= len(answers) <= most
        assert echoed(other, 100), "another host has an allowance of its own"
    assert server.server._tokens.counts["echo_over_rate"] > 0


@pytest.mark.wire
def test_the_judge_takes_no_echo_for_media(tmp_path: Path):
    """The doctor's session, captured at both ends: every datagram of the stream is accounted for, and none leaked."""
    began_s = time.time()
    with (
        WirePair(clients=1) as pair,
        served(pair),
        Tcpdump(pair, pair.server, tmp_path / "server.pcap") as near,
        Tcpdump(pair, pair.client, tmp_path / "client.pcap") as far,
        pair.as_client(),
    ):
        legs = Examination(SERVER_ADDRESS, PORT).legs()
        found = [next(legs)]
        while found[-1].leg != "path_mtu":
            found.append(next(legs))
        legs.close()
    assert {finding.weight for finding in found} == {"well"}
    facts = tuple(
        read_tap(tap.path, name=name, log_text=tap.log, port=PORT) for name, tap in (("server", near), ("client", far))
    )
    asked = ("status", "connect", "interrupt", "disconnect")
    subject = Subject(name="client-0", address=client_address(0), tap="client", commands=asked)
    report = judge(
        Evidence(began_s, "server", facts, (subject,), Expectations(frames_min_pct=None)), RunFacts(run="echo")
    )
    assert report.verdict is Verdict.PASS, report.checks
    assert report.balance.sent == report.balance.received > 300
    assert report.clients[0].datagrams_leaked == 0
