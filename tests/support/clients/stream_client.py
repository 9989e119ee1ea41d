"""A control connection that takes media, which a test reads at its own pace."""

import json
import socket
from collections.abc import Callable

from flume.control.framing import Demultiplexer, Frame
from flume.media import rtp


class StreamClient:
    """A plain control connection that takes media; messages and packets are kept in their order."""

    def __init__(
        self,
        port: int,
        *,
        host: str = "127.0.0.1",
        connection: socket.socket | None = None,
        receive_buffer_bytes: int | None = None,
    ) -> None:
        self.connection = connection or socket.socket()
        if receive_buffer_bytes is not None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.connection.settimeout(5)
        self.connection.connect((host, port))
        self._stream = Demultiplexer()
        self.items: list[dict | int] = []
        """Messages, and the sequence numbers of packets."""
        self.bytes = 0

    def __enter__(self) -> "StreamClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def send(self, *commands: str, **fields: object) -> None:
        lines = [json.dumps({"command": command, **fields}).encode() + b"\n" for command in commands]
        self.connection.sendall(b"".join(lines))

    def read(self, most_bytes: int = 1 << 16) -> None:
        data = self.connection.recv(most_bytes)
        assert data, "the server closed"
        self.bytes += len(data)
        for item in self._stream.feed_untrusted(data):
            if isinstance(item, Frame):
                self.items.append(rtp.parse_untrusted(item.packet).sequence)
            else:
                assert isinstance(item, bytes), item
                self.items.append(json.loads(item))

    def until(self, condition: Callable[[dict], bool], *, most_bytes: int = 1 << 16) -> dict:
        """Read until a message fulfils *condition*, and return it."""
        at = len(self.items)
        while True:
            for item in self.items[at:]:
                if isinstance(item, dict) and condition(item):
                    return item
            at = len(self.items)
            self.read(most_bytes)

    def ask(self, command: str, **fields: object) -> dict:
        self.send(command, **fields)
        return self.until(lambda message: "reply" in message)

    def connect(self) -> dict:
        self.send("connect", transport="tcp")
        return self.until(lambda message: message.get("event") == "active")

    def packets(self) -> list[int]:
        return [item for item in self.items if isinstance(item, int)]

    def read_packets(self, count: int) -> None:
        wanted = len(self.packets()) + count
        while len(self.packets()) < wanted:
            self.read()
