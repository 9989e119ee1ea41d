"""An RTSP server that answers as a test wants, and breaks rules where it wants; it sends 200 datagrams a second."""

import contextlib
import socket
import struct
import threading
from collections.abc import Mapping
from typing import Self

from flume.control.rtsp.messages import MessageBuffer, Packet, Request

SDP = b"v=0\r\ns=-\r\nm=audio 0 RTP/AVP 0\r\na=control:sound\r\nm=video 0 RTP/AVP 33\r\na=control:picture\r\n"
SENDER_REPORT = struct.pack("!BBHIIIIII", 0x80, 200, 6, 7, 0, 0, 0, 0, 0)
SESSION = "5f;timeout=60"
PUBLIC = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN"


class ScriptedRtsp:
    """Serves on 127.0.0.1. *answers*: a method's status line, ``None`` for no answer; without an entry it succeeds."""

    def __init__(
        self,
        answers: Mapping[str, str | None] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        sdp: bytes = SDP,
        greeting: bytes = b"",
        over_udp: str = "stream",
        over_tcp: bool = True,
        reports: bool = True,
        skip: int = 0,
        goes_on: bool = False,
        hangs_up: bool = False,
    ) -> None:
        """Have *headers* in each response; *over_udp* is stream, nothing, punch or moved (from another port).

        Every *skip*-th datagram is missing. The server *goes_on* after TEARDOWN, or *hangs_up* after some datagrams.
        """
        self._answers, self._headers, self._sdp, self._greeting = answers or {}, headers or {}, sdp, greeting
        self._over_udp, self._over_tcp, self._reports, self._skip = over_udp, over_tcp, reports, skip
        self._goes_on, self._hangs_up = goes_on, hangs_up
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._media, self._rtcp, self._other = (self._udp_socket() for _ in range(3))
        self._over = threading.Event()
        self._streams: list[threading.Event] = []
        self._threads: list[threading.Thread] = []
        self.requests: list[Request] = []
        """All that came, of all connections."""
        self.connections = 0

    def _udp_socket(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.01)
        return sock

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(20)
        for sock in (self._listener, self._media, self._rtcp, self._other):
            sock.close()

    @property
    def methods(self) -> list[str]:
        """The methods of all requests, in order."""
        return [request.method for request in self.requests]

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        buffer, stopped = MessageBuffer(), threading.Event()
        self._streams.append(stopped)
        transports: list[str] = []
        connection.settimeout(0.05)
        with connection, contextlib.suppress(ConnectionError):
            connection.sendall(self._greeting)
            while not self._over.is_set():
                try:
                    data = connection.recv(65_536)
                except TimeoutError:
                    if stopped.is_set() and self._hangs_up:
                        break
                    continue
                if not data:
                    break
                buffer.append_untrusted(data)
                while isinstance(item := buffer.take_untrusted(), Request | Packet):
                    if isinstance(item, Request):
                        self.requests.append(item)
                        self._answer(connection, item, transports, stopped)
        if not self._goes_on:
            stopped.set()

    def _answer(
        self, connection: socket.socket, request: Request, transports: list[str], stopped: threading.Event
    ) -> None:
        status = self._answers.get(request.method, "200 OK")
        over_tcp = "TCP" in request.headers.get("transport", "")
        if request.method == "SETUP" and over_tcp:
            status = self._answers.get("SETUP over TCP", "200 OK")
        if status is None:
            return
        headers, body = {"CSeq": str(request.cseq), **self._headers}, b""
        if request.method == "OPTIONS":
            headers["Public"] = PUBLIC
        elif request.method == "DESCRIBE":
            body = self._sdp
        elif request.method == "SETUP" and status.startswith("200"):
            transports.append(request.headers["transport"])
            ports = "" if over_tcp else f";server_port={self._media.getsockname()[1]}-{self._rtcp.getsockname()[1]}"
            headers |= {"Session": SESSION, "Transport": request.headers["transport"] + ports}
        elif request.method == "TEARDOWN" and not self._goes_on:
            stopped.set()
        head = [f"RTSP/1.0 {status}", *(f"{name}: {value}" for name, value in headers.items())]
        head += [f"Content-Length: {len(body)}"] if body else []
        connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
        if request.method == "PLAY" and status.startswith("200"):
            self._start(self._stream, connection, transports[-1], stopped)

    def _stream(self, connection: socket.socket, transport: str, stopped: threading.Event) -> None:
        if "TCP" in transport:
            if self._over_tcp:
                self._send(stopped, lambda channel, data: connection.sendall(_packet(channel, data)))
            return
        port = int(transport.partition("client_port=")[2].partition("-")[0])
        if self._over_udp == "nothing":
            return
        while self._over_udp == "punch" and not stopped.is_set():
            with contextlib.suppress(TimeoutError):
                self._media.recv(100)
                break
        sockets = (self._other if self._over_udp == "moved" else self._media, self._rtcp)
        self._send(stopped, lambda channel, data: sockets[channel].sendto(data, ("127.0.0.1", port + channel)))

    def _send(self, stopped: threading.Event, send: object) -> None:
        """Send until *stopped* by ``send(channel, data)``."""
        assert callable(send)
        number = 65_500
        with contextlib.suppress(OSError):
            while not self._over.wait(0.005) and not stopped.is_set():
                number = (number + 1) % 65_536
                if not (self._skip and number % self._skip == 0):
                    send(0, struct.pack("!BBHII", 0x80, 33, number, 0, 7) + bytes(1316))
                if self._reports and number % 20 == 0:
                    send(1, SENDER_REPORT)
                if self._hangs_up and number == 65_530:
                    stopped.set()


def _packet(channel: int, data: bytes) -> bytes:
    return b"$" + bytes([channel]) + len(data).to_bytes(2, "big") + data
