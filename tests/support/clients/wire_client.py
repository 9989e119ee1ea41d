"""A client of two plain sockets, so that tests can also break the rules of the protocol."""

import itertools
import json
import select
import socket
import ssl
import time
from typing import Self


class WireClient:
    """Speaks to *host*, 127.0.0.1 by default; close it, or use ``with``."""

    def __init__(
        self, port: int, *, host: str = "127.0.0.1", source: str = "", tls: ssl.SSLContext | None = None
    ) -> None:
        self.server = (host, port)
        self.control = socket.create_connection(self.server, timeout=5, source_address=(source, 0) if source else None)
        if tls is not None:
            self.control = tls.wrap_socket(self.control, server_hostname=host)
        self._source = source
        self.media = self.new_media()
        self._buffer = b""
        self.token = ""
        self.events: list[dict] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def new_media(self) -> socket.socket:
        """Return another media socket of this host; the caller closes it, or replaces the first one by it."""
        media = socket.socket(self.control.family, socket.SOCK_DGRAM)
        media.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        media.bind((self._source, 0))
        media.setblocking(False)
        return media

    def close(self) -> None:
        self.control.close()
        self.media.close()

    # -- control -------------------------------------------------------------------------------------------

    def send_raw(self, data: bytes) -> None:
        self.control.sendall(data)

    def line(self, *, timeout_s: float = 5.0) -> dict:
        """Return the next line as it is; ``{}`` once the server has closed."""
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._buffer:
            self.control.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self.control.recv(65536)
            except ConnectionResetError:
                return {}
            if not data:
                return {}
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)

    def reply(self, *, timeout_s: float = 5.0) -> dict:
        """Return the next reply; events that come before it are kept in :attr:`events`."""
        while "event" in (line := self.line(timeout_s=timeout_s)):
            self.events.append(line)
        return line

    def event(self, name: str, *, timeout_s: float = 5.0) -> dict:
        """Return the next event *name*, received before or still to come."""
        while True:
            for index, event in enumerate(self.events):
                if event["event"] == name:
                    return self.events.pop(index)
            line = self.line(timeout_s=timeout_s)
            assert line, f"the server closed without the event {name}"
            assert "event" in line, line
            self.events.append(line)

    def ask(self, command: str, **fields: object) -> dict:
        """Send *command* and return its reply."""
        self.send_raw(json.dumps({"command": command, **fields}).encode() + b"\n")
        return self.reply()

    def ask_or_be_refused(self) -> dict:
        """Ask to connect; return the reply, or the event by which the server turns the client away."""
        self.send_raw(b'{"command":"connect"}\n')
        return self.line()

    def send_token(self) -> None:
        self.media.sendto(self.token.encode(), self.server)

    def connect(self, **fields: object) -> dict:
        """Connect, give consent, and return the ``active`` event."""
        reply = self.ask("connect", **fields)
        assert reply["reply"] == "connect", reply
        self.token = reply["token"]
        self.send_token()
        return self.event("active")

    # -- media ---------------------------------------------------------------------------------------------

    def receive(self, *, for_s: float, at_least: int | None = None) -> list[bytes]:
        """Return the datagrams of the next *for_s* seconds; return sooner when *at_least* have come."""
        deadline = time.monotonic() + for_s
        datagrams: list[bytes] = []
        while (left := deadline - time.monotonic()) > 0:
            if at_least is not None and len(datagrams) >= at_least:
                break
            if select.select([self.media], [], [], left)[0]:
                try:
                    datagrams.append(self.media.recv(65536))
                except ConnectionRefusedError:
                    continue
        return datagrams


def sequences(datagrams: list[bytes]) -> list[int]:
    """Return the RTP sequence numbers of *datagrams*."""
    return [int.from_bytes(datagram[2:4], "big") for datagram in datagrams]


def assert_consecutive(numbers: list[int]) -> None:
    """Fail unless each of *numbers* follows the one before, modulo 2^16."""
    steps = {(second - first) % 65536 for first, second in itertools.pairwise(numbers)}
    assert steps <= {1}, steps


def loses_nothing(client: WireClient, *, at_least: int = 20) -> None:
    client.send_token()
    numbers = sequences(client.receive(for_s=0.3))
    assert len(numbers) > at_least
    assert_consecutive(numbers)


def the_rest(client: WireClient) -> list[bytes]:
    """Read the socket until no datagram has arrived for 0.1 s, so that a slow host makes no difference."""
    datagrams: list[bytes] = []
    while more := client.receive(for_s=0.1):
        datagrams += more
    return datagrams
