"""The engine on this machine: its pid files, its MTU, and which process may be stopped."""

import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from flume.errors import SetupError
from flume.lab.machine import dockerd, packages


@pytest.mark.parametrize(
    "content", ["", "rubbish", "4194304999", str(os.getpid())], ids=["empty", "rubbish", "too large", "our own"]
)
def test_a_stale_pid_file_is_removed(tmp_path: Path, content: str) -> None:
    """Also when the number belongs to another program by now, as it does here."""
    pid_file = tmp_path / "docker.pid"
    pid_file.write_text(content)
    dockerd.remove_stale(pid_file)
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


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"pid":"x"}', b'{"a":' + 5000 * b"[", b'{"a":"\xff"}'])
def test_without_a_readable_record_nothing_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    """An engine that we did not start goes on running."""
    record = tmp_path / "engine.json"
    if content is not None:
        record.write_bytes(content)
    monkeypatch.setattr(dockerd, "RECORD", record)
    assert not dockerd.stop_engine(lambda _line: None)


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket in the place of this machine's, bound and not listened to; starting an engine fails the test."""

    def started(*_: object, **__: object) -> None:
        pytest.fail("a second engine was started, or packages were installed for one")

    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setattr(dockerd, "SOCKET", tmp_path / "docker.sock")
    monkeypatch.setattr(dockerd, "PID_FILE", tmp_path / "docker.pid")
    monkeypatch.setattr(dockerd, "_PATIENCE_S", 0.3)
    monkeypatch.setattr(dockerd, "_PING_TIMEOUT_S", 0.1)
    monkeypatch.setattr(dockerd, "start_engine", started)
    monkeypatch.setattr(packages, "install", started)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "docker.sock"))
        yield listener


def refusal() -> str:
    """Return the error of preparing this machine; it must be one line."""
    with pytest.raises(SetupError) as caught:
        dockerd.prepare(lambda _line: None)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_engine_that_accepts_and_says_nothing_is_there(local: socket.socket) -> None:
    local.listen()
    assert "is there and answers not within 0.3 s" in refusal()


def test_an_engine_that_no_longer_accepts_is_there(local: socket.socket) -> None:
    """The kernel's queue is full: connecting fails at once with EAGAIN."""
    local.listen(0)
    with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        for one in (first, second):
            one.setblocking(False)
            one.connect_ex(local.getsockname())
        assert "is there and answers not within 0.3 s" in refusal()


def test_an_engine_that_is_slow_is_waited_for(local: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dockerd, "_PATIENCE_S", 20.0)
    local.listen()
    said: list[str] = []

    def serve() -> None:
        given_up, _ = local.accept()
        waited_for, _ = local.accept()
        with given_up, waited_for:
            waited_for.recv(4096)
            waited_for.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")

    thread = threading.Thread(target=serve)
    thread.start()
    dockerd.prepare(said.append)
    thread.join()
    assert said == ["The Docker engine is slow to answer: waiting up to 20 s."]


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"])
def test_something_else_that_answers_is_there(local: socket.socket, answer: bytes) -> None:
    with engine_that_says(answer, local):
        assert "answers not as an engine does" in refusal()


def test_an_engine_that_this_user_may_not_use_is_there(local: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may use every socket, so the kernel's refusal is played."""

    def refuse(_self: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(dockerd._UnixConnection, "connect", refuse)
    assert "may not be used by this user: run as root, or add yourself to the group docker" in refusal()


def test_an_engine_that_is_starting_is_waited_for(local: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs and does not listen yet: nobody listens at its socket."""
    monkeypatch.setattr(dockerd, "_is_running", lambda pid_file: pid_file == dockerd.PID_FILE)
    assert "a dockerd runs" in refusal()


@pytest.mark.parametrize("name", ["DOCKER_HOST", "DOCKER_CONTEXT"])
def test_where_an_engine_is_named_none_is_asked_for_or_started_here(
    local: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """Also where that engine is not there."""
    (tmp_path / "contexts/meta" / hashlib.sha256(b"other").hexdigest()).mkdir(parents=True)
    (tmp_path / "contexts/meta" / hashlib.sha256(b"other").hexdigest() / "meta.json").write_text(
        '{"Name": "other", "Endpoints": {"docker": {"Host": "unix:///nowhere"}}}'
    )
    monkeypatch.setenv(name, "unix:///nowhere" if name == "DOCKER_HOST" else "other")
    dockerd.prepare(lambda _line: None)


def test_only_an_engine_that_is_absent_is_started(local: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens at the socket: it was left by an engine that was killed."""
    started: list[bool] = []
    monkeypatch.setattr(dockerd, "start_engine", lambda *_args, **_options: started.append(True))
    monkeypatch.setattr(packages, "install", lambda *_args: None)
    dockerd.prepare(lambda _line: None)
    assert started == [True]


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
