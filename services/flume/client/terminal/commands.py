"""Sources of commands: a script, lines of a file, or keys. Each runs in a thread of its own."""

import contextlib
import os
import select
import sys
import threading
from collections.abc import Callable, Iterator, Sequence

from flume.control.codec import LineAssembler
from flume.control.script import Step
from flume.control.session import Command
from flume.errors import RemoteProtocolError

QUIT = "quit"
KEYS = {
    "k": Command.CONNECT,
    "i": Command.INTERRUPT,
    "c": Command.CONTINUE,
    "d": Command.DISCONNECT,
    "s": Command.STATUS,
    "q": QUIT,
}

Run = Callable[[Command], None]
"""Carries out a command and shows its reply; raises nothing."""


class CommandSource:
    """A thread that gives commands until it is stopped or has no more."""

    def __init__(self, work: Callable[["CommandSource"], None]) -> None:
        """Run *work*, which ends when :attr:`stopping` is set."""
        self.stopping = threading.Event()
        self._wake_out, self._wake_in = os.pipe()
        self._thread = threading.Thread(target=work, args=(self,), name="flume-commands", daemon=True)

    def start(self) -> "CommandSource":
        """Begin."""
        self._thread.start()
        return self

    def stop(self, *, timeout_s: float | None = None) -> None:
        """End the thread; a command that is under way is finished first, within *timeout_s* if that is given."""
        self.stopping.set()
        os.write(self._wake_in, b"x")
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            return
        os.close(self._wake_in)
        os.close(self._wake_out)

    def read(self, descriptor: int) -> bytes | None:
        """Wait for bytes on *descriptor* and return them; empty at its end, ``None`` when stopped."""
        poller = select.poll()
        for readable in (descriptor, self._wake_out):
            poller.register(readable, select.POLLIN)
        ready = {number for number, _ in poller.poll()}
        if self.stopping.is_set() or descriptor not in ready:
            return None
        try:
            return os.read(descriptor, 4096)
        except OSError:  # the terminal was closed
            return b""


def script_source(steps: Sequence[Step], run: Run, done: Callable[[], None]) -> CommandSource:
    """Give the commands of *steps* with the waits between them, then call *done*."""

    def work(source: CommandSource) -> None:
        for step in steps:
            if step.command is None:
                source.stopping.wait(step.wait_s)
            elif not source.stopping.is_set():
                run(step.command)
        if not source.stopping.is_set():
            done()

    return CommandSource(work)


def line_source(descriptor: int, run: Run, done: Callable[[], None], refuse: Callable[[str], None]) -> CommandSource:
    """Give the commands that come on *descriptor*, one a line. ``quit`` calls *done*; the end of input does not."""
    allowed = ", ".join([*Command, QUIT])

    def work(source: CommandSource) -> None:
        lines = LineAssembler()
        while data := source.read(descriptor):
            for line in lines.feed_untrusted(data):
                if isinstance(line, RemoteProtocolError):
                    refuse(str(line))
                    continue
                word = line.decode("utf-8", "replace").strip()
                if word == QUIT:
                    done()
                    return
                if word in set(Command):
                    run(Command(word))
                else:
                    refuse(f"unknown command {word[:80]!r}: send one of {allowed}")

    return CommandSource(work)


def key_source(descriptor: int, run: Run, done: Callable[[], None], *, first: Command) -> CommandSource:
    """Give *first*, then a command for each of :data:`KEYS` pressed; other keys do nothing."""

    def work(source: CommandSource) -> None:
        run(first)
        while data := source.read(descriptor):
            for character in data.decode("utf-8", "replace").lower():
                command = KEYS.get(character)
                if command == QUIT:
                    done()
                    return
                if command is not None:
                    run(Command(command))

    return CommandSource(work)


@contextlib.contextmanager
def single_keys(descriptor: int) -> Iterator[None]:
    """Deliver each key when it is pressed, without an echo; restore the terminal's settings afterwards."""
    if sys.platform == "win32":
        yield
        return
    import termios  # noqa: PLC0415 - absent on Windows
    import tty  # noqa: PLC0415

    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
