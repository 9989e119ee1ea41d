"""The programs in examples/ are documentation: each is run as its first lines say."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import pytest

from support.clients.numbers import assert_consecutive
from support.clients.players import wait_until
from support.clients.wire_client import WireClient, sequences
from support.paths import ROOT, SERVICES
from support.servers.running_server import running_server

EXAMPLES = ROOT / "examples"


def command(name: str, *arguments: object) -> list[str]:
    return [sys.executable, str(EXAMPLES / name), *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SERVICES), "PYTHONUNBUFFERED": "1", **more}


def run(name: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(name, *arguments), capture_output=True, text=True, env=environment(), timeout=60, check=False
    )


def lines_of_code(path: Path) -> int:
    """Return the lines that hold code: neither blank, nor comment, nor docstring."""
    outside = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    before = tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        begins_line = before in {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.NL, tokenize.COMMENT}
        is_docstring = token.type == tokenize.STRING and begins_line
        if token.type not in outside and not is_docstring:
            lines |= set(range(token.start[0], token.end[0] + 1))
        before = token.type
    return len(lines)


def test_a_protocol_client_has_40_lines_and_receives_what_the_server_says_it_sent() -> None:
    assert 30 < lines_of_code(EXAMPLES / "client_in_40_lines.py") <= 40
    with running_server() as server:
        done = run("client_in_40_lines.py", "127.0.0.1", server.port, 2)
    assert done.returncode == 0, done.stderr
    *messages, counted = done.stdout.splitlines()
    beginnings = [line.split(",")[0] for line in messages]
    assert beginnings == ['{"reply":"connect"', '{"event":"active"', '{"reply":"interrupt"']
    _, received, _, _, sent, _ = counted.split()
    assert int(received) == int(sent) > 100


def test_a_protocol_client_without_a_stream_says_why() -> None:
    with running_server(max_sessions_per_address=1) as server, WireClient(server.port) as other:
        other.connect()
        done = run("client_in_40_lines.py", "127.0.0.1", server.port, 1)
    assert done.returncode == 1
    assert done.stderr == "127.0.0.1 has 1 sessions already, which is the most for one address\n"


def test_the_client_as_a_library_receives_and_reports() -> None:
    with running_server() as server:
        done = run("watch_from_python.py", "127.0.0.1", server.port, 1, "none")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["state: connecting", "state: active"]
    [counted] = [line.split() for line in lines if line.startswith("received")]
    assert int(counted[1]) > 50
    assert counted[3:5] == ["0", "lost,"]
    assert lines[-1] == "state: closed"


def test_the_client_as_a_library_without_a_server_says_so() -> None:
    done = run("watch_from_python.py", "127.0.0.1", 1, 1, "none")
    assert done.returncode == 1
    assert "no connection to 127.0.0.1 port 1" in done.stderr


@contextlib.contextmanager
def own_source(*arguments: str, **more: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        command("own_source.py", 0, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**more),
    )
    with process:
        try:
            yield process
        finally:
            process.kill()  # nothing happens to one that has ended


def port_of(process: "subprocess.Popen[str]") -> int:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("listening on port "), line
    return int(line.split()[3].rstrip(":"))


@pytest.fixture
def path_with_ffmpeg(tmp_path: Path) -> str:
    (tmp_path / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    return f"{tmp_path}:{os.environ['PATH']}"


def test_a_source_of_ones_own_is_streamed_rests_without_clients_and_ends(path_with_ffmpeg: str) -> None:
    with own_source(PATH=path_with_ffmpeg) as process:
        with WireClient(port_of(process)) as client:
            client.connect()
            datagrams = client.receive(for_s=6, at_least=40)
            assert len(datagrams) >= 40
            assert_consecutive(sequences(datagrams))
            assert client.ask("status")["server"]["source"] == "ffmpeg"
            client.ask("interrupt")
            wait_until("it rests", lambda: client.ask("status")["server"]["ingest"] == "stopped")
            client.ask("continue")
            assert len(client.receive(for_s=6, at_least=40)) >= 40, "the program was started again"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert errors == ""


@pytest.mark.parametrize(
    ("program", "reason"),
    [(["no-such-program"], "cannot start no-such-program: No such file"), (["false"], "false ended with status 1")],
)
def test_a_source_that_cannot_be_read_ends_the_server_with_the_reason(program: list[str], reason: str) -> None:
    with own_source(*program) as process:
        with WireClient(port_of(process)) as client:  # a live source begins with its first client
            client.connect()
            assert reason in client.event("closed")["message"]
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert reason in errors
