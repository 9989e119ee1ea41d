"""The engine on this machine: its pid files, its MTU, and which process may be stopped."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from flume.lab.machine import dockerd


@pytest.mark.parametrize(
    "content", ["", "rubbish", "4194304999", str(os.getpid())], ids=["empty", "rubbish", "too large", "our own"]
)
def test_a_stale_pid_file_is_removed(tmp_path: Path, content: str) -> None:
    """Also when the number belongs to another program by now, as it does here."""
    pid_file = tmp_path / "docker.pid"
    pid_file.write_text(content)
    dockerd._remove_stale(pid_file)
    assert not pid_file.exists()


@pytest.mark.parametrize(("mtu", "expected"), [(1400, ["--mtu", "1400"]), (1500, []), (9000, [])])
def test_a_narrow_default_route_narrows_dockers_bridge(tmp_path: Path, mtu: int, expected: list[str]) -> None:
    """A wide route needs no option."""
    (tmp_path / "eth7").mkdir()
    (tmp_path / "eth7" / "mtu").write_text(f"{mtu}\n")
    routes = tmp_path / "route"
    routes.write_text("Iface Destination Gateway\nlo 0000007F 0\neth7 00000000 010200C0\n")
    assert dockerd._mtu_option(tmp_path, routes) == expected


def test_without_a_default_route_there_is_nothing_to_narrow(tmp_path: Path) -> None:
    """A machine without a network can be prepared too."""
    routes = tmp_path / "route"
    routes.write_text("Iface Destination Gateway\n")
    assert dockerd._mtu_option(tmp_path, routes) == []


def test_a_process_that_only_has_the_engines_number_is_not_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record has the number of this process, with another start time."""
    record = tmp_path / "engine.json"
    record.write_bytes(msgspec.json.encode(dockerd.StartedEngine(os.getpid(), 1)))
    monkeypatch.setattr(dockerd, "RECORD", record)
    assert not dockerd.stop_engine(lambda _line: None)
    assert not record.exists()


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"pid":"x"}'])
def test_without_a_readable_record_nothing_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    """An engine that we did not start goes on running."""
    record = tmp_path / "engine.json"
    if content is not None:
        record.write_bytes(content)
    monkeypatch.setattr(dockerd, "RECORD", record)
    assert not dockerd.stop_engine(lambda _line: None)


def test_no_engine_answers_where_there_is_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An absent engine is an answer here, not an error."""
    monkeypatch.setattr(dockerd, "SOCKET", tmp_path / "none.sock")
    assert not dockerd.answers()


@contextmanager
def engine_that_says(answer: bytes, listener: socket.socket) -> Iterator[None]:
    """In the body one connection to *listener* gets *answer*."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(answer)

    listener.listen()
    thread = threading.Thread(target=serve)
    thread.start()
    yield
    thread.join()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK", True),
        (b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", False),
        (b"SSH-2.0-OpenSSH_9.2\r\n", False),
        (b"", False),
    ],
)
def test_an_engine_answers_by_http(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes, expected: bool
) -> None:
    """An error, another program, and a connection that is closed are no answer."""
    path = tmp_path / "docker.sock"
    monkeypatch.setattr(dockerd, "SOCKET", path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        with engine_that_says(answer, listener):
            assert dockerd.answers() is expected
