"""A relay whose upstream asks for more: TLS, a login; and what it says when it gets neither, or no UDP."""

import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from flume.secret import Secret
from support.clients.players import wait_until
from support.clients.wire_client import WireClient, sequences
from support.namespaces import SERVER_ADDRESS, WirePair
from support.servers import certificates
from support.servers.program import running
from support.servers.relays import Relay
from support.servers.running_server import running_server
from support.servers.users import SECRET, write


@pytest.fixture
def files(tmp_path: Path) -> certificates.Files:
    return certificates.write(tmp_path)


@pytest.fixture
def users(tmp_path: Path) -> str:
    return write(tmp_path)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_relay_verifies_its_upstream_logs_in_and_passes_the_stream_on(files, users, transport):
    with (
        running_server(tls_certificate=files.certificate, users=users) as origin,
        Relay(origin.port, tls=True, ca=files.ca, user="ann", secret=Secret(SECRET), transport=transport) as relay,
        WireClient(relay.port) as leaf,
    ):
        start = leaf.connect()
        datagrams = leaf.receive(for_s=10, at_least=400)
        status = relay.says()
        assert SECRET not in str(leaf.ask("status"))
    numbers = sequences(datagrams)
    assert numbers == [(start["first_sequence"] + place) % 65_536 for place in range(len(numbers))]
    assert len(numbers) >= 400
    assert (status.state, status.transport, status.lost, status.error) == ("receiving", transport, 0, None)


def test_a_refused_login_is_said_to_the_relays_clients_and_not_tried_again_at_once(files, users):
    with (
        running_server(tls_certificate=files.certificate, users=users) as origin,
        Relay(origin.port, tls=True, ca=files.ca, user="ann", secret=Secret("wrong")) as relay,
        WireClient(relay.port) as leaf,
    ):
        leaf.connect()
        relay.await_state("refused")
        upstream = leaf.ask("status")["server"]["upstream"]
        assert upstream["state"] == "refused"
        assert upstream["error"] == "no user of this name has this secret"
        assert leaf.receive(for_s=1.5) == []
        assert origin.server.status().refused == {"login_failed": 1}


def test_an_upstream_of_an_unknown_issuer_is_not_relayed_and_the_reason_is_said(files, tmp_path):
    stranger = str(tmp_path / "another.pem")
    trustme.CA().cert_pem.write_to_path(stranger)
    with (
        running_server(tls_certificate=files.certificate) as origin,
        Relay(origin.port, tls=True, ca=stranger) as relay,
        WireClient(relay.port) as leaf,
    ):
        leaf.connect()
        wait_until("the reason is said", lambda: "an issuer that is not known" in (relay.says().error or ""))
        assert leaf.receive(for_s=0.5) == []
        assert origin.server.status().active == 0


@pytest.mark.wire
def test_where_udp_of_the_upstream_is_blocked_the_relay_takes_the_stream_over_tcp():
    program = (sys.executable, "-m", "support.servers.broken_server", "honest", SERVER_ADDRESS, "5004")
    with WirePair(clients=1) as pair:
        block = ("iptables", "-w", "-A", "INPUT", "-p", "udp", "--sport", "5004", "-j", "DROP")
        subprocess.run(pair.inside(pair.client, *block), check=True, capture_output=True, timeout=20)
        with (
            running(pair.inside(pair.server, *program)),
            pair.as_client(),  # the relay's threads and sockets are that host's, and its own client's
            Relay(5004, upstream=SERVER_ADDRESS) as relay,
            WireClient(relay.port) as leaf,
        ):
            leaf.connect()
            wait_until("media over TCP", lambda: relay.says().transport == "tcp", timeout_s=15)
            leaf.receive(for_s=0.2)
            numbers = sequences(leaf.receive(for_s=10, at_least=200))
            status = relay.says()
    assert len(numbers) >= 200
    assert numbers == [(numbers[0] + place) % 65_536 for place in range(len(numbers))]
    assert (status.state, status.error) == ("receiving", None)
