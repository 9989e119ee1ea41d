"""The real server where something fails: exhausted resources, parts that die, and how it starts and ends."""

import asyncio
import contextlib
import gc
import resource
import select
import socket
import time
from pathlib import Path

import pytest

from flume.errors import ServerError, SourceError
from flume.server.app import Server
from flume.server.sources.source import ItemFailed, ItemStarted, SourceEnded, SourceEvent
from flume.settings import ServerSettings
from support.clients.wire_client import WireClient, loses_nothing, sequences, the_rest
from support.media.synthetic import SyntheticSource
from support.servers.running_server import RunningServer, busy, running_server
from support.servers.serving import synthetic_server

TOKEN_INTERVAL_S = 0.2

STANDARD_STREAMS = 3
"""As RLIMIT_NOFILE: no descriptor of a lower number is ever free, so none can be opened; the open ones stay open.
A count of the open ones is no such limit: the sender thread opens three for its ring just after the first client
became active, and closes one or two again if it gets no third."""


@pytest.fixture
def server():
    with running_server(token_interval_s=TOKEN_INTERVAL_S, consent_timeout_s=1.5, keepalive_s=0.3) as running:
        yield running


# -- resources --------------------------------------------------------------------------------------------------


def test_without_file_descriptors_new_clients_wait_and_all_others_go_on():
    with synthetic_server() as (process, port), WireClient(port) as good, WireClient(port) as poor:
        good.connect()
        poor.token = poor.ask("connect")["token"]
        soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (STANDARD_STREAMS, hard))
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


@pytest.mark.parametrize("says", [b"", b"OPTIONS * RTSP/1.0\r\n", b'{"command"'], ids=["nothing", "RTSP", "JSON"])
def test_a_newcomer_that_stays_silent_without_a_descriptor_holds_nothing_up(says):
    with synthetic_server() as (process, port), WireClient(port) as good:
        good.connect()
        loses_nothing(good)  # the sender thread has opened what it needs
        used = {int(one.name) for one in Path(f"/proc/{process.pid}/fd").iterdir()}
        above, holes = max(used) + 1, max(used) + 1 - len(used)
        soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (above, hard))
        with contextlib.ExitStack() as stack:
            # Some newcomers get the free numbers below the highest one, and wait; all others are turned away.
            newcomers = [
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20)) for _ in range(holes + 3)
            ]
            for newcomer in newcomers:
                newcomer.sendall(says)
            answered, deadline_s = set[socket.socket](), time.monotonic() + 20
            while len(answered) < 3:
                assert time.monotonic() < deadline_s, f"{len(answered)} of {holes + 3} are turned away"
                answered |= set(select.select([one for one in newcomers if one not in answered], [], [], 1)[0])
            for newcomer in answered:
                assert b"no file descriptor left" in newcomer.makefile("rb").read()
            for _ in range(5):
                loses_nothing(good)
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (soft, hard))
            assert good.ask("status")["server"]["refused"]["descriptors"] >= 3


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
        session._windows.counters = fail
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
