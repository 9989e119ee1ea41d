"""A short soak: the server holds, and a server that streams on is found."""

import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest

from bench.process import tree
from soak.measures import Sample
from soak.report import report
from soak.running import PORT, run
from soak.slices import End, Slice, Start
from support.namespaces import SERVER_ADDRESS

pytestmark = pytest.mark.wire


def clear_faults(result: Slice) -> list[str]:
    """Return the faults of a slice, but for those that some seconds on a busy host are too short to show."""
    slow = ("grows", "drifted", "stalled")
    return [fault for fault in report([result]).faults if not any(word in fault for word in slow)]


def test_thirty_clients_with_random_commands_over_lossy_paths_see_no_leak(record_property) -> None:
    result = run(8, clients=30)
    assert clear_faults(result) == []
    assert result.counts["sessions"] >= 30
    assert result.counts["commands"] >= 60
    record_property("measured", f"{result.counts['datagrams']:,} datagrams, 0 leaked")


def test_a_server_that_streams_on_after_an_interrupt_is_found() -> None:
    program = (sys.executable, "-m", "support.servers.broken_server", "keeps_streaming", SERVER_ADDRESS, str(PORT))
    for _ in range(4):  # on a busy computer few commands are carried out in four seconds
        result = run(4, clients=10, program=program)
        if result.counts["leaked"] > 10:
            break
    assert result.counts["leaked"] > 10


def test_ctrl_c_ends_a_slice_and_what_was_seen_is_kept() -> None:
    kept: list[Start | Sample | End] = []

    def keep(line: Start | Sample | End) -> None:
        kept.append(line)
        if isinstance(line, Sample) and line.ahead_ms is not None:  # the watching client has received something
            os.kill(os.getpid(), signal.SIGINT)

    result = run(60, clients=5, keep=keep)
    assert kept == [result.start, *result.samples, result.end]
    assert result.seconds < 60
    assert clear_faults(result) == []


def test_a_server_that_is_killed_is_a_fault_of_its_slice() -> None:
    def kill(line: Start | Sample | End) -> None:
        if isinstance(line, Sample):
            for pid in list(tree(os.getpid()))[1:]:
                with contextlib.suppress(OSError):  # the reader ends when its server does
                    if b"\0serve\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        os.kill(pid, signal.SIGKILL)

    faults = report([run(60, clients=3, keep=kill)]).faults
    assert any("broke off" in fault for fault in faults)
    assert "slice 1: the server ended with status -9" in faults
