"""Networks that are allowed or denied, at a running server."""

import socket

import pytest

from support.clients.players import wait_until
from support.clients.wire_client import WireClient
from support.servers.running_server import running_server

DENIED = "127.0.0.3"


def test_a_denied_address_is_turned_away_with_one_line_before_it_has_a_place():
    with running_server(deny=(DENIED,)) as server:
        for _ in range(3):
            with WireClient(server.port, source=DENIED) as client:
                line = client.line()
                assert (line["event"], line["code"]) == ("closed", "address_denied")
                assert DENIED in line["message"]
                assert client.line() == {}
        assert len(server.server.table._admission) == 0
        assert not server.server._listener._connections
        with WireClient(server.port) as welcome:
            welcome.connect()
            assert welcome.ask("status")["server"]["refused"] == {"address_denied": 3}


def test_only_allowed_networks_come_in_also_where_ipv4_is_mapped_into_ipv6():
    with running_server(host="::", allow=("127.0.0.2/32", "::1")) as server:
        with WireClient(server.port, source="127.0.0.2") as client:
            assert client.connect()["address"] == "::ffff:127.0.0.2"
        with WireClient(server.port, host="::1") as client:
            client.connect()
        with WireClient(server.port, source="127.0.0.1") as client:
            assert client.line()["code"] == "address_denied"


@pytest.mark.parametrize("suffix", ["", "?"])
def test_a_token_or_an_echo_from_a_denied_address_is_counted_and_has_no_effect(suffix):
    with running_server(deny=(DENIED,)) as server, WireClient(server.port) as client:
        client.connect()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stolen:
            stolen.bind((DENIED, 0))
            stolen.settimeout(0.2)
            stolen.sendto((client.token + suffix).encode(), client.server)
            wait_until("it is counted", lambda: server.server.status().drops.get("address_denied") == 1)
            with pytest.raises(TimeoutError):
                stolen.recv(2048)
        assert "token_from_other_address" not in server.server.status().drops
