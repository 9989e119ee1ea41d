"""A process of its own for a part of a program: what is said, and how either side ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flume.child_process import MESSAGE, ChildEndedError, ChildProcess, Frame
from support.clients.players import wait_until
from support.paths import ROOT, SERVICES
from support.processes import has_ended, name_of, state_of

ECHO = "support.children.echo"


@pytest.fixture
def child() -> Iterator[ChildProcess]:
    child = ChildProcess(ECHO, memory_bytes=256 << 20)
    ask(child, b"are you there?")
    yield child
    child.kill()
    child.kill()


def ask(child: ChildProcess, message: bytes) -> None:
    child.send(message)
    assert child.receive(timeout_s=20) == Frame(MESSAGE, message)


def how_it_ends(child: ChildProcess) -> str:
    with pytest.raises(ChildEndedError) as ended:
        child.receive(timeout_s=20)
    return str(ended.value)


def test_it_has_a_name_and_nothing_comes_unasked(child: ChildProcess) -> None:
    assert name_of(child.pid) == "flume-echo"
    assert child.receive(timeout_s=0) is None


def test_how_it_ended_is_said_by_the_name_of_the_signal(child: ChildProcess) -> None:
    os.kill(child.pid, signal.SIGSEGV)
    assert how_it_ends(child) == "was ended by SIGSEGV (signal 11)"
    child.send(b"to a process that has ended: no error")


def test_a_fault_of_its_own_program_ends_it(capfd: pytest.CaptureFixture[str]) -> None:
    child = ChildProcess(ECHO)
    child.send(b"raise")
    assert how_it_ends(child) == "ended with status 1"
    child.kill()
    assert "OSError: as asked" in capfd.readouterr().err


def test_memory_beyond_its_bound_is_refused_to_it(child: ChildProcess) -> None:
    child.send(b"grow")
    assert how_it_ends(child) == "ended with status 1"


def test_what_ends_a_terminals_processes_is_for_the_parent_to_decide(child: ChildProcess) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(child.pid, number)
        ask(child, b"still there?")


def test_signals_do_not_end_it_while_it_starts() -> None:
    child = ChildProcess(ECHO)
    os.kill(child.pid, signal.SIGINT)
    ask(child, b"here?")
    child.kill()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set(), "the parent is interrupted as before"


@pytest.mark.parametrize("is_stopped", [False, True])
def test_it_ends_with_its_parent_even_while_it_is_stopped(is_stopped: bool) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{SERVICES}:{ROOT / 'tests'}"}
    command = [sys.executable, "-m", "support.children.parent"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        if is_stopped:
            os.kill(pid, signal.SIGSTOP)
            wait_until("it is stopped", lambda: state_of(pid) == "T")
        parent.kill()
    wait_until("it has ended", lambda: has_ended(pid), timeout_s=2)


def test_many_starts_leave_nothing() -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    for number in range(10):
        child = ChildProcess(ECHO)
        if number % 2:
            ask(child, b"here?")
        child.kill()
        assert state_of(child.pid) == ""
    assert descriptors() == before


def test_without_a_program_it_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    child = ChildProcess("support.children.absent")
    assert how_it_ends(child) == "ended with status 1"
    child.kill()
    assert "No module named support.children.absent" in capfd.readouterr().err


def test_a_module_in_the_present_folder_is_not_taken_for_pythons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "struct.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    child = ChildProcess(ECHO)
    ask(child, b"here?")
    child.kill()


def test_starting_takes_no_longer_than_a_second() -> None:
    began_s = time.monotonic()
    child = ChildProcess(ECHO)
    ask(child, b"here?")
    child.kill()
    assert time.monotonic() - began_s < 1.0
