"""A command in a container: what becomes of the connection that the engine has handed over."""

import contextlib
import http.client
import socket
import struct
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from flume.lab.containers.container import Container, ExecResult


class HandedOver:
    """The SDK's client, of an engine whose one answer becomes a stream of frames."""

    def __init__(self) -> None:
        ours, engines = socket.socketpair()
        engines.sendall(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\n\r\n" + struct.pack(">BxxxL", 1, 3) + b"hi\n")
        engines.close()
        self.answer = http.client.HTTPResponse(ours)
        self.answer.begin()
        self.socket = ours

    def exec_create(self, *_: object, **__: object) -> dict[str, str]:
        return {"Id": "1"}

    def exec_start(self, _id: str, *, socket: bool) -> Any:
        assert socket
        return SimpleNamespace(_sock=self.socket, _response=SimpleNamespace(raw=SimpleNamespace(_fp=self.answer)))

    def exec_inspect(self, _id: str) -> dict[str, int]:
        return {"ExitCode": 0}


@contextlib.contextmanager
def errors(_what: str) -> Iterator[None]:
    yield


def test_the_answer_of_a_command_closes_without_an_error_after_we_have_closed_its_connection() -> None:
    """Python closes it when it is collected, and from 3.13 on it prints an error that this raises."""
    engine = HandedOver()
    assert Container(engine, errors, "1", "probe").exec(["echo", "hi"]) == ExecResult(0, "hi\n", "")
    assert engine.socket.fileno() == -1
    engine.answer.close()
    assert engine.answer.isclosed()
