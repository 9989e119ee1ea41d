"""Packets that lie, on a wire of the test's own: they end no stream, and begin none."""

import contextlib
import time
from collections.abc import Iterator

import pytest

from support.attacks.forged import icmp_socket, port_unreachable
from support.clients.wire_client import WireClient, assert_consecutive, sequences, the_rest
from support.namespaces import SERVER_ADDRESS, WirePair, client_address
from support.servers.plain_server import PORT, served

pytestmark = pytest.mark.wire

SERVER = (SERVER_ADDRESS, PORT)


@contextlib.contextmanager
def wire(clients: int, *options: str) -> Iterator[WirePair]:
    with WirePair(clients=clients, segmentation=True) as pair, served(pair, options=options), pair.as_client():
        yield pair


def media_address(client: WireClient, number: int) -> tuple[str, int]:
    return client_address(number), client.media.getsockname()[1]


@pytest.mark.parametrize("sender", ["io_uring", "loop"])
def test_icmp_messages_that_any_host_forges_end_no_session_and_cost_no_datagram(sender):
    settings = ("--sender", sender, "--set", "token_interval_s=0.5", "--set", "consent_timeout_s=3.0")
    with wire(2, *settings), WireClient(PORT, host=SERVER_ADDRESS, source=client_address(0)) as client:
        client.connect()
        seen = client.receive(for_s=0.3)
        forged = port_unreachable(SERVER, media_address(client, 0))
        until_s, token_s, sent = time.monotonic() + 3.0, 0.0, 0
        with icmp_socket(client_address(1)) as attacker:
            while (now_s := time.monotonic()) < until_s:
                if now_s - token_s > 0.5:
                    token_s = now_s
                    client.send_token()
                for _ in range(50):
                    attacker.sendto(forged, SERVER)
                sent += 50
                seen += client.receive(for_s=0.002)
        assert sent > 5000
        status = client.ask("status")
        assert status["state"] == "active"
        client.ask("interrupt")
        seen += the_rest(client)
        assert_consecutive(sequences(seen))
        assert len(seen) > 3 * 150
        assert status["session"]["drops"] == {}


def test_a_client_whose_port_is_really_closed_is_told_so():
    settings = ("--set", "token_interval_s=0.5", "--set", "consent_timeout_s=9.0")
    with wire(1, *settings), WireClient(PORT, host=SERVER_ADDRESS, source=client_address(0)) as client:
        client.connect()
        client.receive(for_s=0.3)
        client.media.close()
        began_s = time.monotonic()
        assert client.event("closed")["code"] == "port_unreachable"
        assert time.monotonic() - began_s < 2.5
