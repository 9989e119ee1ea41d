"""A client of two plain sockets, so that tests can also break the rules of the protocol."""

import json
import select
import socket
import ssl
import time
from collections.abc import Sequence
from typing import Self

from support.clients.numbers import assert_consecutive


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
        self._left: list[bytes] = []
        """Datagrams of an earlier session that :meth:`receive` has not returned yet."""
        self.proves = True
        """Whether requests to prove the port are answered."""
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
            self._prove_until_control_is_readable(deadline)
            try:
                data = self.control.recv(65536)
            except ConnectionResetError:
                return {}
            if not data:
                return {}
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)

    def is_proof_request(self, data: bytes) -> bool:
        """Whether the server asks by *data* if this port wants the stream."""
        return bool(self.token) and data.startswith(self.token.encode() + b"!")

    def _prove_until_control_is_readable(self, deadline: float) -> None:
        """Answer the requests for proof that head the media socket's queue, as a client does at once."""
        while self.proves and self.media.fileno() >= 0 and (left := deadline - time.monotonic()) > 0:
            if self.media not in _readable((self.control, self.media), left):
                return
            try:
                data = self.media.recv(128, socket.MSG_PEEK)
            except OSError:
                return
            if not self.is_proof_request(data):
                return
            self.media.sendto(self.media.recv(128), self.server)

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

    def connect(self, *, token_every_s: float = 5.0, **fields: object) -> dict:
        """Connect, give consent, and return the ``active`` event, which must come within 5 s."""
        reply = self.ask("connect", **fields)
        assert reply["reply"] == "connect", reply
        self.token = reply["token"]
        # What an earlier session left in the queue would hide the request for proof, which has to be seen at once.
        while self._has_media():
            self._left = self.receive(for_s=0.001)
        until_s = time.monotonic() + 5.0
        while True:
            self.send_token()
            try:
                return self.event("active", timeout_s=token_every_s)
            except TimeoutError:
                if time.monotonic() > until_s:
                    raise

    def _has_media(self) -> bool:
        return bool(_readable((self.media,), 0))

    # -- media ---------------------------------------------------------------------------------------------

    def receive(self, *, for_s: float, at_least: int | None = None) -> list[bytes]:
        """Return the datagrams of the next *for_s* seconds; return sooner when *at_least* have come."""
        deadline = time.monotonic() + for_s
        datagrams, self._left = self._left, []
        while (left := deadline - time.monotonic()) > 0:
            if at_least is not None and len(datagrams) >= at_least:
                break
            if _readable((self.media,), left):
                try:
                    data = self.media.recv(65536)
                except ConnectionRefusedError:
                    continue
                if self.proves and self.is_proof_request(data):
                    self.media.sendto(data, self.server)
                else:
                    datagrams.append(data)
        return datagrams


def _readable(sockets: Sequence[socket.socket], timeout_s: float) -> list[socket.socket]:
    """Wait for one of *sockets*. The bench has a thousand clients, and ``select`` takes no descriptor above 1023."""
    poll = select.poll()
    for each in sockets:
        poll.register(each, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll(timeout_s * 1000)}
    return [each for each in sockets if each.fileno() in ready]


def sequences(datagrams: list[bytes]) -> list[int]:
    """Return the RTP sequence numbers of *datagrams*."""
    return [int.from_bytes(datagram[2:4], "big") for datagram in datagrams]


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
