"""Other people's players at flume's server: RTSP sessions with media over UDP, which report as GStreamer does."""

import contextlib
import socket
import struct
import time
from collections.abc import Sequence
from typing import Self

from bench.clients import left_s, prepare_media
from bench.network import MEDIA_PORT, BenchNetwork
from bench.senders import CONTROL_PORT
from bench.values import BenchError
from support.clients.rtsp_client import RtspClient
from support.namespaces import SERVER_ADDRESS

REPORT_INTERVAL_S = 5.0
"""RFC 3550, section 6.2: as often as the server's."""

_SSRC = 0x464C_554D


def receiver_report(of: int) -> bytes:
    """Return a compound packet with a receiver's report of the stream *of*, and its name.

    >>> receiver_report(7)[:2].hex(), len(receiver_report(7)) % 4
    ('81c9', 0)
    """
    report = struct.pack("!BBHIIIIIII", 0x81, 201, 7, _SSRC, of, 0, 0, 0, 0, 0)
    return report + struct.pack("!BBHIBB", 0x81, 202, 3, _SSRC, 1, 5) + b"bench\0"


class PlayerSessions:
    """Players, each with its own address. Use ``with``: in the block, all play."""

    def __init__(self, network: BenchNetwork, addresses: Sequence[str], *, timeout_s: float) -> None:
        """Connect no player; ``with`` connects them, and all must play within *timeout_s*."""
        self._network, self._addresses, self._timeout_s = network, addresses, timeout_s
        self._stack = contextlib.ExitStack()
        self._reported_s = 0.0
        self._reports: list[tuple[socket.socket, bytes]] = []
        self.clients: list[RtspClient] = []

    def __enter__(self) -> Self:
        deadline_s = time.monotonic() + self._timeout_s
        with self._stack:
            for address in self._addresses:
                self.clients.append(self._join(address, deadline_s))
            self._reported_s = time.monotonic()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def media(self) -> list[socket.socket]:
        """The media sockets, in the order of the addresses."""
        return [client.media for client in self.clients]

    def _join(self, address: str, deadline_s: float) -> RtspClient:
        client = self._stack.enter_context(self._open(address, deadline_s))
        client.ask("OPTIONS")
        client.ask("DESCRIBE", "Accept: application/sdp")
        setup = client.setup(f"RTP/AVP;unicast;client_port={MEDIA_PORT}-{MEDIA_PORT + 1}")
        played = client.ask("PLAY", "Range: npt=0.000-")
        if (setup.status, played.status) != (200, 200):
            raise BenchError(f"the server answered SETUP with {setup.status} and PLAY with {played.status}")
        ssrc = setup.headers["transport"].partition("ssrc=")[2].partition(";")[0]
        self._reports[-1] = self._reports[-1][0], receiver_report(int(ssrc, 16))
        return client

    def _open(self, address: str, deadline_s: float) -> RtspClient:
        with self._network.as_client():
            media, reports = (self._bound(address, MEDIA_PORT + offset) for offset in (0, 1))
        prepare_media(media)
        self._reports.append((reports, b""))
        while True:
            with self._network.as_client():
                connection = socket.socket()
                connection.bind((address, 0))
            try:
                return RtspClient(CONTROL_PORT, host=SERVER_ADDRESS, connection=connection, media=media)
            except ConnectionRefusedError:  # the server is not up yet
                connection.close()
            left_s(deadline_s)
            time.sleep(0.05)

    def _bound(self, address: str, port: int) -> socket.socket:
        sock = self._stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sock.bind((address, port))
        sock.setblocking(False)
        return sock

    def tend(self) -> None:
        """Send the receivers' reports when they are due, and read the server's."""
        if time.monotonic() - self._reported_s < REPORT_INTERVAL_S:
            return
        self._reported_s = time.monotonic()
        for sock, report in self._reports:
            with contextlib.suppress(BlockingIOError):
                while sock.recv(1500):
                    pass
            sock.sendto(report, (SERVER_ADDRESS, CONTROL_PORT + 1))
