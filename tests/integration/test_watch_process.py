"""``flume watch`` in its own process: at a terminal, without one, lost, killed and started again."""

import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from flume.control import messages
from flume.control.codec import encode, parse_from_server_untrusted
from flume.control.session import State
from support.clients.players import wait_until
from support.clients.terminal import Terminal, run_watch, watch_command, watch_environment
from support.ports import free_port
from support.servers.fake_server import FakeServer
from support.servers.running_server import RunningServer


def at(port: int | str, *more: str) -> tuple[str, ...]:
    return "127.0.0.1", "--port", str(port), "--player", "none", *more


def test_keys_steer_and_each_change_is_one_line() -> None:
    with RunningServer() as server, Terminal(*at(server.port)) as terminal:
        assert f"watching 127.0.0.1:{server.port}, without a player" in terminal.until("watching")
        terminal.until("now active")
        terminal.press("x")  # no command, and no line
        terminal.press("i")
        terminal.until("now interrupted")
        terminal.press("s")
        terminal.until("status: interrupted; server 'synthetic'")
        terminal.press("C")  # a key is a key, with or without shift
        wait_until("delivery goes on", lambda: _count(terminal, "now active") == 2)
        terminal.press("d")
        terminal.until("now closed")
        terminal.press("i")
        assert "refused" in terminal.until("interrupt: ")
        terminal.press("k")
        wait_until("a new session", lambda: _count(terminal, "now active") == 3)
        terminal.press("q")
        assert terminal.read_to_end() == 0
        assert terminal.is_as_before()
        assert re.search(r"\d\d:\d\d:\d\d closed, \d+ datagrams, 0 lost", "\n".join(terminal.lines))
        assert _count(terminal, "now connecting") == 2


def _count(terminal: Terminal, text: str) -> int:
    terminal._read(0.05)
    return sum(text in line for line in terminal.lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(number: signal.Signals) -> None:
    with FakeServer() as server, Terminal(*at(server.port)) as terminal:
        terminal.until("now active")
        terminal.process.send_signal(number)
        assert terminal.read_to_end() == 0
        assert terminal.is_as_before()
        assert server.commands == ["connect", "disconnect"]


def test_a_warning_does_not_run_into_the_status_line(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    options = ("--state-file", str(folder / "client.json"))
    with RunningServer() as server, Terminal(*at(server.port, *options)) as terminal:
        terminal.until("Mbit/s")
        folder.rename(tmp_path / "away")  # the state cannot be written any more
        line = terminal.until("WARNING")
        assert line.startswith("WARNING")
        terminal.press("q")
        assert terminal.read_to_end() == 0


def test_one_failure_is_one_line_however_often_it_is_tried() -> None:
    with FakeServer(reply_to_connect=b"HTTP/1.1 400 Bad Request\r\n\r\n") as server:
        done = run_watch(*at(server.port, "--duration", "3"))
        assert len(server.commands) >= 2
    told = [line for line in done.stdout.splitlines() if "not flume control" in line]
    assert len(told) == 1
    assert told[0].endswith("is it 'flume serve' that listens on this port?; trying to connect again")


def test_without_a_terminal_it_says_lines_and_ends_with_the_video() -> None:
    with (
        FakeServer() as server,
        subprocess.Popen(
            watch_command(*at(server.port)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env=watch_environment(),
        ) as process,
    ):
        try:
            wait_until("it connected", lambda: server.state is State.ACTIVE)
            server.send(3)
            over = messages.Closed(state=State.CLOSED, code="source_ended", message="it is over", last_sequence=None)
            server.say(over)
            out, _ = process.communicate(timeout=10)
        finally:
            process.kill()  # one that went on would trouble other tests; nothing happens to one that has ended
    assert process.returncode == 0
    lines = out.splitlines()
    assert lines[0].startswith("watching 127.0.0.1:")
    assert lines[1:3] == ["now connecting", "now active"]
    assert "error: it is over" in lines
    assert lines[-1].startswith("no session, 3 datagrams, 0 lost")


def test_without_a_terminal_and_reconnect_a_lost_server_is_the_end() -> None:
    done = run_watch(*at(free_port(), "--no-reconnect"))
    assert done.returncode == 1
    assert "connect: no connection to 127.0.0.1 port" in done.stdout


def test_a_script_that_was_not_carried_out_is_an_error() -> None:
    done = run_watch(*at(free_port(), "--script", "connect; wait 0.1; interrupt"))
    assert done.returncode == 1
    assert "interrupt was not sent" in done.stdout
    with RunningServer() as server:
        assert run_watch(*at(server.port, "--script", "connect; wait 0.5; interrupt")).returncode == 0
        assert run_watch(*at(server.port, "--script", "connect; wait 0.5; continue")).returncode == 1


def test_a_state_file_that_cannot_be_written_is_known_at_once_and_later_no_reason_to_stop(tmp_path: Path) -> None:
    with RunningServer() as server:
        done = run_watch(*at(server.port, "--state-file", str(tmp_path / "none" / "state.json")))
        assert done.returncode == 1
        assert "flume: cannot write the state file" in done.stderr
        folder = tmp_path / "gone"
        folder.mkdir()
        process = subprocess.Popen(
            watch_command(*at(server.port, "--duration", "3", "--state-file", str(folder / "state.json"))),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=watch_environment(),
        )
        wait_until("it keeps its state", (folder / "state.json").exists)
        folder.rename(tmp_path / "elsewhere")
        out, err = process.communicate(timeout=20)
        assert process.returncode == 0
        assert "WARNING flume.client.terminal.watching: cannot write the state file" in err
        assert "now active" in out


def test_killed_and_started_again_beside_another_one() -> None:
    with RunningServer() as server, Terminal(*at(server.port)) as other:
        other.until("now active")
        with Terminal(*at(server.port)) as first:
            first.until("now active")
            os.kill(first.process.pid, signal.SIGKILL)
            first.process.wait()
        with Terminal(*at(server.port)) as second:
            second.until("now active")
            wait_until("the killed one's session is gone", lambda: _sessions(server.port) == (2, 2))
            second.press("q")
            assert second.read_to_end() == 0
        other.press("q")
        assert other.read_to_end() == 0
        assert " 0 lost" in other.lines[-1]


def _sessions(port: int) -> tuple[int, int]:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as control, control.makefile("rb") as lines:
        control.sendall(encode(messages.StatusQuery()))
        reply = parse_from_server_untrusted(lines.readline().rstrip(b"\n"))
    assert isinstance(reply, messages.Status)
    return reply.server.active, reply.server.sessions


def test_a_server_that_does_not_answer_is_named() -> None:
    with FakeServer(silent=True) as server:
        done = run_watch(*at(server.port, "--no-reconnect"), timeout_s=20)
    assert done.returncode == 1
    assert "the server did not answer connect within 5 s" in done.stdout
