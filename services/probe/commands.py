"""Runs programs, here or in the network namespace of another process, and writes the parts of an answer."""

import subprocess
import sys
from collections.abc import Iterable, Sequence

LINK = "LINK"
"""In a command of a specification: the name of the interface, which only the probe knows."""

_SECTION = "=== flumelab "

Command = Sequence[str]


class ProbeError(Exception):
    """A command or a link is not as it should be; the message is one line."""


def section(subject: str, kind: str, text: str) -> None:
    """Write one part of the answer: a line ``=== flumelab SUBJECT KIND``, then *text*."""
    sys.stdout.write(f"{_SECTION}{subject} {kind}\n{text.rstrip()}\n")


def entered(pid: int) -> list[str]:
    """Return the words before a command that is to run in the network namespace of process *pid*; 0 is our own."""
    return ["nsenter", "--target", str(pid), "--net", "--"] if pid else []


def run(command: Command) -> str:
    """Run *command* and return its output; raises :class:`ProbeError` when it fails."""
    return run_side_by_side([(command, "")])[0]


def run_side_by_side(commands: Iterable[tuple[Command, str]]) -> list[str]:
    """Run (command, standard input) pairs at the same time and return their outputs; raises :class:`ProbeError`."""
    pipe = subprocess.PIPE
    started = [
        (command, text, subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        for command, text in commands
    ]
    outputs = []
    for command, text, process in started:
        output, errors = process.communicate(text)
        if process.returncode:
            reason = f"{' '.join(command)} ended with {process.returncode}: {' '.join(errors.split())}"
            raise ProbeError(f"{reason}; input: {text[:600]}")
        outputs.append(output)
    return outputs


def named(lines: Iterable[Command], interface: str) -> list[list[str]]:
    """Return the tc commands *lines* with *interface* in the place of :data:`LINK`.

    >>> named([["qdisc", "del", "dev", "LINK", "root"]], "veth12")
    [['qdisc', 'del', 'dev', 'veth12', 'root']]
    """
    return [[interface if word == LINK else word for word in line] for line in lines]


def batch(lines: Iterable[Command]) -> str:
    """Return *lines* as the input of ``tc -batch``: one command a line."""
    return "".join(" ".join(line) + "\n" for line in lines)
