"""A client that keeps all that it receives: the payload of each datagram, its time, events, the last ``status``."""

import contextlib
import dataclasses
import json
import select
import time
from collections.abc import Callable
from typing import Self

from support.clients.wire_client import WireClient

TOKEN_S = 1.0
STATUS_S = 0.5


@dataclasses.dataclass
class Recorder:
    """Connect with :meth:`connect`, then call :meth:`run`."""

    port: int
    payloads: list[bytes] = dataclasses.field(default_factory=list)
    times_s: list[float] = dataclasses.field(default_factory=list)
    sequences: list[int] = dataclasses.field(default_factory=list)
    events: list[dict] = dataclasses.field(default_factory=list)
    status: dict = dataclasses.field(default_factory=dict)
    closed: bool = False
    """Whether the server has ended the session or the connection."""
    ended_s: float = 0.0
    pcrs: list[float] = dataclasses.field(default_factory=list)
    """The first PCR and the last one, in seconds."""

    def __enter__(self) -> Self:
        self.client = WireClient(self.port)
        self._lines = b""
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def connect(self) -> Self:
        """Connect, and give consent."""
        self.client.connect()
        self.client.control.setblocking(False)
        self._lines = self.client._buffer
        self._token_s = self._asked_s = time.monotonic()
        return self

    def run(self, *, for_s: float, until: Callable[[Self], bool] | None = None) -> Self:
        """Receive for *for_s*, until the server closes, or until *until* is true."""
        deadline_s = time.monotonic() + for_s
        while (now_s := time.monotonic()) < deadline_s and not self.closed:
            self._keep_up(now_s)
            if until is not None and until(self):
                break
            ready, _, _ = select.select([self.client.media, self.client.control], [], [], 0.1)
            if self.client.media in ready:
                self._take()
            if self.client.control in ready:
                self._read_control()
        self.ended_s = time.monotonic()
        time.sleep(0.02)
        self._take()
        return self

    def _keep_up(self, now_s: float) -> None:
        with contextlib.suppress(OSError):
            if now_s - self._token_s > TOKEN_S:
                self._token_s = now_s
                self.client.send_token()
            if now_s - self._asked_s > STATUS_S:
                self._asked_s = now_s
                self.client.send_raw(b'{"command":"status"}\n')

    def _take(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                try:
                    data = self.client.media.recv(65536)
                except ConnectionRefusedError:
                    return
                self.times_s.append(time.monotonic())
                self.sequences.append(int.from_bytes(data[2:4], "big"))
                self.payloads.append(data[12:])
                self._follow_clock(data)

    def _follow_clock(self, data: bytes) -> None:
        for at in range(12, len(data) - 187, 188):
            if data[at + 3] & 0x20 and data[at + 4] and data[at + 5] & 0x10:
                pcr_s = (int.from_bytes(data[at + 6 : at + 12], "big") >> 15) / 90_000
                self.pcrs = [self.pcrs[0] if self.pcrs else pcr_s, pcr_s]

    @property
    def stream_s(self) -> float:
        """How many seconds of stream have come, by its clock."""
        return self.pcrs[-1] - self.pcrs[0] if self.pcrs else 0.0

    def _read_control(self) -> None:
        try:
            data = self.client.control.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.closed = True
        self._lines += data
        while b"\n" in self._lines:
            line, self._lines = self._lines.split(b"\n", 1)
            message = json.loads(line)
            if message.get("reply") == "status":
                self.status = message["server"]
            elif "event" in message and message["event"] != "alive":
                self.events.append(message)
                self.closed = self.closed or message["event"] == "closed"

    @property
    def data(self) -> bytes:
        """The transport stream."""
        return b"".join(self.payloads)

    @property
    def counts(self) -> dict[str, int]:
        """The server's ``source_counts`` of the last ``status``."""
        return self.status.get("source_counts", {})

    @property
    def gaps(self) -> int:
        """How many datagrams are missing between the first and the last."""
        steps = [(b - a) % 65536 for a, b in zip(self.sequences, self.sequences[1:], strict=False)]
        return sum(step - 1 for step in steps)
