"""Media on the control connection: the real server, real clients, and clients that read too slowly."""

import contextlib
import itertools
import subprocess
import sys
import threading
import time
from random import Random

import pytest

from flume.client.app import Client
from flume.client.events import ClientEvent
from flume.control import messages
from flume.control.codec import encode
from flume.control.session import State
from flume.settings import ClientSettings, ServerSettings
from support.clients.numbers import assert_consecutive
from support.clients.players import FakePlayer, wait_until
from support.clients.stream_client import StreamClient
from support.clients.wire_client import WireClient, sequences
from support.media.synthetic import SyntheticSource
from support.namespaces import SERVER_ADDRESS, WirePair
from support.servers.fake_server import FakeServer
from support.servers.program import running
from support.servers.running_server import RunningServer, running_server


def check_order(items: list[dict | int]) -> dict[str, int]:
    """Fail on a packet outside the delivery windows that the lines describe; return how often each kind was seen."""
    is_open, count, last, expected = False, 0, None, None
    seen = {"packets": 0, "interrupt": 0, "continue": 0, "disconnect": 0, "error": 0}
    for item in items:
        if isinstance(item, int):
            assert is_open, f"packet {item} outside every window"
            assert expected in {None, item}, f"packet {item} where {expected} was due"
            expected, last, count = (item + 1) % 65536, item, count + 1
            seen["packets"] += 1
            continue
        name = item.get("reply")
        seen[str(name)] = seen.get(str(name), 0) + 1
        if item.get("event") == "active" or name == "continue":
            assert not is_open
            is_open, count, last, expected = True, 0, None, item["first_sequence"]
        elif name in {"interrupt", "disconnect"} and is_open:
            assert (item["last_sequence"], item["datagrams"]) == (last, count)
            is_open = False
    return seen


def test_the_promise_holds_in_the_order_of_the_bytes_for_many_random_commands():
    commands = ("connect", "interrupt", "continue", "disconnect", "status")
    totals: dict[str, int] = {}

    def play(port: int, seed: int) -> list[dict | int]:
        random = Random(seed)
        with StreamClient(port) as client:
            for _ in range(30):
                burst = random.choices(commands, weights=(3, 3, 3, 1, 1), k=random.choice((1, 1, 1, 2, 4)))
                for command in burst:
                    fields = {"transport": "tcp"} if command == "connect" else {}
                    client.send(command, **fields)
                    if random.random() < 0.6:
                        client.until(lambda message: "reply" in message)
                time.sleep(random.choice((0.0, 0.0, 0.002, 0.02)))
            client.send("status", "nonsense")
            client.until(lambda message: message.get("code") == "unknown_command")  # all replies before it, too
            return client.items

    with running_server() as server:
        results: list[list[dict | int]] = []
        threads = [
            threading.Thread(target=lambda seed=seed: results.append(play(server.port, seed))) for seed in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert len(results) == 12
    for items in results:
        for name, count in check_order(items).items():
            totals[name] = totals.get(name, 0) + count
    assert totals["interrupt"] > 60
    assert totals["continue"] > 30
    assert totals["packets"] > 300
    assert totals["error"] > 30, "the commands included illegal ones"


def test_both_transports_get_the_same_packets_and_status_tells_them_apart():
    with running_server() as server, WireClient(server.port) as other, StreamClient(server.port) as client:
        active = client.connect()
        assert (active["address"], active["port"]) == client.connection.getsockname()
        other.connect()
        client.read_packets(150)
        assert_consecutive(client.packets())
        over_udp = sequences(other.receive(for_s=0.5))
        status = client.ask("status")
        assert set(over_udp) & set(client.packets())
        assert status["session"]["transport"] == "tcp"
        assert (status["server"]["active"], status["server"]["active_over_tcp"]) == (2, 1)
        assert other.ask("status")["session"]["transport"] == "udp"


def test_the_source_rests_without_a_client_over_tcp_and_runs_for_one():
    with running_server() as server, StreamClient(server.port) as client:
        assert client.ask("status")["server"]["ingest"] == "paused"
        client.connect()
        client.read_packets(20)
        assert client.ask("status")["server"]["ingest"] == "running"
        client.ask("interrupt")
        wait_until("it rests", lambda: client.ask("status")["server"]["ingest"] == "paused")
        client.ask("continue")
        client.read_packets(20)


def test_a_client_that_does_not_read_costs_other_clients_nothing_and_goes_on_at_a_keyframe():
    source = SyntheticSource(bitrate_kbit=8000)
    with (
        RunningServer(source, ServerSettings(host="127.0.0.1", port=0)) as server,
        StreamClient(server.port, receive_buffer_bytes=8192) as slow,
        WireClient(server.port) as quick,
    ):
        slow.connect()
        quick.connect()
        received = quick.receive(for_s=0.3)
        drops = server.server._tcp.drops
        began_s = time.monotonic()
        gaps_s: list[float] = []
        while time.monotonic() - began_s < 5.0:  # the slow client reads nothing meanwhile
            at_s = time.monotonic()
            quick.send_token()
            received += quick.receive(for_s=0.5, at_least=20)
            gaps_s.append(time.monotonic() - at_s)
        assert_consecutive(sequences(received))
        assert len(received) > 5 * 8e6 / 8 / 1316 * 0.8
        assert max(gaps_s) < 1.0
        before = len(slow.packets())
        while not drops["tcp_behind"] or slow.packets()[-1] == slow.packets()[before]:
            slow.read()
        slow.read_packets(2000)
        counted = slow.ask("status")["session"]
        numbers = slow.packets()
        jumps = [(b - a) % 65536 - 1 for a, b in itertools.pairwise(numbers) if (b - a) % 65536 != 1]
        assert jumps, "the slow client was five seconds behind"
        assert sum(jumps) == counted["drops"]["tcp_behind"]
        reply = slow.ask("interrupt")
        assert (reply["last_sequence"], reply["datagrams"]) == (slow.packets()[-1], len(slow.packets()))


def test_one_that_asks_and_asks_and_never_reads_is_cut_off_and_nothing_fails(caplog: pytest.LogCaptureFixture):
    fast = {f"commands_per_s{whose}": 1_000_000 for whose in ("", "_per_address", "_in_all")}
    with running_server(**fast) as server, StreamClient(server.port, receive_buffer_bytes=4096) as client:
        client.send("connect", transport="tcp")
        commands = ["interrupt", "continue"] * 100_000
        with pytest.raises(OSError, match=r"reset|pipe"):
            client.send(*commands)
        wait_until("its session is over", lambda: server.server.table.session_count == 0)
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


def test_clients_that_reset_their_connection_in_the_middle_of_media_fail_nothing(caplog: pytest.LogCaptureFixture):
    """A write that fails within the report that there is room again ended the connection twice."""
    source = SyntheticSource(bitrate_kbit=20_000)
    with (
        RunningServer(source, ServerSettings(host="127.0.0.1", port=0)) as server,
        StreamClient(server.port) as other,
    ):
        other.connect()
        for number in range(60):
            other.read_packets(20)
            with StreamClient(server.port, receive_buffer_bytes=8192) as client:
                client.send("connect", transport="tcp")
                for _ in range(number % 12):
                    client.read(4096)
        wait_until("their sessions are over", lambda: server.server.table.session_count == 1, timeout_s=30)
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


def test_the_end_of_the_video_comes_to_a_slow_reader_as_well():
    source = SyntheticSource(frames=50, bitrate_kbit=8000)
    with (
        RunningServer(source, ServerSettings(host="127.0.0.1", port=0)) as server,
        StreamClient(server.port, receive_buffer_bytes=8192) as slow,
        WireClient(server.port) as quick,
    ):
        slow.connect()
        quick.connect()
        time.sleep(2.3)  # the video is 2 s long
        closed = slow.until(lambda message: message.get("event") == "closed", most_bytes=1 << 13)
        last = quick.event("closed")
    assert closed["last_sequence"] == slow.packets()[-1] == last["last_sequence"]


def test_what_an_acknowledgement_waits_behind_is_bounded_for_a_slow_reader():
    """The bound: the reader's receive buffer, the unsent bytes in the kernel (TCP_NOTSENT_LOWAT), and one write."""
    source = SyntheticSource(bitrate_kbit=20_000)
    with (
        RunningServer(source, ServerSettings(host="127.0.0.1", port=0)) as server,
        StreamClient(server.port, receive_buffer_bytes=16 << 10) as client,
    ):
        client.connect()
        for _ in range(100):  # 400 KB/s of 2.5 MB/s
            client.read(4096)
            time.sleep(0.01)
        behind, at_s = client.bytes, time.monotonic()
        client.send("interrupt")
        client.until(lambda message: message.get("reply") == "interrupt", most_bytes=4096)
        assert client.bytes - behind < 256 << 10
        assert time.monotonic() - at_s < 2.0


def settings(port: int, **changes: object) -> ClientSettings:
    values = {"host": "127.0.0.1", "port": port, "connect_timeout_s": 5.0, "reconnect_max_s": 0.5, **changes}
    return ClientSettings(**values)  # type: ignore[arg-type]


def test_a_client_over_tcp_receives_plays_and_counts_as_over_udp():
    player = FakePlayer()
    with running_server() as server, Client(settings(server.port, transport="tcp"), player) as client:
        assert isinstance(client.connect(), messages.Connected)
        wait_until("a second of stream", lambda: client.statistics().datagrams > 150)
        assert isinstance(client.interrupt(), messages.Interrupted)
        resting = client.statistics().datagrams
        assert isinstance(client.continue_(), messages.Continued)
        wait_until("more", lambda: client.statistics().datagrams > resting + 50)
        last = client.disconnect()
        assert isinstance(last, messages.Disconnected)
        client.wait_until_drained()
        seen = client.statistics()
        assert (seen.transport, seen.media_port) == ("tcp", None)
        assert (seen.lost, seen.late, seen.duplicates, seen.unexpected, seen.unrelated) == (0, 0, 0, 0, 0)
        assert len(player.payloads) >= seen.datagrams


def test_tcp_by_name_is_refused_clearly_by_an_older_server():
    message = "connect: unknown field `transport`"
    refusal = messages.Refused(state=State.CLOSED, command=None, code="invalid", message=message)
    with (
        FakeServer(reply_to_connect=encode(refusal)) as server,
        Client(settings(server.port, transport="tcp", reconnect=False), FakePlayer()) as client,
    ):
        reply = client.connect()
        assert isinstance(reply, messages.Refused)
        assert reply.code == "no_tcp"
        assert "older and carries no media over TCP: update it, or let UDP port" in reply.message


class Blocked:
    """A server and a client's host on one wire, with a firewall on the client's side."""

    def __init__(self, pair: WirePair, *rules: str) -> None:
        self.pair = pair
        for rule in rules:
            subprocess.run(
                pair.inside(pair.client, "iptables", "-w", *rule.split()), check=True, capture_output=True, timeout=20
            )

    def server(self) -> "contextlib.AbstractContextManager[subprocess.Popen[bytes]]":
        program = (sys.executable, "-m", "support.servers.broken_server", "honest", SERVER_ADDRESS, "5004")
        return running(self.pair.inside(self.pair.server, *program))


@pytest.mark.wire
@pytest.mark.parametrize(
    "rule",
    [
        "-A INPUT -p udp --sport 5004 -j DROP",
        "-A INPUT -p udp --sport 5004 -j REJECT",
        "-A OUTPUT -p udp --dport 5004 -j DROP",
    ],
    ids=["datagrams vanish", "datagrams are rejected", "the token vanishes"],
)
def test_where_udp_is_blocked_auto_changes_to_tcp_once_and_says_so(rule: str):
    events: list[ClientEvent] = []
    with WirePair(clients=1) as pair:
        blocked = Blocked(pair, rule)
        with blocked.server(), pair.as_client():
            client = Client(settings(5004, host=SERVER_ADDRESS), FakePlayer(), on_event=events.append)
            began_s = time.monotonic()
            # A socket belongs to its thread's namespace. Here the client's threads start in the client's.
            with client:
                assert isinstance(client.connect(), messages.Connected)
                wait_until("media over TCP", lambda: client.statistics().transport == "tcp", timeout_s=15)
                lost = client.statistics().lost  # the datagrams sent over UDP
                wait_until("a second of it", lambda: client.statistics().datagrams > 150, timeout_s=15)
                took_s = time.monotonic() - began_s
                wait_until("it is played", lambda: client.statistics().player.frames_displayed > 100)
                client.interrupt()
                assert isinstance(client.continue_(), messages.Continued)
                seen = client.statistics()
    assert took_s < 10, "3 s of patience, a round of the supervisor, and a second of stream"
    notices = [event.code for event in events if event.event == "notice"]
    assert [code for code in notices if code != "proof_missing"] == ["udp_blocked"], "the server may say what it misses"
    assert seen.lost == lost


@pytest.mark.wire
def test_a_stream_that_is_cut_off_in_the_middle_goes_on_over_tcp():
    events: list[ClientEvent] = []
    with WirePair(clients=1) as pair:
        blocked = Blocked(pair)
        with (
            blocked.server(),
            pair.as_client(),
            Client(settings(5004, host=SERVER_ADDRESS), FakePlayer(), on_event=events.append) as client,
        ):
            client.connect()
            wait_until("media over UDP", lambda: client.statistics().datagrams > 100)
            assert client.statistics().transport == "udp"
            Blocked(pair, "-A INPUT -p udp --sport 5004 -j DROP")
            wait_until("media over TCP", lambda: client.statistics().transport == "tcp", timeout_s=15)
            before = client.statistics().datagrams
            wait_until("it flows", lambda: client.statistics().datagrams > before + 100)
    assert [event.code for event in events if event.code == "udp_blocked"] == ["udp_blocked"]
