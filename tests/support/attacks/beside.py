"""An honest watching client, and newcomers, beside an attack."""

import contextlib
import dataclasses
import json
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence

from flume.client.reception.token_timer import HURRIED_TOKEN_S
from support.clients.numbers import assert_consecutive
from support.clients.stream_client import StreamClient
from support.clients.wire_client import WireClient, sequences
from support.servers.program import ENVIRONMENT, running

JOIN_WITHIN_S = 2.0
"""A newcomer's first datagram must come so soon, whatever happens beside it."""

HOST = "127.0.0.1"


@contextlib.contextmanager
def attack(name: str, port: int, *, for_s: float, count: int) -> Iterator[subprocess.Popen[str]]:
    """Attack the server at *port* in a process of its own, which has begun when the body begins."""
    command = (sys.executable, "-m", "support.attacks.programs", name, HOST, str(port), str(for_s), str(count))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def attacked_server(port: int, *, options: Sequence[str] = (), **settings: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server of a synthetic source with *settings* as a program; the log is in ``said`` afterwards.

    *options* are those of :mod:`support.servers.plain_server`.
    """
    chosen = [word for key, value in settings.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    command = (sys.executable, "-m", "support.servers.plain_server", HOST, str(port), *options, *chosen)
    with running(command, stderr=subprocess.PIPE) as process:
        yield process


@dataclasses.dataclass
class Outcome:
    """What the honest clients saw."""

    datagrams: list[int] = dataclasses.field(default_factory=list)
    """Sequence numbers that the watching client received."""
    joins_s: list[float] = dataclasses.field(default_factory=list)
    """How long each newcomer waited for its first datagram."""
    failures: list[str] = dataclasses.field(default_factory=list)
    longest_silence_s: float = 0.0
    server: dict = dataclasses.field(default_factory=dict)
    """What ``status`` said of the server at the end."""

    def is_well(self, *, at_least: int, slowest_s: float = JOIN_WITHIN_S) -> None:
        """Fail if the watching client lost anything, or newcomers waited too long.

        With a longer *slowest_s* one of them may wait for the CPU of a busy host; half of them must be in time.
        """
        assert len(self.datagrams) >= at_least
        assert_consecutive(self.datagrams)
        assert not self.failures, self.failures
        assert self.joins_s
        assert statistics.median(self.joins_s) < JOIN_WITHIN_S, self.joins_s
        assert max(self.joins_s) < slowest_s, self.joins_s


class Honest:
    """A client that watches from the beginning of the block on, and newcomers every half second while it runs."""

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None) -> None:
        self._port, self._tls = port, tls
        self.outcome = Outcome()
        self._watching = WireClient(port, tls=tls)
        self._stop = threading.Event()
        self._newcomers = threading.Thread(target=self._join_again_and_again)

    def __enter__(self) -> "Honest":
        self._watching.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._newcomers.is_alive():
            self._newcomers.join(20)
        self._watching.close()

    def watch(self, *, for_s: float) -> Outcome:
        """Watch for *for_s* while newcomers join and leave; return what came of it."""
        self._newcomers.start()
        until_s, token_s, last_s = time.monotonic() + for_s, 0.0, time.monotonic()
        while (now_s := time.monotonic()) < until_s:
            if now_s - token_s > 1.0:
                token_s = now_s
                self._watching.send_token()
            came = sequences(self._watching.receive(for_s=0.05, at_least=1))
            if came:
                self.outcome.longest_silence_s = max(self.outcome.longest_silence_s, time.monotonic() - last_s)
                last_s = time.monotonic()
            self.outcome.datagrams += came
        self._stop.set()
        self._newcomers.join(20)
        self.outcome.server = self._watching.ask("status")["server"]
        return self.outcome

    def _join_again_and_again(self) -> None:
        while not self._stop.wait(0.4):
            began_s = time.monotonic()
            try:
                with WireClient(self._port, source="127.0.0.2", tls=self._tls) as client:
                    client.connect(token_every_s=HURRIED_TOKEN_S)
                    client.receive(for_s=5, at_least=1)
                    self.outcome.joins_s.append(time.monotonic() - began_s)
            except (OSError, AssertionError) as error:
                self.outcome.failures.append(f"after {time.monotonic() - began_s:.1f} s: {error!r}")


def wait_until_counted(port: int, reason: str, *, tls: ssl.SSLContext | None = None) -> None:
    """Return when the server has refused something for *reason*: on a busy host an attacker takes its time."""
    with WireClient(port, source="127.0.0.2", tls=tls) as client:
        until_s = time.monotonic() + 60
        while reason not in client.ask("status")["server"]["refused"]:
            assert time.monotonic() < until_s, f"nothing was refused for {reason}"
            time.sleep(0.2)


@contextlib.contextmanager
def watching_over_tcp(port: int, *, tls: ssl.SSLContext | None = None) -> Iterator[StreamClient]:
    """Watch over TCP in the body; the client has all that came after it, and fails if a packet is missing."""
    connection = socket.socket()
    if tls is not None:
        connection = tls.wrap_socket(connection, server_hostname=HOST)
    stop = threading.Event()
    with StreamClient(port, host=HOST, connection=connection) as client:

        def read() -> None:
            while not stop.is_set():
                client.read()

        client.connect()
        reading = threading.Thread(target=read)
        reading.start()
        try:
            yield client
        finally:
            stop.set()
            reading.join(20)
    assert_consecutive(client.packets())
