"""Signals: the first ends what goes on, the second is answered, the third gives up."""

import signal
import subprocess
import sys

import pytest

from flume.errors import EngineError
from flume.lab.machine.interrupts import GivenUp, clearing_away, interruptible
from support.paths import ROOT

PROGRAM = """
import os, select, signal, sys
from flume.lab.machine.interrupts import clearing_away, interruptible
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup, which ignores it

def wait():
    # A signal that comes just before a read is taken only after it: so the read begins when there is a line.
    while not select.select([0], [], [], 0.05)[0]:
        pass
    os.read(0, 1)

try:
    with interruptible():
        try:
            print("ready", flush=True)
            wait()
        finally:
            print("stopping", flush=True)
            wait()  # between the interrupt and the clearing away
            with clearing_away("removing lab 'y'", lambda: ["container a"], "make down LAB=y"):
                print("clearing", flush=True)
                wait()
                print("cleared", flush=True)
except KeyboardInterrupt as error:
    print(f"interrupted {error}", flush=True)
"""


class Program:
    """The program above, and what it prints."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env={"PYTHONPATH": str(ROOT / "services")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.line() == "ready"

    def interrupt(self) -> None:
        """Send the first signal; return when it has come."""
        self.process.send_signal(signal.SIGINT)
        assert self.line() == "stopping"

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip()

    def answer(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.readline().rstrip()

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@pytest.fixture
def program():
    one = Program()
    yield one
    one.process.kill()
    one.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("early", [True, False], ids=["before", "during"])
def test_a_second_signal_lets_clearing_away_go_on_and_says_so(program, number, early):
    program.interrupt()
    if not early:
        program.go_on()
        assert program.line() == "clearing"
    # It may come at any instruction: in the time between, an exception would skip what clears away.
    program.process.send_signal(number)
    assert "still " in program.answer()
    for _ in range(2 if early else 1):
        program.go_on()
    if early:
        assert program.line() == "clearing"
    assert program.line() == "cleared"
    assert program.line() == "interrupted"


def test_a_third_signal_gives_up_and_names_what_is_left(program):
    program.interrupt()
    program.process.send_signal(signal.SIGTERM)
    program.answer()
    program.go_on()
    assert program.line() == "clearing"
    program.process.send_signal(signal.SIGINT)
    expected = "interrupted gave up removing lab 'y'; left: container a; to remove it: make down LAB=y"
    assert program.line() == expected
    assert program.process.wait(timeout=30) == 0


def test_what_is_left_may_be_unknown():
    def left() -> list[str]:
        raise EngineError("the engine hangs")

    said = r"left: not known \(the engine hangs\); to remove it: make down"
    with pytest.raises(GivenUp, match=said), clearing_away("removing", left, "make down"):
        raise GivenUp


def clear_away_under(number: signal.Signals) -> None:
    """Clear away, and get the signal *number* meanwhile."""
    with clearing_away("removing lab 'y'", list, "make down"):
        signal.raise_signal(number)
        print("cleared")


def fail_and_clear_away(*, by: str) -> None:
    """Fail, and clear away in a handler or in a `finally`."""
    try:
        raise EngineError("the cause")
    except EngineError:
        if by == "handler":
            clear_away_under(signal.SIGINT)
        raise
    finally:
        if by == "finally":
            clear_away_under(signal.SIGINT)


@pytest.mark.parametrize("by", ["handler", "finally"])
def test_clearing_away_after_an_error_survives_the_first_signal(capfd, by):
    with interruptible(), pytest.raises(EngineError, match="the cause"):
        fail_and_clear_away(by=by)
    out, err = capfd.readouterr()
    assert out == "cleared\n"
    assert err == "flume: still removing lab 'y'; once more (Ctrl-C) gives up and leaves the rest\n"


def test_a_signal_while_something_is_cleared_away_between_two_steps_ends_the_program_after_it(capfd):
    with interruptible():
        with pytest.raises(KeyboardInterrupt):
            clear_away_under(signal.SIGINT)
        clear_away_under(signal.SIGTERM)  # it is the second one
    out, err = capfd.readouterr()
    assert out == "cleared\n" * 2
    assert err.count("flume: still removing lab 'y'") == 2


def test_after_something_was_cleared_away_between_two_steps_the_next_signal_is_the_first(capfd):
    """Such as what a measurement of the hosts has made, before a run begins."""
    with interruptible():
        for _ in range(3):
            with clearing_away("removing lab 'y'", list, "make down"):
                pass
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert capfd.readouterr().err == ""


def test_an_ignored_signal_stays_ignored_and_handlers_are_put_back():
    """As under nohup, which ignores SIGHUP."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    hangup = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            signal.raise_signal(signal.SIGHUP)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGHUP, hangup)
    assert {number: signal.getsignal(number) for number in before} == before
