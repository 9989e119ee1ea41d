"""A relay between a real server and real clients on loopback: what it passes on, and when it asks for nothing."""

import contextlib
import itertools
import os
import signal
import socket
import threading
import time
from collections import Counter

import pytest

from flume.control import messages
from flume.control.codec import encode
from flume.control.session import State
from flume.media import rtp
from flume.server.relay import upstream as relay_module
from flume.settings import ServerSettings
from support.clients.players import wait_until
from support.clients.stream_client import StreamClient
from support.clients.wire_client import WireClient, sequences
from support.media.synthetic import SyntheticSource
from support.servers.fake_server import FakeServer
from support.servers.relays import LossyOrder, Relay, origin_and_relay
from support.servers.running_server import RunningServer
from support.servers.serving import synthetic_server

RATE = 2000 // 8 * 1000 // 1316
"""Datagrams a second, about."""


def packets_of(datagrams: list[bytes]) -> list[rtp.RtpPacket]:
    return [rtp.parse_untrusted(datagram) for datagram in datagrams]


def is_entry(datagram: bytes) -> bool:
    return datagram[12:15] == b"\x47\x40\x00"


def steps(numbers: list[int]) -> list[int]:
    return [(b - a) % 65_536 for a, b in itertools.pairwise(numbers)]


def assert_same(relayed: list[bytes], direct: list[bytes], *, at_least: int) -> None:
    """Fail unless both saw the same bytes, with numbers and timestamps that differ by one constant each.

    Most payloads of the synthetic source come again after a while, but for those in which a frame begins.
    """
    ours, theirs = packets_of(relayed), packets_of(direct)
    counts = [Counter(bytes(packet.payload) for packet in each) for each in (ours, theirs)]
    shared = {payload for payload, count in counts[0].items() if count == counts[1][payload] == 1}
    parts = []
    for each in (ours, theirs):
        places = [place for place, packet in enumerate(each) if bytes(packet.payload) in shared]
        parts.append(each[places[0] : places[-1]])
    pairs = list(zip(*parts, strict=True))
    assert len(pairs) >= at_least
    assert all(a.payload == b.payload for a, b in pairs)
    assert len({(a.sequence - b.sequence) % 65_536 for a, b in pairs}) == 1
    assert len({(a.timestamp - b.timestamp) % (1 << 32) for a, b in pairs}) == 1


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        return int(reserved.getsockname()[1])


def test_two_clients_get_byte_for_byte_what_a_client_of_the_origin_gets() -> None:
    with origin_and_relay() as (origin, relay):
        with WireClient(origin.port) as direct, WireClient(relay.port) as one, WireClient(relay.port) as two:
            starts = [client.connect() for client in (one, two, direct)]
            got = [client.receive(for_s=5, at_least=3 * RATE) for client in (one, two, direct)]
        status = relay.says()
    for start, datagrams in zip(starts, got, strict=True):
        assert is_entry(datagrams[0]), "a keyframe is first"
        assert sequences(datagrams)[0] == start["first_sequence"]
        assert set(steps(sequences(datagrams))) == {1}
    for relayed in got[:2]:
        assert_same(relayed, got[2], at_least=RATE)
    assert (status.state, status.lost, status.transport) == ("receiving", 0, "udp")


def test_when_the_last_client_leaves_nothing_crosses_and_the_next_one_begins_at_a_keyframe() -> None:
    with origin_and_relay() as (origin, relay), WireClient(relay.port) as one, WireClient(relay.port) as two:
        one.connect()
        two.connect()
        one.receive(for_s=5, at_least=RATE // 2)
        one.ask("interrupt")
        two.receive(for_s=5, at_least=RATE)
        assert relay.says().state == "receiving", "one client still watches"
        two.ask("disconnect")
        relay.await_state("asleep")
        assert origin.server.status().active == 0
        before = relay.says().datagrams, origin.server.status().datagrams
        time.sleep(1.0)
        assert (relay.says().datagrams, origin.server.status().datagrams) == before
        start = one.ask("continue")
        again = one.receive(for_s=5, at_least=RATE)
    first = next(datagram for datagram in again if sequences([datagram]) == [start["first_sequence"]])
    assert is_entry(first)
    assert set(steps(sequences(again[again.index(first) :]))) == {1}


def test_a_client_over_tcp_and_one_of_raw_ts_are_served_too() -> None:
    with origin_and_relay() as (_, relay), StreamClient(relay.port) as over_tcp, WireClient(relay.port) as raw:
        over_tcp.connect()
        over_tcp.read_packets(RATE)
        raw.connect(payload="ts")
        datagrams = raw.receive(for_s=5, at_least=RATE // 2)
    assert set(steps(over_tcp.packets())) == {1}
    assert {(len(each), each[0]) for each in datagrams} == {(1316, 0x47)}


def test_what_is_lost_above_is_missing_below_in_holes_of_the_same_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        relay_module, "UpstreamOrder", lambda: LossyOrder(lambda number: number % 50 in {7, 20, 21, 22})
    )
    with origin_and_relay() as (_, relay):
        with WireClient(relay.port) as leaf:
            leaf.connect()
            datagrams = leaf.receive(for_s=10, at_least=4 * RATE)
        status, drops = relay.says(), relay.server.status().drops
    numbers = sequences(datagrams)
    found = [step - 1 for step in steps(numbers) if step != 1]
    assert len(found) >= 2 * (len(numbers) // 50) - 2
    assert set(found) <= {1, 3}
    assert found[2:] == [{1: 3, 3: 1}[size] for size in found[1:-1]], "a hole of one and a hole of three, in turn"
    assert abs(status.lost - sum(found)) <= 8
    assert not drops, "the relay's own network lost nothing"


def test_leaves_go_on_when_the_upstream_is_stopped_and_comes_back_as_another_stream() -> None:
    with contextlib.ExitStack() as stack:
        first = RunningServer(SyntheticSource())
        with first, Relay(first.port) as relay:
            port = first.port
            leaf = stack.enter_context(WireClient(relay.port))
            leaf.connect()
            leaf.receive(for_s=5, at_least=RATE)
            first.stop()
            lost = relay.await_state("lost")
            assert lost.error
            leaf.send_token()
            second = RunningServer(SyntheticSource(), ServerSettings(host="127.0.0.1", port=port))
            with second:
                relay.await_state("receiving")
                leaf.receive(for_s=0.3)
                again = leaf.receive(for_s=5, at_least=RATE)
                assert set(steps(sequences(again))) == {1}
                with WireClient(relay.port) as newcomer:
                    newcomer.connect()
                    assert is_entry(newcomer.receive(for_s=5, at_least=1)[0])
                assert relay.says().reconnects == 1
            assert not leaf.events or all(event["event"] != "closed" for event in leaf.events)


def test_an_upstream_that_stops_answering_ends_neither_the_relay_nor_its_clients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_module, "CHECK_S", 0.5)
    with synthetic_server() as (process, port), Relay(port) as relay, WireClient(relay.port) as leaf:
        leaf.connect()
        leaf.receive(for_s=5, at_least=RATE)
        os.kill(process.pid, signal.SIGSTOP)
        try:
            relay.await_state("lost", "ended")
            leaf.send_token()
            time.sleep(1.0)
            assert relay.upstream.ended is None
            assert relay.says().error
            assert leaf.ask("status")["state"] == "active"
        finally:
            os.kill(process.pid, signal.SIGCONT)
        leaf.receive(for_s=0.1)
        relay.await_state("receiving")
        numbers = sequences(leaf.receive(for_s=10, at_least=2 * RATE))
    assert len(numbers) >= 2 * RATE
    assert not [event for event in leaf.events if event["event"] == "closed"]


def test_a_lost_session_is_reported_while_the_steering_thread_waits_for_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with origin_and_relay() as (origin, relay), WireClient(relay.port) as leaf:
        leaf.connect()
        relay.await_state("receiving")
        answered, asked = threading.Event(), threading.Event()

        def wait_for_answer() -> None:
            asked.set()
            answered.wait(60)

        monkeypatch.setattr(relay.upstream._client, "status", wait_for_answer)
        try:
            assert asked.wait(30)
            origin.stop()
            relay.await_state("lost")
            assert not answered.is_set()
        finally:
            answered.set()


def test_what_a_hostile_upstream_says_is_shown_short_and_on_one_line() -> None:
    message = "\x1b[2J\nlisten: " + "\N{FIRE}" * 700
    refusal = messages.Refused(state=State.CLOSED, command="connect", code="full", message=message)
    with (
        FakeServer(reply_to_connect=encode(refusal)) as hostile,
        Relay(hostile.port) as relay,
        WireClient(relay.port) as leaf,
    ):
        leaf.connect()
        wait_until("the relay was refused", lambda: "listen:" in (relay.says().error or ""), timeout_s=30)
        leaf.send_raw(b'{"command":"status"}\n')
        error = leaf.reply()["server"]["upstream"]["error"]
    assert len(error) <= 200
    assert error.isprintable()


def test_a_chain_of_two_relays_passes_the_same_bytes_on_and_names_the_servers_above() -> None:
    with origin_and_relay() as (origin, first), Relay(first.port) as second:
        with WireClient(origin.port) as direct, WireClient(second.port) as leaf:
            leaf.connect()
            direct.connect()
            got = [client.receive(for_s=5, at_least=3 * RATE) for client in (leaf, direct)]
            leaf.send_token()
            wait_until("the path is known", lambda: len(second.says().path) == 2, timeout_s=20)
        above = (first.server.status().identity, origin.server.status().identity)
        assert second.says().path == above
    assert_same(*got, at_least=RATE)


def test_a_relay_of_itself_refuses_that_and_goes_on_answering() -> None:
    port = free_port()
    with Relay(port, port=port) as relay, WireClient(relay.port) as leaf:
        leaf.connect()
        status = relay.await_state("refused")
        assert "itself" in (status.error or "")
        assert leaf.ask("status")["server"]["upstream"]["state"] == "refused"
        assert relay.server.status().active == 1, "the leaf alone"


def test_a_loop_of_two_relays_is_found() -> None:
    port = free_port()
    with Relay(port) as one, Relay(one.port, port=port) as two, WireClient(one.port) as leaf:
        leaf.connect()
        wait_until("one of them refuses", lambda: "refused" in {one.says().state, two.says().state}, timeout_s=30)
        assert any("end the loop" in (each.says().error or "") for each in (one, two))


def test_an_upstream_that_is_not_there_yet_is_waited_for() -> None:
    port = free_port()
    with Relay(port) as relay, WireClient(relay.port) as leaf:
        assert relay.says().state == "asleep"
        start = leaf.connect()
        status = relay.await_state("lost")
        assert f"127.0.0.1 port {port}" in (status.error or "")
        with RunningServer(SyntheticSource(), ServerSettings(host="127.0.0.1", port=port)):
            relay.await_state("receiving")
            datagrams = leaf.receive(for_s=5, at_least=RATE)
    assert sequences(datagrams)[0] == start["first_sequence"]
    assert is_entry(datagrams[0])


def test_the_last_datagrams_of_the_upstreams_video_are_passed_on() -> None:
    with (
        origin_and_relay(frames=75) as (origin, relay),
        WireClient(relay.port) as leaf,
        WireClient(origin.port) as direct,
    ):
        leaf.connect()
        direct.connect()
        relayed, first_hand = leaf.receive(for_s=5), direct.receive(for_s=0.5)
    assert packets_of(relayed)[-1].payload == packets_of(first_hand)[-1].payload
    ahead = packets_of(relayed)[-1].sequence - packets_of(relayed)[0].sequence
    assert ahead % 65_536 + 1 == len(relayed)


def test_the_end_of_the_upstreams_video_is_passed_on() -> None:
    with origin_and_relay(frames=75) as (_, relay), WireClient(relay.port) as leaf:
        leaf.connect()
        leaf.receive(for_s=3)
        assert leaf.event("closed", timeout_s=10)["code"] == "source_ended"
        relay._thread.join(10)
        assert relay.ended == f"{relay.upstream.name}: its video is over"
