"""Lines are read whole from the engine's frames, wherever these were cut."""

import errno
import os
import queue
import socket
import struct
import threading
from typing import BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.errors import EngineError
from flume.lab.containers.attached import AttachedIo, LineSplitter
from flume.lab.machine.process import wait_until


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"))), st.lists(st.integers(1, 40)))
def test_lines_survive_any_cut(lines: list[str], cuts: list[int]) -> None:
    """Pieces give the same lines as the whole."""
    data = "".join(f"{line}\n" for line in lines).encode()
    splitter = LineSplitter()
    seen: list[str] = []
    for cut in cuts:
        seen += splitter.feed(data[:cut])
        data = data[cut:]
    seen += splitter.feed(data)
    assert seen == lines
    assert list(splitter.end()) == []


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    """It is passed on in pieces."""
    splitter = LineSplitter()
    lines = [line for _ in range(40) for line in splitter.feed(bytes(64 * 1024))]
    assert lines
    assert len("".join(splitter.end())) <= 1 << 20


class _Ends:
    """Both ends of an attachment: the engine's socket and our side."""

    def __init__(self, *, input_only: bool = False) -> None:
        ours, self.engine = socket.socketpair()
        self.out: queue.Queue[str] = queue.Queue()
        self.err: queue.Queue[str] = queue.Queue()
        self.reader = ours.makefile("rb")
        self.io = AttachedIo("box", ours, self.reader, self.out.put, self.err.put, input_only=input_only)

    def close(self) -> None:
        self.io.close()
        self.reader.close()
        self.engine.close()


def _frame(kind: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", kind, len(data)) + data


def test_frames_are_told_apart_and_commands_go_in() -> None:
    """stdout and stderr go to separate callbacks, and a command arrives as a line."""
    ends = _Ends()
    ends.engine.sendall(_frame(1, b'{"event":') + _frame(2, b"warning\n") + _frame(1, b'"state"}\nrest'))
    assert ends.out.get(timeout=5) == '{"event":"state"}'
    assert ends.err.get(timeout=5) == "warning"
    ends.io.write_line("interrupt")
    assert ends.engine.recv(100) == b"interrupt\n"
    ends.engine.shutdown(socket.SHUT_WR)
    assert ends.out.get(timeout=5) == "rest"
    ends.close()
    assert ends.io.ended


def test_writing_to_a_container_that_is_gone_names_it() -> None:
    """It is one clear error, not a broken pipe."""
    ends = _Ends()
    ends.engine.close()
    with pytest.raises(EngineError, match="box no longer takes input"):
        ends.io.write_line("status")
    ends.close()


def test_the_last_line_is_passed_on_before_both_directions_end() -> None:
    """Where only input was asked for, the engine ends the attachment, when it has read all of it."""
    ends = _Ends(input_only=True)
    ends.io.write_line("interrupt")
    closing = threading.Thread(target=ends.io.close)
    closing.start()
    assert ends.engine.recv(100) == b"interrupt\n"
    assert ends.engine.recv(100) == b"", "no more input"
    closing.join(timeout=0.2)
    assert closing.is_alive(), "it waits for the engine"
    ends.engine.shutdown(socket.SHUT_WR)
    closing.join(timeout=2)
    assert not closing.is_alive()
    ends.close()


class _LostHost:
    """The output of a container on a host that is lost after its first line: the kernel gives the connection up."""

    def __init__(self, error: int) -> None:
        self._rest, self._error = b"\x01\0\0\0\0\0\0\x06hello\n", error

    def read(self, size: int) -> bytes:
        if not self._rest:
            raise OSError(self._error, os.strerror(self._error))
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def __enter__(self) -> "_LostHost":
        return self

    def __exit__(self, *_exc_info: object) -> None:
        pass


@pytest.mark.parametrize("error", [errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ECONNRESET])
def test_a_host_that_is_lost_ends_the_output(error: int) -> None:
    ours, theirs = socket.socketpair()
    lines: list[str] = []
    with AttachedIo("c1", ours, cast("BinaryIO", _LostHost(error)), lines.append, lines.append) as attached:
        assert wait_until(lambda: attached.ended, timeout_s=10)
    theirs.close()
    assert lines == ["hello"]
