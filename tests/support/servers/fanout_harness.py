"""A fan-out that a test ticks by hand, over real sockets on loopback and a supply that the test fills."""

import contextlib
import socket
from collections.abc import Callable

from flume.linux import SO_RCVBUFFORCE
from flume.media import rtp
from flume.media.datagrams import PAYLOAD_BYTES, Datagram
from flume.media.ring import DATAGRAM_BYTES, DEFAULT_SLOTS, Ring
from flume.server.sending.fanout import Fanout
from flume.server.sending.group_sender import GroupSender, SendLoop
from flume.server.sending.media_port import enable_segmentation, wire_size
from flume.server.sending.roster import CurrentRoster, Recipient
from flume.settings import ServerSettings

RATE = 400.0  # datagrams a second: 4 Mbit/s


class Supply:
    """Datagrams at a constant rate, a keyframe a second, numbered in their first bytes."""

    def __init__(self, seconds: float) -> None:
        self.epoch = 0
        self.ended: str | None = None
        self.failed = False
        self._queue = [
            Datagram(index.to_bytes(4, "big") + bytes(PAYLOAD_BYTES - 4), index / RATE, index % RATE == 0)
            for index in range(int(seconds * RATE))
        ]

    def take(self, until_s: float) -> list[Datagram]:
        taken = [datagram for datagram in self._queue if datagram.due_s <= until_s]
        self._queue = self._queue[len(taken) :]
        return taken

    is_paced = True
    prebuffer_s = 0.0

    def head_s(self) -> float | None:
        return self._queue[0].due_s if self._queue else None

    def lead_s(self) -> float:
        return self._queue[-1].due_s - self._queue[0].due_s if self._queue else 0.0


class ArrivingSupply(Supply):
    """Not paced: datagrams are due when they have come, as those of a relay are."""

    is_paced = False

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.arrived_s = 0.0
        """Datagrams before this stream time have come."""

    def take(self, until_s: float) -> list[Datagram]:
        return super().take(min(until_s, self.arrived_s))

    def head_s(self) -> float | None:
        head_s = super().head_s()
        return None if head_s is None or head_s > self.arrived_s else head_s


class Listener:
    def __init__(self) -> None:
        self.epochs_done: list[int] = []
        self.refused: list[Recipient] = []

    def on_readers_done(self, epoch: int) -> None:
        self.epochs_done.append(epoch)

    def on_refused(self, recipient: Recipient) -> None:
        self.refused.append(recipient)

    def on_appended(self) -> None:
        raise AssertionError("nothing receives over TCP here")

    def on_source_ended(self, reason: str) -> None:
        raise AssertionError(reason)

    def on_sender_ended(self, error: Exception | None) -> None:
        raise AssertionError(error)


BUFFER_BYTES = 8 << 20


class ReceivingSocket(socket.socket):
    """A client's socket, read after each tick, because its buffer holds less than a test sends.

    8 MiB need CAP_NET_ADMIN; without it the kernel gives what ``net.core.rmem_max`` allows.
    """

    def __init__(self) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_DGRAM)
        self.datagrams: list[bytes] = []
        try:
            self.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        except PermissionError:
            self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self.bind(("127.0.0.1", 0))
        self.setblocking(False)

    def drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self.fileno() >= 0:
                self.datagrams.append(self.recv(65536))


class FanoutHarness:
    """A fan-out that the test ticks by hand, and clients that are sockets."""

    def __init__(
        self,
        *,
        seconds: float = 5.0,
        make_sender: Callable[[], GroupSender] = SendLoop,
        slots: int = DEFAULT_SLOTS,
        settings: ServerSettings | None = None,
        supply: Supply | None = None,
    ) -> None:
        self.ring = Ring(ssrc=1, first_sequence=0, slots=slots)
        self.current = CurrentRoster()
        self.listener = Listener()
        self.settings = settings or ServerSettings()
        self.fanout = Fanout(
            self.ring,
            self.current,
            supply or Supply(seconds),
            self.listener,
            settings=self.settings,
            make_sender=make_sender,
        )
        self.now_s = 1000.0
        self.sockets: list[socket.socket] = []

    def client(self, *, payload="rtp", segmentation=True, start=None) -> tuple[Recipient, ReceivingSocket]:
        receiver = ReceivingSocket()
        media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        media.setblocking(False)
        media.connect(receiver.getsockname())
        self.sockets += [receiver, media]
        if segmentation:
            assert enable_segmentation(media, wire_size(payload, 7))
        begin = self.ring.start_after(None) if start is None else start
        recipient = Recipient(media, payload=payload, start=begin, segmentation=segmentation)
        self.current.add(recipient)
        return recipient, receiver

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 1000 / self.settings.tick_ms)):
            self.tick()
            self.now_s += self.settings.tick_ms / 1000

    def tick(self) -> None:
        self.fanout.tick(self.current.roster, self.now_s)
        for item in self.sockets:
            if isinstance(item, ReceivingSocket):
                item.drain()

    def close(self) -> None:
        self.fanout._delivery.close()
        for item in self.sockets:
            item.close()


def received(receiver: ReceivingSocket) -> list[bytes]:
    """Return what came since the last call."""
    receiver.drain()
    datagrams, receiver.datagrams = receiver.datagrams, []
    return datagrams


def numbers(datagrams: list[bytes]) -> list[int]:
    assert all(len(datagram) == DATAGRAM_BYTES for datagram in datagrams)
    return [int.from_bytes(rtp.parse_untrusted(datagram).payload[:4], "big") for datagram in datagrams]
