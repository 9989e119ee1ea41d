"""One client's trouble costs the other clients nothing, with either sender; on a wire of the test's own."""

import contextlib
import json
import select
import socket
import struct
import subprocess
import time
from collections.abc import Iterator

import pytest

from flume.linux import SO_TIMESTAMPNS
from support.clients.numbers import assert_consecutive
from support.clients.wire_client import WireClient
from support.namespaces import SERVER_ADDRESS, WirePair, client_address
from support.servers.plain_server import PORT, served

pytestmark = pytest.mark.wire

DEAD = 8
LONGEST_SILENCE_S = 0.3
"""Wide enough for a busy host. With one shared socket, two dead clients caused silences of 3 s (measured)."""


class Watcher(WireClient):
    """A client that records each sequence number with the kernel's time of arrival."""

    def __init__(self, number: int) -> None:
        super().__init__(PORT, host=SERVER_ADDRESS, source=client_address(number))
        self.media.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.numbers: list[int] = []
        self.times_s: list[float] = []

    def drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                data, ancillary, *_ = self.media.recvmsg(2048, 64)
                seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
                self.numbers.append(int.from_bytes(data[2:4], "big"))
                self.times_s.append(seconds + nanoseconds / 1e9)

    def longest_silence_s(self) -> float:
        return max(after - before for before, after in zip(self.times_s, self.times_s[1:], strict=False))


@contextlib.contextmanager
def wire(clients: int, *options: str, mtu: int | None = None) -> Iterator[WirePair]:
    with WirePair(clients=clients, segmentation=True) as pair:
        if mtu is not None:
            subprocess.run(["ip", "-n", pair.server, "link", "set", "eth0", "mtu", str(mtu)], check=True, timeout=10)
        with served(pair, options=options), pair.as_client():
            yield pair


def watch(watchers: list[Watcher], others: list[WireClient], seconds: float) -> None:
    """For *seconds*, renew the consent of all clients and let *watchers* record their datagrams."""
    until_s, consent_s = time.monotonic() + seconds, 0.0
    while (now_s := time.monotonic()) < until_s:
        if now_s > consent_s:
            consent_s = now_s + 1.0
            for client in [*watchers, *others]:
                with contextlib.suppress(OSError):  # a dead client cannot send
                    client.send_token()
        select.select([watcher.media for watcher in watchers], [], [], 0.1)
        for watcher in watchers:
            watcher.drain()


def switch_off(pair: WirePair, numbers: range) -> None:
    """Remove the addresses of clients *numbers*, and flush the neighbour entries of the server's kernel."""
    for number in numbers:
        subprocess.run(
            ["ip", "-n", pair.client, "addr", "del", f"{client_address(number)}/15", "dev", "eth0"],
            check=True,
            timeout=10,
        )
    subprocess.run(["ip", "-n", pair.server, "neigh", "flush", "dev", "eth0"], check=True, timeout=10)


def unresolved(pair: WirePair) -> set[str]:
    """Return the addresses to which the server's kernel sends without an answer to its ARP requests."""
    shown = subprocess.run(
        ["ip", "-j", "-n", pair.server, "neigh", "show", "dev", "eth0"], check=True, capture_output=True, timeout=10
    )
    return {row["dst"] for row in json.loads(shown.stdout) if {"INCOMPLETE", "FAILED"} & set(row["state"])}


@pytest.mark.parametrize("sender", ["io_uring", "loop"])
def test_neither_switched_off_nor_closed_nor_full_nor_silent_clients_cost_other_clients_anything(sender):
    with contextlib.ExitStack() as stack:
        pair = stack.enter_context(wire(DEAD + 5, "--sender", sender))
        watchers = [stack.enter_context(Watcher(number)) for number in range(2)]
        dead = range(5, 5 + DEAD)
        others = [
            stack.enter_context(WireClient(PORT, host=SERVER_ADDRESS, source=client_address(number)))
            for number in [*range(2, 5), *dead]
        ]
        closed, full, silent = others[:3]
        for client in [*watchers, *others]:
            client.connect()
        full.media.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        silent.control.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        watch(watchers, others, 0.5)
        switch_off(pair, dead)
        closed.media.close()
        for _ in range(400):  # replies that the client never reads
            with contextlib.suppress(OSError):
                silent.send_raw(b'{"command":"status"}\n')
        watch(watchers, others[1:3], 4.0)
        status = watchers[0].ask("status")
        assert status["server"]["sender"] == sender
        # The kernel queues datagrams for a dead neighbour in that neighbour's own queue, and drops the oldest.
        assert unresolved(pair) >= {client_address(number) for number in dead}
        assert closed.event("closed")["code"] == "port_unreachable"
        for watcher in watchers:
            watcher.drain()
            assert len(watcher.numbers) > 4.0 * 150
            assert_consecutive(watcher.numbers)
            assert watcher.longest_silence_s() < LONGEST_SILENCE_S


@pytest.mark.parametrize("sender", ["io_uring", "loop"])
def test_a_link_too_narrow_for_batches_is_served_singly_and_status_says_why(sender):
    with wire(1, "--sender", sender, mtu=1300), Watcher(0) as watcher:
        watcher.connect()
        watch([watcher], [], 1.0)
        status = watcher.ask("status")
        watcher.drain()
        assert_consecutive(watcher.numbers)
        assert len(watcher.numbers) > 150
        (reason,) = status["session"]["fallbacks"]
        assert reason in {"segmentation_einval", "segmentation_emsgsize"}
        assert status["server"]["fallbacks"] == {reason: 1}
        assert status["session"]["drops"] == {}
        assert status["session"]["batches"] == status["session"]["datagrams"], "each datagram is a batch of its own"


def test_a_path_that_becomes_narrow_under_a_stream_loses_nothing():
    with wire(1) as pair, Watcher(0) as watcher:
        watcher.connect()
        watch([watcher], [], 0.5)
        subprocess.run(["ip", "-n", pair.server, "link", "set", "eth0", "mtu", "1200"], check=True, timeout=10)
        watch([watcher], [], 1.0)
        status = watcher.ask("status")
        watcher.drain()
        assert_consecutive(watcher.numbers)
        assert status["session"]["fallbacks"]
        assert not status["session"]["drops"]


def test_a_link_slower_than_the_stream_is_counted_and_the_stream_goes_on():
    with wire(1, "--bitrate", "16000") as pair, Watcher(0) as watcher:
        # A queue that holds more than the client's send buffer, like the queue of a slow network card.
        slow = ["root", "tbf", "rate", "8mbit", "burst", "64kb", "limit", "8mb"]
        subprocess.run(["tc", "-n", pair.server, "qdisc", "add", "dev", "eth0", *slow], check=True, timeout=10)
        watcher.connect()
        deadline_s = time.monotonic() + 60
        while not (drops := watcher.ask("status")["session"]["drops"]):
            assert time.monotonic() < deadline_s
            watch([watcher], [], 1.0)
        assert set(drops) == {"send_buffer_full"}
        watcher.drain()
        before = len(watcher.numbers)
        watch([watcher], [], 2.0)
        assert len(watcher.numbers) - before == pytest.approx(2.0 * 8e6 / 8 / 1370, rel=0.3), "the link's rate"


def test_the_reply_does_not_overtake_what_waits_in_the_queue_of_a_slow_interface():
    with wire(1, "--bitrate", "16000") as pair, Watcher(0) as watcher:
        # Media at 8 Mbit/s, other packets without delay: as on an interface with per-flow queues (fq_codel).
        for words in (
            "qdisc add dev eth0 root handle 1: htb default 20 r2q 1000",
            "class add dev eth0 parent 1: classid 1:10 htb rate 8mbit burst 64kb",
            "class add dev eth0 parent 1: classid 1:20 htb rate 1gbit",
            "filter add dev eth0 parent 1: protocol ip u32 match ip protocol 17 0xff flowid 1:10",
        ):
            subprocess.run(["tc", "-n", pair.server, *words.split()], check=True, timeout=10)
        watcher.connect()
        watch([watcher], [], 1.0)
        asked_s = time.time()
        reply = watcher.ask("interrupt")
        replied_s = time.time()
        watch([watcher], [], 1.5)
        assert reply["reply"] == "interrupt"
        assert len([time_s for time_s in watcher.times_s if time_s > asked_s]) > 50, (
            "a queue that was worth waiting for"
        )
        assert watcher.times_s[-1] < replied_s
