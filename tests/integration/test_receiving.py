"""The receive side at 50 Mbit/s, and what is reported when this machine is too small or too slow for it."""

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from flume.client.app import Client
from flume.client.events import ClientEvent
from flume.client.playback.loopback import Payload
from flume.client.reception.receive_buffer import ReceiveBuffer, lasts_ms, remedy_of_shortage, shortage
from flume.client.session.watchdog import BUFFER_FULL, BUFFER_SMALL
from flume.client.terminal.views import summary
from flume.control import messages
from flume.control.session import State
from flume.settings import ClientSettings
from support.clients.players import FakePlayer, wait_until
from support.clients.receiving import PAYLOAD_BYTES, paced_sender, receiving, sent_by
from support.clients.terminal import Terminal, watch_command, watch_environment
from support.namespaces import SERVER_ADDRESS, WirePair
from support.servers.fake_server import FakeServer
from support.servers.running_server import RunningServer

RATE_MBIT = 50
RMEM_MAX = int(Path("/proc/sys/net/core/rmem_max").read_text())


class StallingPlayer(FakePlayer):
    """Takes what it gets while *flows* is set, then blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.flows = threading.Event()
        self.flows.set()
        self.stalled = threading.Event()

    def write(self, payloads: Sequence[Payload]) -> None:
        if not self.flows.is_set():
            self.stalled.set()
            assert self.flows.wait(20)
        super().write(payloads)


@pytest.mark.wire
def test_50_mbit_a_second_arrive_whole_although_the_player_stands_still_for_half_a_second() -> None:
    player = StallingPlayer()
    player.start()
    with (
        WirePair(clients=1) as pair,
        paced_sender(pair, rate_mbit=RATE_MBIT, seconds=5) as sender,
        receiving(pair, ClientSettings(host=SERVER_ADDRESS), player) as receiver,
    ):
        buffer = receiver.buffer()
        assert buffer is not None
        assert not buffer.is_small, "root is granted what it asks for"
        wait_until("it is under way", lambda: receiver.statistics().datagrams > 4000)
        player.flows.clear()
        assert player.stalled.wait(5)
        time.sleep(0.5)  # the stall itself, shorter than the buffer lasts
        player.flows.set()
        sent = sent_by(sender, timeout_s=20)
        wait_until("all was played", lambda: receiver.is_drained and receiver.statistics().datagrams >= sent)
        seen = receiver.statistics()
    assert sent == pytest.approx(5 * RATE_MBIT * 1e6 / 8 / PAYLOAD_BYTES, rel=0.001)
    assert (seen.datagrams, seen.dropped_by_receiver, seen.lost) == (sent, 0, 0)
    assert (seen.late, seen.reordered, seen.duplicates, seen.unexpected, seen.unrelated) == (0, 0, 0, 0, 0)
    assert sum(len(payload) == PAYLOAD_BYTES for payload in player.payloads) == sent


@pytest.mark.wire
def test_the_buffer_lasts_as_long_as_is_said() -> None:
    """The reader stops at the first datagram: the kernel holds as much as the message promises, and more."""
    player = StallingPlayer()
    player.start()
    settings = ClientSettings(host=SERVER_ADDRESS, receive_buffer_bytes=1 << 20)
    player.flows.clear()
    with (
        WirePair(clients=1) as pair,
        paced_sender(pair, rate_mbit=RATE_MBIT, seconds=1) as sender,
        receiving(pair, settings, player) as receiver,
    ):
        assert player.stalled.wait(5)
        sent = sent_by(sender, timeout_s=20)
        held_ms = (sent - receiver.statistics().dropped_by_receiver) * PAYLOAD_BYTES * 8 / (RATE_MBIT * 1000)
        player.flows.set()
        assert lasts_ms(1 << 20) <= held_ms <= 1.25 * lasts_ms(1 << 20)


@contextlib.contextmanager
def watching(player: FakePlayer, **changes: Any) -> Iterator[tuple[FakeServer, Client, list[ClientEvent]]]:
    events: list[ClientEvent] = []
    with FakeServer() as server:
        settings = ClientSettings(host="127.0.0.1", port=server.port, connect_timeout_s=2.0, **changes)
        with Client(settings, player, on_event=events.append) as client:
            assert isinstance(client.connect(), messages.Connected)
            assert client.wait_until_state(State.ACTIVE, timeout_s=5)
            yield server, client, events


def notices(events: list[ClientEvent]) -> list[tuple[str | None, str | None]]:
    return [(event.code, event.message) for event in events if event.event == "notice"]


def test_drops_here_are_kept_apart_from_the_networks_losses_while_they_happen() -> None:
    player = StallingPlayer()
    with watching(player, receive_buffer_bytes=64 << 10) as (server, client, events):
        server.send(2)
        server.send(5, skip=3)  # the network's
        wait_until("the network's loss is known", lambda: client.statistics().lost == 3)
        player.flows.clear()
        server.send(1)
        assert player.stalled.wait(5)
        server.send(300)
        during = client.statistics()
        assert during.dropped_by_receiver > 100
        assert during.lost == 3, "what the kernel dropped is no loss of the network's"
        assert f"3 lost, {during.dropped_by_receiver} dropped here" in summary(during)
        wait_until("it is reported while it happens", lambda: [code for code, _ in notices(events)] == [BUFFER_FULL])
        [(_, message)] = notices(events)
        assert message is not None
        assert f"{during.dropped_by_receiver} datagrams were dropped here, not by the network" in message
        assert "--receive-buffer 131072" in message

        dropped = during.dropped_by_receiver
        player.flows.set()
        wait_until("the buffer is empty", lambda: client.statistics().datagrams == 308 - dropped)
        server.send(1)  # shows that the numbers before it are missing
        wait_until("they count as missing", lambda: client.statistics().lost == 3 + dropped)
        after = client.statistics()
        assert (after.datagrams, after.dropped_by_receiver) == (309 - dropped, dropped)
        assert f"{3 + dropped} lost, {dropped} of them dropped here" in summary(after)
        assert len(notices(events)) == 1


def test_a_buffer_that_suffices_is_not_mentioned() -> None:
    with watching(FakePlayer(), receive_buffer_bytes=64 << 10) as (server, client, events):
        server.send(20)
        wait_until("they came", lambda: client.statistics().datagrams == 20)
        wait_until("it was looked at", lambda: client.statistics().uptime_s > 2.5)
        assert notices(events) == []


UNPRIVILEGED = ("setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin") if os.geteuid() == 0 else ()
"""Starts a program without the privilege to go beyond net.core.rmem_max."""


def limit() -> tuple[str, ReceiveBuffer]:
    """Return twice this machine's limit as an option, and the buffer that it leads to."""
    asked = 2 * RMEM_MAX
    return str(asked), ReceiveBuffer(asked, RMEM_MAX, 0)


def test_the_kernels_limit_is_reported_once_in_json_with_the_command_that_raises_it() -> None:
    asked, buffer = limit()
    with RunningServer() as server:
        options = ("--player", "none", "--json", "--duration", "4", "--receive-buffer", asked)
        done = subprocess.run(
            [*UNPRIVILEGED, *watch_command("127.0.0.1", "--port", str(server.port), *options)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=watch_environment(),
            timeout=30,
            check=False,
        )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    told = [event for event in events if event["event"] == "notice"]
    assert [event["code"] for event in told] == [BUFFER_SMALL], done.stdout
    assert told[0]["message"] == f"{shortage(buffer)}. Fix: {remedy_of_shortage(buffer)}"
    assert f"'sysctl -w net.core.rmem_max={asked}'" in told[0]["message"]
    assert 2 * RMEM_MAX in {event.get("receive_buffer_bytes") for event in events}, "the kernel's own count"


def test_the_kernels_limit_is_reported_on_the_screen() -> None:
    asked, _ = limit()
    with RunningServer() as server:
        options = ("127.0.0.1", "--port", str(server.port), "--player", "none", "--receive-buffer", asked)
        with Terminal(*options, through=UNPRIVILEGED) as terminal:
            wait_until("it is reported", lambda: f"net.core.rmem_max={asked}" in terminal.words())
            terminal.press("q")
            assert terminal.read_to_end() == 0
            assert f"asked for: room for {lasts_ms(RMEM_MAX)} ms of a stream of 50 Mbit/s" in terminal.words()


@pytest.mark.needs_root("a larger buffer than the system's limit")
def test_a_program_with_the_privilege_is_granted_what_the_limit_forbids() -> None:
    """As root: in the tests, in a container with NET_ADMIN."""
    with watching(FakePlayer(), receive_buffer_bytes=2 * RMEM_MAX) as (_, client, events):
        assert client.statistics().receive_buffer_bytes == 4 * RMEM_MAX
        wait_until("it was looked at", lambda: client.statistics().uptime_s > 2.5)
        assert notices(events) == []
