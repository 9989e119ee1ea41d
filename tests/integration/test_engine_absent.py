"""Connecting to an absent engine, a silent one, or another program: one line names it, soon, and none is started."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flume.errors import EngineError
from flume.lab.containers.engine import Engine
from support.labs.labs import one_line
from support.paths import ROOT


@contextlib.contextmanager
def listening(path: Path, answer: bytes | None) -> Iterator[str]:
    """Listen on a socket as an engine would; send *answer* to each connection, or nothing at all."""
    stop = threading.Event()
    with socket.socket(socket.AF_UNIX) as server, contextlib.ExitStack() as accepted:
        server.bind(str(path))
        server.listen()
        server.settimeout(0.05)

        def serve() -> None:
            while not stop.is_set():
                with contextlib.suppress(OSError):  # no connection yet, or its other end has closed it again
                    connection = accepted.enter_context(server.accept()[0])
                    if answer is not None:
                        connection.sendall(answer)
                        connection.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"unix://{path}"
        finally:
            stop.set()
            thread.join()


def refusal(endpoint: str, timeout_s: float = 0.5) -> str:
    """Return the error of connecting to *endpoint*; it must be one line, and come in time."""
    began = time.monotonic()
    with pytest.raises(EngineError) as caught:
        Engine.connect(timeout_s=timeout_s, environment={"DOCKER_HOST": endpoint})
    assert time.monotonic() - began < timeout_s + 3
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3
    return str(caught.value)


def test_a_silent_engine_is_given_up(tmp_path: Path) -> None:
    """The engine accepts the connection and never answers."""
    with listening(tmp_path / "s", None) as endpoint:
        assert refusal(endpoint).startswith(f"the Docker engine at {endpoint} does not answer")


def test_an_absent_engine_is_named(tmp_path: Path) -> None:
    """No program listens there."""
    assert refusal(f"unix://{tmp_path}/none").startswith(f"no Docker engine at unix://{tmp_path}/none")
    assert "no Docker engine at tcp://127.0.0.1:9" in refusal("tcp://127.0.0.1:9")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
def test_something_that_is_no_engine_is_named(tmp_path: Path, answer: bytes) -> None:
    """Another program listens on the socket."""
    with listening(tmp_path / "s", answer) as endpoint:
        assert endpoint in refusal(endpoint)


@pytest.mark.parametrize("endpoint", ["nonsense", "ftp://host", "ssh://nobody@127.0.0.1:9"])
def test_an_impossible_address_is_one_line(endpoint: str) -> None:
    """The error is one line, whatever exception the SDK raises."""
    assert endpoint.partition("://")[0] in refusal(endpoint)


def refused_run(docker_host: str, artifacts: Path) -> str:
    """Return the only line of ``flume lab run`` with an engine that is not there."""
    refused = subprocess.run(
        [sys.executable, "-m", "flume.cli", "lab", "run", "--clients", "1", "--artifacts", str(artifacts)],
        cwd=ROOT,
        env={**os.environ, "DOCKER_HOST": docker_host},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 3
    return one_line(refused.stderr)


@pytest.mark.parametrize(
    ("docker_host", "message"),
    [
        ("tcp://127.0.0.1:1", "no Docker engine at tcp://127.0.0.1:1"),
        ("tcp://127.0.0.1:99999", "DOCKER_HOST=tcp://127.0.0.1:99999 is no address of a Docker engine"),
        ("nonsense", "the Docker engine at nonsense cannot be reached"),
    ],
)
def test_a_run_on_an_engine_that_is_not_there_is_one_line(tmp_path: Path, docker_host: str, message: str) -> None:
    assert message in refused_run(docker_host, tmp_path)


def test_a_run_on_an_engine_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "does not answer" in refused_run(f"tcp://127.0.0.1:{silent.getsockname()[1]}", tmp_path)
