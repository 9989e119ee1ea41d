"""Preparing a machine: what is judged missing, what apt says, and whose process may be stopped."""

import os
from pathlib import Path

import msgspec
import pytest

from flume.errors import SetupError
from flume.lab.machine import packages
from flume.lab.progress import Task


class _Bar(Task):
    """Remembers the last update."""

    def __init__(self) -> None:
        self.seen: dict[str, object] = {}

    def update(self, *, completed: float | None = None, total: float | None = None, text: str | None = None) -> None:
        self.seen = {"completed": completed, "text": text}


def test_missing_programs_become_packages_without_repeats(tmp_path: Path) -> None:
    """A program in PATH and a file that exists are there; two programs of one package name it once."""
    there = tmp_path / "library.so"
    there.touch()
    wanted = {"sh": "dash", str(there): "lib", "no-such-a": "one", "no-such-b": "one", "/no/such.so": "two"}
    assert packages.missing(wanted) == ["one", "two"]


def test_installing_nothing_says_nothing() -> None:
    """The second run is silent."""
    said: list[str] = []
    packages.install({"sh": "dash"}, "a shell", said.append, interactive=False)
    assert said == []


def test_without_root_the_command_to_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is tried that cannot work."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SetupError, match=r"sudo apt-get install --no-install-recommends docker\.io") as caught:
        packages.install({"no-such-program": "docker.io"}, "containers", lambda _line: None, interactive=False)
    assert "containers" in str(caught.value)


def test_apt_status_moves_the_bar_and_errors_are_kept() -> None:
    """Percentages come from apt's machine-readable lines, the reason from its E: line."""
    bar = _Bar()
    lines = ["Reading package lists...\n", "pmstatus:docker.io:42.5:Unpacking docker.io\n", "E: Unable to locate x\n"]
    assert packages._follow_apt(lines, bar) == "E: Unable to locate x"
    assert bar.seen == {"completed": 42.5, "text": "Unpacking docker.io"}


@pytest.mark.parametrize("content", ["", "rubbish", "4194304999", str(os.getpid())])
def test_a_stale_pid_file_is_removed(tmp_path: Path, content: str) -> None:
    """Also when the number belongs to some other program by now, as it does here."""
    pid_file = tmp_path / "docker.pid"
    pid_file.write_text(content)
    packages._remove_stale(pid_file)
    assert not pid_file.exists()


@pytest.mark.parametrize(("mtu", "expected"), [(1400, ["--mtu", "1400"]), (1500, []), (9000, [])])
def test_a_narrow_default_route_narrows_dockers_bridge(tmp_path: Path, mtu: int, expected: list[str]) -> None:
    """A wide one needs no option."""
    (tmp_path / "eth7").mkdir()
    (tmp_path / "eth7" / "mtu").write_text(f"{mtu}\n")
    routes = tmp_path / "route"
    routes.write_text("Iface Destination Gateway\nlo 0000007F 0\neth7 00000000 010200C0\n")
    assert packages._mtu_option(tmp_path, routes) == expected


def test_without_a_default_route_there_is_nothing_to_narrow(tmp_path: Path) -> None:
    """A machine without a network still prepares."""
    routes = tmp_path / "route"
    routes.write_text("Iface Destination Gateway\n")
    assert packages._mtu_option(tmp_path, routes) == []


def test_a_process_that_only_has_the_engines_number_is_not_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is of our own process number, with another start time."""
    record = tmp_path / "engine.json"
    record.write_bytes(msgspec.json.encode(packages.StartedEngine(os.getpid(), 1)))
    monkeypatch.setattr(packages, "RECORD", record)
    assert not packages.stop_engine(lambda _line: None)
    assert not record.exists()


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"pid":"x"}'])
def test_without_a_readable_record_nothing_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    """An engine of somebody else's runs on."""
    record = tmp_path / "engine.json"
    if content is not None:
        record.write_bytes(content)
    monkeypatch.setattr(packages, "RECORD", record)
    assert not packages.stop_engine(lambda _line: None)


def test_no_engine_answers_where_there_is_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Absent is not an error here, it is the question."""
    monkeypatch.setattr(packages, "SOCKET", tmp_path / "none.sock")
    assert not packages.answers()


def test_waiting_ends_in_time() -> None:
    """A condition that stays false costs the time limit and no more."""
    assert packages.wait_until(lambda: True, timeout_s=0)
    assert not packages.wait_until(lambda: False, timeout_s=0.05, interval_s=0.01)
