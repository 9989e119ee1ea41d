"""Output that cannot be written ends no program, and the log says so once."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flume.lasting_output import LastingOutput, lasting_output
from support.paths import SERVICES


class Disk(io.StringIO):
    """A stream on a disk that may be full."""

    is_full = False

    def flush(self) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_said_once_and_again_when_it_is_full_again(caplog: pytest.LogCaptureFixture) -> None:
    disk = Disk()
    output = LastingOutput(disk, "standard output")
    for is_full in (False, True, True, False, True):
        disk.is_full = is_full
        assert output.write("a\n") == 2
        output.flush()
    told = "standard output cannot be written: No space left on device; what it does not take is left out"
    assert [record.getMessage() for record in caplog.records] == [told, told]
    assert disk.getvalue() == "a\n" * 5


class Raw(io.RawIOBase):
    """A file that takes :attr:`room` bytes more."""

    def __init__(self) -> None:
        self.room, self.data = 0, b""

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = bytes(data)[: self.room]
        self.room -= len(taken)
        self.data += taken
        return len(taken)


@pytest.mark.parametrize("is_buffered", [True, False], ids=["usual", "PYTHONUNBUFFERED"])
def test_a_line_is_written_whole_or_not_at_all(is_buffered: bool) -> None:
    raw: Any = Raw()
    inner: Any = io.BufferedWriter(raw) if is_buffered else raw
    output = LastingOutput(io.TextIOWrapper(inner, encoding="utf-8"), "standard output")
    for room, text in ((9, "one\n"), (0, "two\nthree\n"), (0, "four\n"), (1, "five\n"), (99, "six\n"), (0, "sev")):
        raw.room += room
        output.write(text)
    output.write("en\n")
    assert raw.data.decode() == "one\ntwo\nthree\nsix\nseven\n", "the room ended within the third line"


def test_a_reader_that_does_not_keep_up_loses_whole_lines() -> None:
    receiving, sending = os.pipe()
    os.set_blocking(sending, False)
    with os.fdopen(sending, "w") as pipe, os.fdopen(receiving, "rb") as reader:
        output = LastingOutput(pipe, "standard output")
        for number in range(20_000):
            output.write(f"{number:09}\n")
        os.set_blocking(sending, True)
        output.give_up()
        pipe.close()
        lines = reader.read().split(b"\n")
    assert lines.pop() == b""
    assert 1000 < len(lines) < 20_000
    assert {len(line) for line in lines} == {9}


def test_a_reader_that_has_closed_its_end_is_not_worth_a_line(caplog: pytest.LogCaptureFixture) -> None:
    receiving, sending = os.pipe()
    os.close(receiving)
    with os.fdopen(sending, "w") as pipe:
        output = LastingOutput(pipe, "standard output")
        output.write("a\n")
        output.flush()
        output.give_up()
    assert caplog.records == []


def test_all_else_is_as_with_the_stream_inside(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout
    with lasting_output():
        assert (sys.stdout.encoding, sys.stdout.isatty()) == (before.encoding, before.isatty())
        print("a")
    assert sys.stdout is before
    assert capsys.readouterr().out == "a\n"


@pytest.mark.parametrize("arguments", ["--version", "--help", "health client /nonexistent"])
def test_an_answer_that_cannot_be_written_is_one_line_and_no_success(arguments: str) -> None:
    command = [sys.executable, "-m", "flume.cli", *arguments.split()]
    environment = {**os.environ, "PYTHONPATH": str(SERVICES)}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment, check=False)
        silent = subprocess.run(command, stdout=full, stderr=full, env=environment, check=False)
    assert done.stderr == "flume: the output cannot be written: No space left on device\n"
    assert (done.returncode, silent.returncode) == (1, 1)


@pytest.mark.parametrize("ending", ["print('the end')", "raise SystemExit(3)"])
def test_a_program_ends_with_its_own_status_though_all_its_output_failed(ending: str) -> None:
    lines = (
        "import logging, sys",
        "from flume.lasting_output import lasting_output",
        "@lasting_output()",
        "def run():",
        "    logging.basicConfig(stream=sys.stderr)",
        "    print('x' * 100_000, flush=True)",
        "    logging.warning('y' * 100_000)",
        f"    {ending}",
        "run()",
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", "\n".join(lines)],
            stdout=full,
            stderr=full,
            env={**os.environ, "PYTHONPATH": str(SERVICES)},
            check=False,
        )
    assert done.returncode == (3 if "3" in ending else 0)
