"""A player whose host vanishes without a word is noticed, playing or paused, over UDP and on its connection."""

import subprocess
import time
from collections.abc import Callable

import pytest

from flume.server.fronts import connection, rtsp
from support.clients.numbers import assert_complete
from support.clients.random_player import player
from support.clients.rtsp_client import RtspClient, sequences
from support.namespaces import WirePair, client_address
from support.servers.inside import ServerInside

pytestmark = pytest.mark.wire


@pytest.fixture
def shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times of TCP of 2 s in all, for those of 15 s."""
    in_all_s = rtsp.KEEPALIVE_IDLE_S + rtsp.KEEPALIVE_COUNT * rtsp.KEEPALIVE_INTERVAL_S
    assert in_all_s == connection.USER_TIMEOUT_MS / 1000 == 15, "what the documents promise"
    for name in ("KEEPALIVE_IDLE_S", "KEEPALIVE_INTERVAL_S", "KEEPALIVE_COUNT"):
        monkeypatch.setattr(rtsp, name, 1)
    monkeypatch.setattr(connection, "USER_TIMEOUT_MS", 2000)


def drop_all_of(pair: WirePair, addresses: list[str]) -> None:
    """Drop what hosts of these *addresses* send and receive."""
    chosen = ", ".join(addresses)
    rules = f"""table inet vanish {{
        chain out {{ type filter hook output priority 0; ip saddr {{ {chosen} }} drop; }}
        chain in {{ type filter hook input priority 0; ip daddr {{ {chosen} }} drop; }}
    }}"""
    subprocess.run(pair.inside(pair.client, "nft", "-f", "-"), input=rules.encode(), check=True, timeout=20)


@pytest.mark.usefixtures("shortened")
def test_sessions_of_hosts_that_vanish_end_and_others_go_on(record_property: Callable[[str, object], None]):
    with WirePair(clients=5) as pair, ServerInside(pair) as server:
        clients: list[RtspClient] = [player(pair, number, server.port) for number in range(5)]
        try:
            for number, client in enumerate(clients):
                over_tcp, paused = divmod(number, 2)
                client.setup_tcp() if over_tcp == 1 else client.setup()
                client.play()
                if paused:
                    assert client.ask("PAUSE").status == 200
            remaining = clients[4]
            received = remaining.receive(for_s=10, at_least=10)
            assert server.server.table.session_count == 5
            drop_all_of(pair, [client_address(number) for number in range(4)])
            began_s = time.monotonic()
            while server.server.table.session_count > 1:
                assert time.monotonic() < began_s + 20, "a host that has vanished is noticed"
                received += remaining.receive(for_s=0.1)
            record_property("measured", f"noticed after {time.monotonic() - began_s:.1f} s, with 2 s for 15 s")
            received += remaining.receive(for_s=0.5)
            assert server.server.status().active == 1
            assert remaining.ask("PAUSE").status == 200
            assert_complete(sequences(received + remaining.the_rest()))
            assert len(received) > 100
        finally:
            for client in clients:
                client.close()
