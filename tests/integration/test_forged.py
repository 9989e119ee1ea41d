"""Packets that lie, on a wire of the test's own: they end no stream, and begin none."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from support.attacks.forged import (
    PORT_UNREACHABLE,
    PROHIBITED,
    icmp_socket,
    raw_socket,
    udp_datagram,
    unreachable,
)
from support.captures.flows import read_flows
from support.clients.numbers import assert_consecutive
from support.clients.wire_client import WireClient, sequences, the_rest
from support.namespaces import SERVER_ADDRESS, Tcpdump, WirePair, client_address
from support.servers.plain_server import PORT, served
from support.servers.running_server import running_server

pytestmark = pytest.mark.wire

SERVER = (SERVER_ADDRESS, PORT)


@contextlib.contextmanager
def wire(clients: int, *options: str) -> Iterator[WirePair]:
    with WirePair(clients=clients, segmentation=True) as pair, served(pair, options=options), pair.as_client():
        yield pair


SERVER_6, CLIENT_6, STRANGER_6 = "fd00:c612::2", "fd00:c612::10", "fd00:c612::11"


@contextlib.contextmanager
def wire_6(*options: str) -> Iterator[WirePair]:
    """A wire on which both ends have IPv6 addresses, and two for the clients."""
    with WirePair(clients=1, segmentation=True) as pair:
        added = ((pair.server, SERVER_6), (pair.client, CLIENT_6), (pair.client, STRANGER_6))
        for name, address in added:
            command = ("ip", "-n", name, "addr", "add", f"{address}/64", "dev", "eth0", "nodad")
            subprocess.run(command, check=True, capture_output=True, timeout=20)
        with served(pair, "::", options=options), pair.as_client():
            yield pair


class Ends(NamedTuple):
    """Who takes part: the client, and another host of its network."""

    server: str
    client: str
    stranger: str


ENDS = {4: Ends(SERVER_ADDRESS, client_address(0), client_address(1)), 6: Ends(SERVER_6, CLIENT_6, STRANGER_6)}


def watch_under_fire(client: WireClient, stranger: str, forged: bytes, *, for_s: float) -> tuple[list[bytes], int]:
    """Receive for *for_s* while *stranger* sends *forged*; return the datagrams and how often it was sent."""
    seen, sent, token_s = client.receive(for_s=0.3), 0, 0.0
    until_s = time.monotonic() + for_s
    with icmp_socket(stranger) as attacker:
        while (now_s := time.monotonic()) < until_s:
            if now_s - token_s > 0.5:
                token_s = now_s
                client.send_token()
            for _ in range(50):
                attacker.sendto(forged, (client.server[0], 0))
            sent += 50
            seen += client.receive(for_s=0.002)
    return seen, sent


@pytest.mark.parametrize(
    ("sender", "version", "kind"),
    [
        ("io_uring", 4, PORT_UNREACHABLE),
        ("loop", 4, PORT_UNREACHABLE),
        ("auto", 6, PORT_UNREACHABLE),
        ("auto", 4, PROHIBITED),
        ("auto", 6, PROHIBITED),
    ],
)
def test_icmp_messages_that_any_host_forges_end_no_session_and_cost_no_datagram(sender, version, kind):
    settings = ("--sender", sender, "--set", "token_interval_s=1.0", "--set", "consent_timeout_s=4.0")
    ends = ENDS[version]
    with (
        wire(2, *settings) if version == 4 else wire_6(*settings),
        WireClient(PORT, host=ends.server, source=ends.client) as client,
    ):
        client.connect()
        forged = unreachable((ends.server, PORT), (ends.client, client.media.getsockname()[1]), kind)
        seen, sent = watch_under_fire(client, ends.stranger, forged, for_s=2.2)
        assert sent > 1000
        status = client.ask("status")
        assert status["state"] == "active"
        client.ask("interrupt")
        seen += the_rest(client)
        assert_consecutive(sequences(seen))
        assert len(seen) > 2 * 150
        assert status["session"]["drops"] == {}
        assert status["server"]["drops"] == {}


def test_a_client_whose_port_is_really_closed_is_told_so():
    settings = ("--set", "token_interval_s=0.5", "--set", "consent_timeout_s=9.0")
    with wire(1, *settings), WireClient(PORT, host=SERVER_ADDRESS, source=client_address(0)) as client:
        client.connect()
        client.receive(for_s=0.3)
        client.media.close()
        began_s = time.monotonic()
        assert client.event("closed")["code"] == "port_unreachable"
        assert time.monotonic() - began_s < 2.5


# -- reflection: towards a port that has not proved that it wants the stream -----------------------------------

WELL_KNOWN = (7, 19, 53, 123, 161, 389, 1900, 5353, 11211)
"""Services that answer what they are sent: echo, chargen, DNS, NTP, SNMP, LDAP, SSDP, mDNS, memcached."""


def forge(attacker: socket.socket, payload: bytes, *, number: int, port: int, times: int = 20) -> tuple[str, int]:
    """Send *payload* as if from *port* of client *number*; return that address."""
    source = client_address(number), port
    for _ in range(times):
        attacker.sendto(udp_datagram(source, SERVER, payload), SERVER)
    return source


def test_no_forged_token_brings_more_than_three_times_its_bytes_to_anybody(tmp_path: Path):
    settings = ("--set", "token_interval_s=0.5", "--set", "consent_timeout_s=3.0")
    with WirePair(clients=3, segmentation=True) as pair, served(pair, options=settings):
        with Tcpdump(pair, pair.server, tmp_path / "server.pcap") as tap, pair.as_client(), raw_socket() as attacker:
            with (
                WireClient(PORT, host=SERVER_ADDRESS, source=client_address(0)) as honest,
                WireClient(PORT, host=SERVER_ADDRESS, source=client_address(0)) as thief,
            ):
                honest.connect()
                thief.token = thief.ask("connect")["token"]
                token = thief.token.encode()
                victims = {forge(attacker, token, number=0, port=port) for port in (*WELL_KNOWN, 40_001)}
                victims.add(forge(attacker, token, number=1, port=40_002))
                victims.add(forge(attacker, honest.token.encode(), number=0, port=40_003))
                victims.add(forge(attacker, token + b"!" + b"0" * 12, number=0, port=40_004))
                victims.add(forge(attacker, token + b"?" + bytes(900), number=0, port=40_005))
                victims.add(forge(attacker, token + b"?" + bytes(900), number=2, port=40_006))
                honest.receive(for_s=1.0)
                assert honest.ask("status")["state"] == "active"
                assert thief.ask("status")["state"] == "connecting"
                assert thief.event("closed")["code"] == "consent_expired", "and so it is bounded in time"
            victims.add(forge(attacker, token, number=0, port=40_007))
            time.sleep(0.5)
        flows = read_flows(tap.path, SERVER)
    assert len(victims) == len(WELL_KNOWN) + 7
    for victim in victims:
        assert flows.to_server[victim] >= 20 * 60, victim
        assert flows.media[victim] == 0, victim
        assert flows.factor(victim) <= 2.5, victim
    assert flows.from_server[client_address(0), 40_001] > 0, "the port is asked"
    for silent in ((client_address(1), 40_002), (client_address(2), 40_006), (client_address(0), 40_007)):
        assert flows.from_server[silent] == 0, "neither a host without the token nor one whose session is over"


def test_a_session_that_was_moved_by_a_forged_port_goes_on_where_it_was(tmp_path: Path):
    with (
        WirePair(clients=1, segmentation=True) as pair,
        served(pair, options=("--set", "token_interval_s=0.5", "--set", "consent_timeout_s=3.0")),
        Tcpdump(pair, pair.server, tmp_path / "server.pcap") as tap,
        pair.as_client(),
        raw_socket() as attacker,
        WireClient(PORT, host=SERVER_ADDRESS, source=client_address(0)) as client,
    ):
        client.connect()
        seen = client.receive(for_s=0.6)
        victim = forge(attacker, client.token.encode(), number=0, port=40_001)
        for _ in range(4):
            client.send_token()
            seen += client.receive(for_s=0.4)
        client.ask("interrupt")
        seen += the_rest(client)
        assert_consecutive(sequences(seen))
        assert "media_moved" not in {event.get("code") for event in client.events}
    assert read_flows(tap.path, SERVER).media[victim] == 0


@pytest.mark.parametrize("payload", ["rtp", "ts"])
def test_over_ipv4_at_a_server_for_both_families_the_proof_is_the_same(payload):
    with running_server(host="::") as server, WireClient(server.port, host="127.0.0.1") as client:
        assert client.connect(payload=payload)["address"] == "::ffff:127.0.0.1"
        assert len(client.receive(for_s=0.5)) > 20
        client.proves = False
        thief, client.media = client.media, client.new_media()
        for _ in range(5):
            client.send_token()
        came = client.receive(for_s=0.3)
        assert {client.is_proof_request(data) for data in came} == {True}
        assert len(came) <= 10
        thief.close()


def test_a_recorded_answer_brings_nothing_to_another_port_or_to_another_session(tmp_path: Path):
    with (
        WirePair(clients=2, segmentation=True) as pair,
        served(pair),
        Tcpdump(pair, pair.server, tmp_path / "server.pcap") as tap,
        pair.as_client(),
        raw_socket() as attacker,
        WireClient(PORT, host=SERVER_ADDRESS, source=client_address(0)) as client,
    ):
        client.proves = False
        client.token = client.ask("connect")["token"]
        client.send_token()
        answer, *_ = client.receive(for_s=5, at_least=1)
        assert client.is_proof_request(answer)
        client.media.sendto(answer, client.server)
        client.event("active")
        victims = {forge(attacker, answer, number=number, port=40_001 + number) for number in (0, 1)}
        counted = client.ask("status")["server"]["drops"]
        assert (counted["proof_of_other_port"], counted["token_from_other_address"]) == (20, 20)
        client.ask("disconnect")
        the_rest(client)
        client.media.sendto(answer, client.server)
        client.ask("connect")
        for _ in range(5):
            client.media.sendto(answer, client.server)
        assert the_rest(client) == []
        status = client.ask("status")
        assert status["state"] == "connecting"
        assert status["server"]["drops"]["unknown_token"] == 6
    flows = read_flows(tap.path, SERVER)
    for victim in victims:
        assert flows.to_server[victim] == 20 * (28 + len(answer)), victim
        assert flows.from_server[victim] == 0, victim
