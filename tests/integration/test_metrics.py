"""``flume serve --metrics``: scraped under load, by a stranger's connections beside it, and refused in one line."""

import contextlib
import http.client
import json
import socket
import threading
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from flume.lab import testcard
from flume.lab.machine.process import wait_until
from flume.server.metrics.exporter import MOST_AT_ONCE
from support.clients.wire_client import WireClient
from support.servers.serving import serving

pytestmark = pytest.mark.vlc

CLIENTS = 20


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return testcard.generate(
        tmp_path_factory.mktemp("metrics") / "clip.ts", duration_s=2, width=320, height=180, bitrate_kbit=500
    )


def scrape(address: str) -> dict[str, float]:
    """Return each sample's value, by its name and the values of its labels."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_scrapes_under_load_agree_with_what_clients_received(clip):
    with serving("--json", "--port", 0, "--metrics", 0, clip) as process, contextlib.ExitStack() as stack:
        assert process.stdout is not None
        listening = json.loads(process.stdout.readline())
        address = listening["metrics"]
        assert address.startswith("127.0.0.1:")
        clients = [stack.enter_context(WireClient(listening["port"])) for _ in range(CLIENTS)]
        for client in clients:
            client.connect()
        host, _, port = address.rpartition(":")
        for _ in range(4):  # connections that say nothing take a thread each, and hold up no scrape
            stack.enter_context(socket.create_connection((host, int(port)), timeout=5))
        results: list[dict[str, float]] = []
        threads = [threading.Thread(target=lambda: results.append(scrape(address))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for client in clients:
            assert client.receive(for_s=10, at_least=20)
        for thread in threads:
            thread.join()
        assert len(results) == 4
        assert all(result["flume_sessions"] == CLIENTS for result in results)

        for client in clients:
            client.ask("interrupt")
        first, second = scrape(address), scrape(address)
        names = [name for name in first if name.startswith("flume_session_datagrams_total")]
        assert len(names) == CLIENTS
        assert sum(first[name] for name in names) == first["flume_datagrams_total"] > 20 * CLIENTS
        assert {name: second[name] for name in names} == {name: first[name] for name in names}
        assert first["flume_active_sessions udp"] == 0
        assert first["process_cpu_seconds_total"] > 0


def test_no_more_connections_than_there_are_places_take_a_descriptor(clip):
    with serving("--json", "--port", 0, "--metrics", 0, clip) as process, contextlib.ExitStack() as stack:
        assert process.stdout is not None
        host, _, port = json.loads(process.stdout.readline())["metrics"].rpartition(":")
        others = [
            stack.enter_context(socket.create_connection((host, int(port)), timeout=20))
            for _ in range(MOST_AT_ONCE + 20)
        ]
        closed = [other for other in others[MOST_AT_ONCE:] if other.recv(1) == b""]
        assert len(closed) == 20
        for other in others[:MOST_AT_ONCE]:
            other.close()

        def is_scraped() -> bool:
            with contextlib.suppress(OSError, http.client.HTTPException):
                return scrape(f"{host}:{port}")["flume_sessions"] == 0
            return False

        assert wait_until(is_scraped, timeout_s=20), "places are given back"


def test_a_port_that_is_taken_is_an_error_in_one_line(clip):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with serving("--port", 0, "--metrics", port, clip) as process:
            _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert (
        err.strip().splitlines()[-1] == f"flume: metrics cannot be served at 127.0.0.1:{port}: Address already in use"
    )
    assert "Traceback" not in err
