"""While clients abuse the server, a watching client receives every datagram and a new one joins within two seconds."""

import contextlib
import resource
import subprocess
import time
from pathlib import Path

import pytest

from flume.server.limits.catch_up import PER_ADDRESS
from support.attacks.beside import Honest, attack, attacked_server, wait_until_counted, watching_over_tcp
from support.clients.wire_client import WireClient
from support.ports import free_port
from support.servers.running_server import running_server

FOR_S = 4.0
AT_LEAST = 500
"""Datagrams of the watching client: the stream has 190 a second."""

SHORTER_S, FEWER = 2.0, 200


@pytest.mark.parametrize(
    ("name", "count", "refused"),
    [
        ("silent", 10_000, "gave_way"),
        ("slow_writers", 1000, "gave_way"),
        ("commands_at_once", 100_000, "commands"),
        ("never_reads", 60, "commands"),
        ("blank_lines", 60, "commands"),
        ("no_newline", 60, "commands"),
        ("status", 60, "commands"),
    ],
)
def test_abuse_of_the_control_port_costs_the_other_clients_nothing_and_is_counted(name, count, refused):
    port = free_port()
    with attacked_server(port), Honest(port) as honest, attack(name, port, for_s=FOR_S, count=count):
        outcome = honest.watch(for_s=FOR_S)
    outcome.is_well(at_least=AT_LEAST)
    assert outcome.server["refused"][refused] > 0


@pytest.mark.parametrize(("name", "count"), [("storm", 400), ("storm_of_commands", 400)])
def test_a_storm_of_connections_keeps_no_newcomer_waiting(name, count, record_property):
    """Of many addresses, and so fast that the kernel's queue of connections would overflow if it were short."""
    port = free_port()
    with (
        attacked_server(port) as server,
        Honest(port) as honest,
        watching_over_tcp(port) as over_tcp,
        attack(name, port, for_s=90, count=count),
    ):
        outcome = honest.watch(for_s=SHORTER_S)
        wait_until_counted(port, "connections")
    outcome.is_well(at_least=FEWER, slowest_s=5)
    assert len(over_tcp.packets()) >= FEWER
    assert b"Traceback" not in server.said  # type: ignore[attr-defined]
    record_property("measured", f"{name}: slowest join {max(outcome.joins_s):.2f} s")


# -- what commands draw -----------------------------------------------------------------------------------------

MEAN_KBIT = 4000
CONNECTIONS = 30


@pytest.mark.parametrize("name", ["connect_again", "connect_anew"])
def test_commands_over_tcp_draw_little_more_than_watching_does(name, record_property):
    """Groups of ten seconds. Without pacing, 1.25 Mbit/s of commands drew 3.6 Gbit/s."""
    port = free_port()
    with (
        attacked_server(port, options=("--bitrate", str(MEAN_KBIT), "--gop", "250")),
        Honest(port) as honest,
    ):
        time.sleep(2.0)  # so much of the past there is to draw, at least
        began_s = time.monotonic()
        with attack(name, port, for_s=SHORTER_S, count=CONNECTIONS) as attacker:
            outcome = honest.watch(for_s=SHORTER_S)
            assert attacker.stdout is not None
            sent, received = map(int, attacker.stdout.readline().split())
        took_s = time.monotonic() - began_s
    outcome.is_well(at_least=FEWER, slowest_s=5)
    watching_s = CONNECTIONS * took_s
    of_the_past_s = PER_ADDRESS.burst + PER_ADDRESS.per_s * took_s
    stream_s = received * 8 / (1000 * MEAN_KBIT)
    assert stream_s < 1.3 * (watching_s + of_the_past_s)
    assert sent > 1000
    bits = f"{sent * 8 / took_s / 1e6:.1f} Mbit/s of commands draw {received * 8 / took_s / 1e6:.0f} Mbit/s"
    record_property(
        "measured", f"{name}: {bits} over {CONNECTIONS} connections of a stream of {MEAN_KBIT / 1000:g} Mbit/s"
    )


def test_a_flood_of_junk_at_the_udp_port_keeps_no_token_away():
    port = free_port()
    with attacked_server(port), Honest(port) as honest, attack("junk", port, for_s=FOR_S, count=1200):
        outcome = honest.watch(for_s=FOR_S)
    outcome.is_well(at_least=AT_LEAST)
    assert outcome.server["drops"]["dropped_at_port"] > 10_000


@pytest.mark.parametrize(
    ("name", "counted"), [("tokens_alike", "unknown_token"), ("answers_alike", "proof_of_other_port")]
)
def test_nor_does_one_of_what_looks_like_tokens_or_answers(name, counted):
    port = free_port()
    with attacked_server(port), Honest(port) as honest, attack(name, port, for_s=FOR_S, count=4):
        outcome = honest.watch(for_s=FOR_S)
    outcome.is_well(at_least=AT_LEAST)
    assert outcome.server["drops"][counted] > 10_000


def test_one_that_never_stops_is_told_why_it_is_ended(monkeypatch):
    monkeypatch.setattr("flume.server.limits.commands.EXCESS_S", 1.0)
    with running_server(commands_per_s=20) as server, WireClient(server.port) as greedy:
        greedy.send_raw(b'{"command":"status"}\n' * 5000)
        began_s = time.monotonic()
        while (line := greedy.line(timeout_s=15)).get("code") != "too_many_commands":
            assert line, "it is told before it is cut off"
        assert 0.9 < time.monotonic() - began_s < 4
        assert "20 lines a second" in line["message"]
        assert server.server.status().refused["too_many_commands"] == 1


def memory_kib(pid: int) -> int:
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1])


def test_a_flood_of_commands_costs_no_memory_and_the_end_comes_at_once():
    port = free_port()
    with (
        attacked_server(port) as process,
        attack("commands_at_once", port, for_s=5, count=500_000),
        attack("blank_lines", port, for_s=5, count=60),
    ):
        time.sleep(0.5)
        before_kib = memory_kib(process.pid)
        time.sleep(1.5)
        assert memory_kib(process.pid) - before_kib < 8192
        assert end_s(process) < 2


def end_s(process: subprocess.Popen[bytes]) -> float:
    """Ask *process* to end, and return how long that took."""
    began_s = time.monotonic()
    process.terminate()
    process.wait(20)
    return time.monotonic() - began_s


@pytest.mark.parametrize(("name", "count"), [("never_reads", 60), ("storm_of_commands", 400), ("connect_again", 60)])
def test_a_server_ends_within_two_seconds_in_a_flood(name, count, record_property):
    """Of clients that read nothing, of connections that come and go, of commands that are carried out."""
    port = free_port()
    with attacked_server(port) as process, attack(name, port, for_s=10, count=count):
        time.sleep(0.5)
        took_s = end_s(process)
    assert took_s < 2
    assert b"Traceback" not in process.said  # type: ignore[attr-defined]
    record_property("measured", f"{name}: {took_s:.1f} s")


@pytest.mark.parametrize("name", ["commands_at_once", "status"])
def test_a_server_ends_within_two_seconds_after_a_flood(name):
    """The clients have gone; what they asked for is not answered any more."""
    port = free_port()
    with attacked_server(port) as process:
        with attack(name, port, for_s=10, count=60_000 if name == "commands_at_once" else 60):
            time.sleep(0.5)
        assert end_s(process) < 2
    assert b"Traceback" not in process.said  # type: ignore[attr-defined]


# -- descriptors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [192, 256])
def test_without_descriptors_newcomers_are_refused_with_the_reason_and_the_viewers_see_everything(limit):
    port = free_port()
    with attacked_server(port, max_sessions_per_address=1000) as process:
        _, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (limit, hard))
        with Honest(port) as honest, contextlib.ExitStack() as stack:
            refused = None
            for _ in range(limit):
                client = stack.enter_context(WireClient(port, source="127.0.0.3"))
                line = client.ask_or_be_refused()
                if line.get("code") == "busy":
                    refused = line
                    break
                client.token = line["token"]
                client.send_token()
                client.event("active")
            assert refused is not None
            assert "file descriptors" in refused["message"]
            stack.close()
            outcome = honest.watch(for_s=2)
        outcome.is_well(at_least=200)
        assert outcome.server["refused"]["descriptors"] == 1
    assert b"Traceback" not in process.said  # type: ignore[attr-defined]


def test_idle_connections_take_no_descriptors_from_clients_that_want_something():
    port = free_port()
    with attacked_server(port, max_sessions_per_address=1000) as process:
        _, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (256, hard))
        with Honest(port) as honest, attack("silent", port, for_s=4, count=500):
            outcome = honest.watch(for_s=3)
        outcome.is_well(at_least=400)
    assert b"Traceback" not in process.said  # type: ignore[attr-defined]
