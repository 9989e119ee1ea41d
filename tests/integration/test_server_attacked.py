"""The real server under attack: events that rarely coincide, exhausted resources, and parts that fail."""

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flume.errors import ServerError, SourceError
from flume.server.app import Server
from flume.server.sources.source import ItemFailed, ItemStarted, SourceEnded, SourceEvent
from flume.settings import ServerSettings
from support.clients.wire_client import WireClient, assert_consecutive, sequences
from support.media.synthetic import SyntheticSource
from support.paths import ROOT
from support.ports import free_port
from support.servers.running_server import RunningServer, running_server

TOKEN_INTERVAL_S = 0.2


@pytest.fixture
def server():
    with running_server(token_interval_s=TOKEN_INTERVAL_S, consent_timeout_s=1.5, keepalive_s=0.3) as running:
        yield running


@contextlib.contextmanager
def busy(server: RunningServer, *, for_s: float = 0.05) -> Iterator[None]:
    """Keep the server's event loop busy for *for_s*: it then reads all that the block has sent at once."""
    began = threading.Event()

    def work() -> None:
        began.set()
        time.sleep(for_s)

    server.loop.call_soon_threadsafe(work)
    assert began.wait(5)
    yield
    time.sleep(for_s)


def loses_nothing(client: WireClient, *, at_least: int = 20) -> None:
    client.send_token()
    numbers = sequences(client.receive(for_s=0.3))
    assert len(numbers) > at_least
    assert_consecutive(numbers)


def the_rest(client: WireClient) -> list[bytes]:
    """Read the socket until no datagram has arrived for 0.1 s, so that a slow host makes no difference."""
    datagrams: list[bytes] = []
    while more := client.receive(for_s=0.1):
        datagrams += more
    return datagrams


# -- coincidences -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "reset"])
def test_a_token_begins_nothing_for_a_client_that_has_gone(server, reset):
    received = 0
    for _ in range(15):
        with WireClient(server.port) as client:
            client.token = client.ask("connect")["token"]
            if reset:
                client.control.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with busy(server):
                client.control.close()
                client.send_token()
            received += len(client.receive(for_s=0.05))
    assert received == 0


def test_a_token_of_the_last_session_does_not_count_for_the_next_at_the_same_time(server):
    with WireClient(server.port) as client:
        client.connect()
        for _ in range(8):
            with busy(server):
                client.send_raw(b'{"command":"disconnect"}\n{"command":"connect"}\n')
                client.send_token()
            ended, again = client.reply(), client.reply()
            assert (ended["state"], again["state"]) == ("closed", "connecting")
            the_rest(client)
            client.send_token()
            assert client.receive(for_s=0.05) == []
            client.token = again["token"]
            client.send_token()
            assert client.event("active")["first_sequence"] is not None


@pytest.mark.parametrize("command", ["interrupt", "disconnect"])
def test_the_reply_counts_what_arrived_when_the_end_of_the_server_comes_with_it(command):
    for _ in range(8):
        with running_server() as server, WireClient(server.port) as client:
            client.connect()
            seen = client.receive(for_s=0.05)
            client.send_raw(b'{"command":"%s"}\n' % command.encode())
            server.loop.call_soon_threadsafe(server.server.stop)
            lines = []
            while line := client.line():
                lines.append(line)
            seen += the_rest(client)
            assert [line["code"] for line in lines if line.get("event") == "closed"] == ["shutdown"]
            reported = [line["last_sequence"] for line in lines if line.get("last_sequence") is not None]
            assert reported == [sequences(seen)[-1]], "by the reply or by the event, the first of the two"
            server._thread.join(5)
            assert not server._thread.is_alive()


def test_numbers_of_a_window_are_reported_once(server):
    with WireClient(server.port) as client:
        client.connect()
        client.receive(for_s=0.1)
        assert client.ask("interrupt")["datagrams"] > 0
        assert client.ask("disconnect") == {
            "reply": "disconnect",
            "state": "closed",
            "last_sequence": None,
            "datagrams": 0,
        }
        client.connect()
        client.receive(for_s=0.1)
        client.ask("interrupt")
        closed = client.event("closed", timeout_s=4)
        assert (closed["code"], closed["last_sequence"]) == ("consent_expired", None)


def test_a_server_that_was_stopped_and_woken_does_not_blame_its_clients():
    with program() as (process, port), WireClient(port) as client:
        client.connect()
        client.receive(for_s=0.2)
        os.kill(process.pid, signal.SIGSTOP)
        try:
            for _ in range(10):
                client.send_token()
                time.sleep(0.2)
        finally:
            os.kill(process.pid, signal.SIGCONT)
        client.receive(for_s=0.5)
        assert client.ask("status")["state"] == "active", "its tokens waited in the socket"
        assert not [event for event in client.events if event["event"] == "closed"]


# -- another port -----------------------------------------------------------------------------------------------


def test_the_stream_follows_the_token_to_another_port_without_a_hole_or_a_datagram_too_many(server):
    with WireClient(server.port) as client, WireClient(server.port) as other:
        other.connect()
        client.connect()
        time.sleep(TOKEN_INTERVAL_S)
        client.send_token()
        before = client.receive(for_s=0.2)
        old, client.media = client.media, client.new_media()
        client.send_token()
        after = client.receive(for_s=0.3)
        client.media, new = old, client.media
        before += the_rest(client)
        old.close()  # an ICMP error from the closed port then concerns earlier datagrams
        client.media = new
        client.send_token()
        after += client.receive(for_s=0.2)
        interrupted = client.ask("interrupt")
        after += the_rest(client)
        numbers = sequences(before + after)
        assert_consecutive(numbers)
        assert len(after) > 20
        assert (interrupted["last_sequence"], interrupted["datagrams"]) == (numbers[-1], len(numbers))
        notice = client.event("notice")
        assert notice["code"] == "media_moved"
        assert str(new.getsockname()[1]) in notice["message"]
        loses_nothing(other)


def test_while_interrupted_the_new_port_receives_nothing_until_continue(server):
    with WireClient(server.port) as client:
        client.connect()
        client.receive(for_s=TOKEN_INTERVAL_S)
        client.ask("interrupt")
        the_rest(client)
        old, client.media = client.media, client.new_media()
        client.send_token()
        assert client.event("notice")["code"] == "media_moved"
        assert client.receive(for_s=0.2) == []
        first = client.ask("continue")["first_sequence"]
        assert sequences(client.receive(for_s=0.2))[0] == first
        client.media, new = old, client.media
        assert client.receive(for_s=0.2) == []
        new.close()


def test_a_token_that_was_overtaken_on_its_path_moves_nothing_back(server):
    with WireClient(server.port) as client:
        client.connect()
        client.receive(for_s=TOKEN_INTERVAL_S)
        old, client.media = client.media, client.new_media()
        client.send_token()
        client.event("notice")
        old.sendto(client.token.encode(), client.server)
        client.receive(for_s=0.05)
        assert len(client.receive(for_s=0.2)) > 20
        assert client.ask("status")["server"]["drops"] == {"token_from_other_port": 1}
        old.close()


def test_a_flood_of_tokens_from_two_ports_costs_other_clients_nothing(server):
    with WireClient(server.port) as other, WireClient(server.port) as client:
        other.connect()
        client.connect()
        second = client.new_media()
        seen = []
        for _ in range(100):
            for _ in range(30):
                client.send_token()
                second.sendto(client.token.encode(), client.server)
            other.send_token()
            seen += other.receive(for_s=0.01)
        assert_consecutive(sequences(seen))
        assert client.ask("status")["state"] == "active"
        assert len([event for event in client.events if event["event"] == "notice"]) <= 100 * 0.1 + 2
        second.close()
        loses_nothing(other)


def test_a_token_that_reached_a_socket_on_its_way_to_another_client_is_not_lost(server):
    """Between bind and connect, the kernel may give another client's token to a client's socket: both have one port."""
    with WireClient(server.port) as client, WireClient(server.port) as newcomer:
        client.connect()
        token = newcomer.ask("connect")["token"]
        (session,) = (s for s in server.server.table._sessions if s.state == "active")
        source = ("127.0.0.1", newcomer.media.getsockname()[1])
        server.loop.call_soon_threadsafe(session._path._on_datagram, token.encode(), source)
        assert newcomer.event("active")["port"] == source[1]
        assert len(newcomer.receive(for_s=0.2)) > 20


# -- addresses --------------------------------------------------------------------------------------------------


def test_media_comes_from_the_address_that_the_client_called():
    with running_server(host="0.0.0.0") as server, WireClient(server.port, host="127.0.0.5") as client:
        client.media.connect(client.server)  # like a firewall on the path: no datagram from another address comes in
        client.token = client.ask("connect")["token"]
        client.media.send(client.token.encode())
        assert client.event("active")
        assert_consecutive(sequences(client.receive(for_s=0.3, at_least=20)))


@pytest.mark.parametrize(("listen", "call"), [("::1", "::1"), ("::", "::1"), ("::", "127.0.0.1")])
def test_ipv6_end_to_end(listen, call):
    with (
        running_server(host=listen, token_interval_s=TOKEN_INTERVAL_S) as server,
        WireClient(server.port, host=call) as client,
    ):
        active = client.connect()
        assert active["address"] == (call if ":" in call else f"::ffff:{call}")
        datagrams = client.receive(for_s=0.3)
        assert sequences(datagrams)[0] == active["first_sequence"]
        assert client.ask("interrupt")["datagrams"] == len(datagrams + client.receive(for_s=0.1))
        client.media.close()
        client.media = client.new_media()
        client.send_token()
        client.ask("continue")
        assert len(client.receive(for_s=0.5)) > 20


# -- resources --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def program(kind: str = "honest") -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run the server as a program of its own, with consent_timeout_s 1.5; it must end with status 0."""
    port = free_port()
    environment = {"PYTHONPATH": f"{ROOT / 'services'}:{ROOT / 'tests'}", "PATH": os.environ["PATH"]}
    command = (sys.executable, "-m", "support.servers.broken_server", kind, "127.0.0.1", str(port))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        yield process, port
    finally:
        process.terminate()
        _, process.said = process.communicate(timeout=20)  # type: ignore[attr-defined]
    assert process.returncode == 0


def test_without_file_descriptors_new_clients_wait_and_all_others_go_on():
    with program() as (process, port), WireClient(port) as good, WireClient(port) as poor:
        good.connect()
        poor.token = poor.ask("connect")["token"]
        soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        used = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (used, hard))
        poor.send_token()
        notice = poor.event("notice")
        assert notice["code"] == "no_route"
        assert "Too many open files" in notice["message"]
        with WireClient(port) as newcomer:
            newcomer.send_raw(b'{"command":"status"}\n')
            for _ in range(5):
                loses_nothing(good)
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (soft, hard))
            assert newcomer.reply()["reply"] == "status"
            assert newcomer.connect()["state"] == "active"
        loses_nothing(good)
    said = process.said.decode()  # type: ignore[attr-defined]
    assert said.count("no new connection can be accepted: Too many open files") == 1
    assert "Traceback" not in said


def test_a_client_that_reads_nothing_does_not_hold_up_the_end():
    with running_server() as server, WireClient(server.port) as deaf:
        deaf.control.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.control.settimeout(0.1)
        with contextlib.suppress(OSError):
            for _ in range(400):
                deaf.send_raw(b'{"command":"status"}\n')
        began_s = time.monotonic()
        server.stop()
        assert time.monotonic() - began_s < 4


# -- parts that fail --------------------------------------------------------------------------------------------


class DyingSource(SyntheticSource):
    """A source that ends after *frames*: it raises or returns *end*."""

    def __init__(self, end: SourceEvent | Exception, *, frames: int = 40) -> None:
        super().__init__(frames=frames)
        self._end = end

    def read(self, *, timeout_s: float) -> SourceEvent | None:
        if self._left:
            return super().read(timeout_s=timeout_s)
        if isinstance(self._end, Exception):
            raise self._end
        return self._end


@pytest.mark.parametrize(
    ("end", "names"),
    [
        (RuntimeError("the disk is gone"), "reading synthetic failed: the disk is gone"),
        (SourceEnded("no item can be played", failed=True), "no item can be played"),
    ],
)
def test_a_source_that_dies_is_reported_to_clients_and_is_an_error(end, names):
    server = RunningServer(DyingSource(end))
    with server, WireClient(server.port) as client:
        client.connect()
        closed = client.event("closed")
        assert closed["code"] == "source_ended"
        assert names in closed["message"]
        assert closed["last_sequence"] == sequences(the_rest(client))[-1]
        assert client.line() == {}, "reported once"
    assert isinstance(server._error, SourceError)
    assert names in str(server._error)


def test_a_source_that_dies_without_active_clients_ends_the_server_all_the_same():
    source = DyingSource(RuntimeError("gone"), frames=27)  # 1.08 s, of which the first is read ahead
    server = RunningServer(source)
    with server, WireClient(server.port) as client:
        client.connect()
        client.receive(for_s=0.15)
        client.ask("interrupt")
        server._thread.join(5)
        assert not server._thread.is_alive()
    assert isinstance(server._error, SourceError)


def test_items_that_were_left_out_are_an_error_at_the_end():
    class Partly(SyntheticSource):
        def read(self, *, timeout_s: float) -> SourceEvent | None:
            event = super().read(timeout_s=timeout_s)
            return ItemFailed("b.mp4", "is not a video") if isinstance(event, ItemStarted) else event

    server = RunningServer(Partly(frames=10))
    with server, WireClient(server.port) as client:
        client.connect()
        client.event("closed")
    assert isinstance(server._error, SourceError)
    assert "left out: b.mp4: is not a video" in str(server._error)


def fail(*_: object, **__: object) -> None:
    raise ZeroDivisionError("on purpose")


@pytest.mark.parametrize("command", ["", "interrupt", "disconnect"])
def test_a_sender_that_dies_ends_the_server_with_an_error_and_no_client_waits_without_end(caplog, monkeypatch, command):
    server = RunningServer()
    with server, WireClient(server.port) as client, WireClient(server.port) as other:
        client.connect()
        other.connect()
        client.receive(for_s=0.05)
        monkeypatch.setattr(server.server._ring, "extend", fail)
        if command:
            assert client.ask(command)["reply"] == command
        closed = client.event("closed")
        assert closed["code"] == "shutdown"
        assert "on purpose" in closed["message"]
        server._thread.join(5)
        assert not server._thread.is_alive()
    assert isinstance(server._error, ServerError)
    assert "the sender failed" in caplog.text


def test_a_sweep_that_dies_ends_the_server_because_consent_would_never_expire(monkeypatch):
    server = RunningServer()
    with server, WireClient(server.port) as client:
        client.connect()
        monkeypatch.setattr(server.server.table, "sweep", fail)
        assert client.event("closed")["code"] == "shutdown"
    assert isinstance(server._error, ServerError)


def test_a_fault_in_one_session_ends_that_connection_with_a_reason(server, caplog):
    with WireClient(server.port) as good, WireClient(server.port) as bad:
        good.connect()
        bad.connect()
        (session,) = (s for s in server.server.table._sessions if s.peer[1] == bad.control.getsockname()[1])
        session._reply = fail
        bad.send_raw(b'{"command":"status"}\n')
        assert bad.reply()["code"] == "internal_error"
        assert bad.line() == {}
        bad.receive(for_s=0.05)
        assert bad.receive(for_s=0.1) == []
        loses_nothing(good)
    assert "ZeroDivisionError" in caplog.text


# -- starting and ending ----------------------------------------------------------------------------------------


class Silent(SyntheticSource):
    """A source that never yields data."""

    def read(self, *, timeout_s: float) -> SourceEvent | None:
        self._closed.wait(timeout_s)
        return None


def test_stopping_during_the_start_takes_no_time():
    async def main() -> str:
        server = Server(Silent(), ServerSettings(host="127.0.0.1", port=0))
        asyncio.get_running_loop().call_later(0.1, server.stop)
        assert not await server.start()
        return await server.run()

    began_s = time.monotonic()
    assert asyncio.run(main()) == "asked to stop"
    assert time.monotonic() - began_s < 2


def test_closing_twice_and_stopping_often_is_nothing_special():
    async def main() -> None:
        server = Server(SyntheticSource(), ServerSettings(host="127.0.0.1", port=0))
        assert await server.start()
        server.stop()
        server.stop()
        assert await server.run() == "asked to stop"
        await server.close()

    asyncio.run(main())


def test_no_session_begins_once_the_server_ends(server):
    with WireClient(server.port) as client, WireClient(server.port) as waiting:
        waiting.token = waiting.ask("connect")["token"]
        server.loop.call_soon_threadsafe(server.server.table.begin_closing)
        assert client.ask("connect")["code"] == "shutdown"
        waiting.send_token()
        assert waiting.receive(for_s=0.2) == []


def test_a_connection_accepted_as_the_server_ends_gets_the_reason_and_is_closed():
    for _ in range(10):
        with running_server() as server:
            with busy(server):
                client = WireClient(server.port)
                server.loop.call_soon_threadsafe(server.server.stop)
            with client:
                lines = []
                while line := client.line():
                    lines.append(line)
                # Either it was accepted and got the goodbye, or the port had closed before.
                assert [line["code"] for line in lines] in (["shutdown"], [])
            server._thread.join(5)
            assert not server.server._listener._connections
        gc.collect()  # an open transport would warn, and warnings are errors here
