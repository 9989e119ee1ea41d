"""Ctrl-C, SIGTERM and SIGHUP: the first one ends what goes on, and what was begun is cleared away in spite of a second.

::

    1st  KeyboardInterrupt in the main thread: the program clears away
    2nd  one line: clearing away goes on
    3rd  GivenUp: the program names what is left, and ends

An error is cleared away after too. Then the first signal counts as a second one. So does one that comes while a
program clears something away between two steps; that program ends after it.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from flume.errors import LabError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

STATUS = 128 + signal.SIGINT
"""As in a shell: 128 + the signal. 1 would be the verdict FAIL."""

_GIVE_UP = 3


class GivenUp(KeyboardInterrupt):
    """Clearing away was interrupted as well; the message says what is left."""


class _Interrupts:
    """What has come so far. Python calls the method in the main thread, between two of its instructions."""

    def __init__(self) -> None:
        self.count = 0
        self.doing = "clearing away"

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.count == 1:
            raise KeyboardInterrupt
        if self.count >= _GIVE_UP:
            raise GivenUp
        # Not by print: the signal may have come while a line was being printed.
        os.write(2, f"flume: still {self.doing}; once more (Ctrl-C) gives up and leaves the rest\n".encode())


_present = _Interrupts()


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turn the signals into exceptions in the body, as in the module's table; one that is ignored stays ignored."""
    global _present  # noqa: PLW0603 - a process has one handler for each signal
    previous, _present = _present, _Interrupts()
    replaced = {}
    try:
        with contextlib.suppress(ValueError):  # only the main thread may: another one gets no signals either
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                    replaced[number] = signal.signal(number, _present.on_signal)
        yield
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)
        _present = previous


@contextlib.contextmanager
def clearing_away(doing: str, left: Callable[[], Sequence[str]], by_hand: str) -> Iterator[None]:
    """Let the body end in spite of the next signal.

    *doing* says what it does, such as ``removing lab 'x'``. *left* finds out what is left when it was given up, and
    *by_hand* is the command that removes that. Raises :class:`GivenUp` with all of it. Where a program clears away in
    between and goes on, the signal that has come meanwhile is a :class:`KeyboardInterrupt` afterwards, and the next one
    is the first again.
    """
    present = _present
    goes_on = not present.count and sys.exc_info()[0] is None
    present.doing = doing
    present.count = max(present.count, 1)
    try:
        yield
    except GivenUp as error:
        try:
            rest = ", ".join(left()) or "nothing"
        except (LabError, KeyboardInterrupt) as failed:
            rest = f"not known ({failed or 'interrupted'})"
        raise GivenUp(f"gave up {doing}; left: {rest}; to remove it: {by_hand}") from error
    present.doing = "clearing away"
    if goes_on:
        present.count -= 1
        if present.count:
            raise KeyboardInterrupt
