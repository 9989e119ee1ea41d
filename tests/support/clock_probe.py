"""Runs ``clock-probe`` here, as the command in the probe's image does, and stands in its way."""

import json
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from support.paths import SERVICES

_START = f"import sys; sys.path.insert(0, {str(SERVICES)!r}); from probe.clock_probe import main; main(sys.argv[1:])"
ANSWER_S = 20


def command(*arguments: object) -> list[str]:
    """The command line of ``clock-probe`` with *arguments*."""
    return [sys.executable, "-IS", "-c", _START, *map(str, arguments)]


def run(*arguments: object, within: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run it to its end, by the words *within* before it."""
    return subprocess.run([*within, *command(*arguments)], capture_output=True, text=True, timeout=60, check=False)


def checked(*words: str) -> None:
    """Run another command, which has to succeed."""
    subprocess.run(words, capture_output=True, timeout=20, check=True)


def answering(*, within: Sequence[str] = (), seconds: int = ANSWER_S) -> tuple[int, str]:
    """Start to answer; return port and cookie."""
    cookie = secrets.token_hex(16)
    started = run("answer", seconds, cookie, within=within)
    assert started.returncode == 0, started.stderr
    return json.loads(started.stdout)["port"], cookie


def asked(address: str, port: int, cookie: str, *, count: int = 100, within: Sequence[str] = ()) -> dict[str, Any]:
    """What ``clock-probe ask`` says."""
    done = run("ask", address, port, count, cookie, within=within)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout)


Change = Callable[[bytes], Sequence[bytes]]


class Detour:
    """Passes datagrams to *there* and answers back, each way with its delay; its sockets belong to the thread's
    namespace."""

    def __init__(
        self, there: tuple[str, int], *, out_s: float = 0.0, back_s: float = 0.0, changed: Change | None = None
    ) -> None:
        """*changed* makes of each answer the datagrams that arrive in its place."""
        self._there, self._delays_s = there, {"out": out_s, "back": back_s}
        self._changed = changed or (lambda data: [data])
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._front.bind(("127.0.0.1", 0))
        self._rear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.port: int = self._front.getsockname()[1]
        self.passed: dict[str, list[int]] = {"out": [], "back": []}
        """The sizes of what passed."""
        self._asker: tuple[str, int] | None = None
        self._ended = threading.Event()

    @contextmanager
    def open(self) -> Iterator["Detour"]:
        """Pass datagrams within the block."""
        threads = [threading.Thread(target=self._pass, args=(way,)) for way in ("out", "back")]
        self._rear.bind(("0.0.0.0", 0))
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()
            self._front.close()
            self._rear.close()

    def _pass(self, way: str) -> None:
        source = self._front if way == "out" else self._rear
        source.settimeout(0.05)
        while not self._ended.is_set():
            try:
                data, sender = source.recvfrom(2048)
            except TimeoutError:
                continue
            self.passed[way].append(len(data))
            time.sleep(self._delays_s[way])
            if way == "out":
                self._asker = sender
                self._rear.sendto(data, self._there)
            elif self._asker is not None:
                for one in self._changed(data):
                    self._front.sendto(one, self._asker)
