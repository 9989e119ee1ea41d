"""A server that says what a test wants, and fails the test when the client sends what was not foreseen."""

import contextlib
import socket
import threading

from flume.control import messages
from flume.control.codec import encode, parse_request_untrusted
from flume.control.session import State
from flume.media import rtp

SSRC = 0x1234_5678
TOKEN = "00112233445566778899aabbccddeeff"


class FakeServer:
    """One client on 127.0.0.1. Commands are answered in form; datagrams leave when :meth:`send` is called."""

    def __init__(self, *, port: int = 0, silent: bool = False, reply_to_connect: bytes | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self.media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.media.bind(("127.0.0.1", self.port))
        self.media.settimeout(0.2)
        self._silent, self._reply_to_connect = silent, reply_to_connect
        self._control: socket.socket | None = None
        self.client: tuple[str, int] | None = None
        self.tokens: list[bytes] = []
        self.commands: list[str] = []
        self.surprises: list[str] = []
        self.state = State.CLOSED
        self.next_sequence = 65_530
        self.sent_in_window = 0
        self.token_interval_ms = 200
        self._closing = False
        self._threads = [threading.Thread(target=self._serve), threading.Thread(target=self._hear)]

    def __enter__(self) -> "FakeServer":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self.hang_up()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)
        self.media.close()
        assert self.surprises == []

    def hang_up(self) -> None:
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.shutdown(socket.SHUT_RDWR)

    def say(self, message: messages.Reply | messages.Event) -> None:
        assert self._control is not None
        self._control.sendall(encode(message))

    def send(self, count: int = 1, *, skip: int = 0, ssrc: int = SSRC) -> None:
        """Send *count* datagrams after losing *skip*."""
        assert self.client is not None
        self.next_sequence += skip
        for _ in range(count):
            header = bytearray(rtp.HEADER_BYTES)
            rtp.pack_header_into(header, 0, sequence=self.next_sequence, timestamp=self.next_sequence * 300, ssrc=ssrc)
            payload = self.next_sequence.to_bytes(4, "big").ljust(1316, b"\xff")
            self.media.sendto(bytes(header) + payload, self.client)
            self.next_sequence += 1
        self.sent_in_window += count

    def _serve(self) -> None:
        while not self._closing:
            try:
                self._control, _ = self._listener.accept()
            except OSError:
                return
            with self._control, self._control.makefile("rb") as lines, contextlib.suppress(OSError):
                for line in lines:
                    request = parse_request_untrusted(line)
                    assert not isinstance(request, messages.Login)
                    self._answer(request)
            self.state = State.CLOSED

    def _answer(self, request: messages.Request) -> None:
        self.commands.append(str(request.command))
        if self._silent:
            return
        last = (self.next_sequence - 1) % 65536
        match request:
            case messages.Connect():
                if self._reply_to_connect is not None:
                    assert self._control is not None
                    self._control.sendall(self._reply_to_connect)
                    return
                self.state = State.CONNECTING
                self.say(
                    messages.Connected(
                        state=self.state,
                        token=TOKEN,
                        port=self.port,
                        payload=request.payload,
                        ssrc=SSRC,
                        token_interval_ms=self.token_interval_ms,
                        consent_timeout_ms=1000,
                    )
                )
            case messages.Interrupt():
                self.state = State.INTERRUPTED
                self.say(messages.Interrupted(state=self.state, last_sequence=last, datagrams=self.sent_in_window))
            case messages.Continue() if self.state is not State.INTERRUPTED:
                code = "not_allowed_now"
                self.say(messages.Refused(state=self.state, command="continue", code=code, message="not now"))
            case messages.Continue():
                self.state, self.sent_in_window = State.ACTIVE, 0
                self.say(messages.Continued(state=self.state, first_sequence=self.next_sequence % 65536))
            case messages.StatusQuery():
                self.say(
                    messages.Status(
                        state=self.state,
                        session=messages.ClientCounters(datagrams=self.sent_in_window),
                        server=messages.ServerStatus(
                            uptime_s=1.0,
                            source="fake",
                            ingest="running",
                            sessions=1,
                            active=1,
                            datagrams=0,
                            segmentation=False,
                        ),
                    )
                )
            case messages.Disconnect():
                self.state = State.CLOSED
                self.say(messages.Disconnected(state=self.state, last_sequence=last, datagrams=self.sent_in_window))
            case _:
                self.surprises.append(f"not modelled: {request}")

    def _hear(self) -> None:
        while not self._closing:
            try:
                data, self.client = self.media.recvfrom(2048)
            except TimeoutError:
                continue
            except OSError:
                return
            self.tokens.append(data)
            if data != TOKEN.encode():
                self.surprises.append(f"not the token: {data!r}")
            if self.state is State.CONNECTING:
                self.sent_in_window = 0
                first, (host, port) = self.next_sequence % 65536, self.client
                self.say(messages.Active(state=State.ACTIVE, address=host, port=port, first_sequence=first))
                self.state = State.ACTIVE  # after the message: whatever a test sends next must come after it
