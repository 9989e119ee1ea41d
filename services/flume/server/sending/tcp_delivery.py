"""Media on control connections: takes datagrams from the ring and writes them as frames to connections with room.

Everything here runs on the event loop; the sender thread only reports that the ring has more. A frame is given to the
kernel when the frame before it has gone; until then it stays in the ring. So no client costs memory, and a reply waits
only behind the bytes that the kernel holds, which TCP_NOTSENT_LOWAT keeps few. A slow connection is passed over, and
served again when it reports that it has room. A client that begins in the past is paced (:mod:`.tcp_pacing`).
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from flume.media.ring import Ring
from flume.server.limits.admission import host_of
from flume.server.sending.tcp_pacing import TcpPacing
from flume.settings import PayloadKind

BEHIND_S = 2.0
"""A client this far behind continues at the next keyframe. A lost segment costs TCP 0.2 to 1 s: that is made up for."""

FRAMES_AT_ONCE = 16
"""Frames in one write, 21 KB: a reply may wait behind so much, besides what the kernel holds."""

WRITES_AT_ONCE = 16
"""Writes to one client before the event loop serves other clients."""

UNSENT_BYTES = 16 << 10
"""TCP_NOTSENT_LOWAT: the kernel takes no more while it holds this much that was never sent. Bytes that were sent and
not yet acknowledged do not count, so a path with a long delay is filled all the same."""

DRAIN_POLL_S = 0.01


class FrameSink(Protocol):
    """A control connection, as far as media need it."""

    @property
    def peer_host(self) -> str:
        """The address of its client."""

    @property
    def frame_header(self) -> bytes:
        """What the dialect of this connection puts before each packet of a datagram's size."""

    @property
    def is_clear(self) -> bool:
        """Whether it is open and all bytes written to it have gone to the kernel."""

    def begin_media(self) -> None:
        """Prepare for media: report by ``on_writable`` when it is clear again, keep the kernel's queue short."""

    def write_media(self, frames: bytes) -> None:
        """Write *frames* behind all that was written before."""


class TcpRecipient:
    """One delivery window of one client over TCP; the counterpart of :class:`.roster.Recipient`."""

    __slots__ = (
        "allowed",
        "batches",
        "cursor",
        "datagrams",
        "drops",
        "header",
        "last_index",
        "payer",
        "payload",
        "sink",
    )

    def __init__(self, sink: FrameSink, *, start: int) -> None:
        """Deliver from ring index *start* to *sink*."""
        self.sink = sink
        self.header = sink.frame_header
        self.payer = host_of(sink.peer_host)
        """Whose budget is charged for what it gets of the past."""
        self.payload: PayloadKind = "rtp"
        self.cursor = start
        """Index of the next datagram to write."""
        self.allowed = start
        """Index before which datagrams may be written now."""
        self.last_index: int | None = None
        """Index of the last datagram written."""
        self.datagrams = 0
        self.batches = 0
        self.drops: Counter[str] = Counter()


class TcpDelivery:
    """All clients that receive over TCP."""

    def __init__(self, ring: Ring, pacing: TcpPacing, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Serve from *ring*, which another thread fills, as far as *pacing* allows."""
        self._ring = ring
        self._clock = clock
        self._pacing = pacing
        self._round: asyncio.TimerHandle | None = None
        """The next round of pacing, while a client lags: a slow stream reports nothing for a while."""
        self._recipients: dict[TcpRecipient, None] = {}  # in the order of joining
        self._blocks: dict[bytes, tuple[int, int, bytes]] = {}
        """The latest frames by their header: indices from and to, and the bytes."""
        self.datagrams = 0
        """Frames written since the start, to all clients, past ones included."""
        self.drops: Counter[str] = Counter()
        """Datagrams that were passed over, by reason."""

    @property
    def count(self) -> int:
        """How many clients receive now."""
        return len(self._recipients)

    def add(self, recipient: TcpRecipient) -> None:
        """Write frames to *recipient* from now on."""
        recipient.sink.begin_media()
        is_first = not self._recipients
        self._recipients[recipient] = None
        self._pacing.begin(recipient, self._clock(), is_first=is_first)
        self.pump(recipient)
        if recipient.allowed < self._ring.next_index:
            self._plan_round()

    def remove(self, recipient: TcpRecipient) -> None:
        """Write no more frames to *recipient*: the next bytes on its connection come after its last frame."""
        self._recipients.pop(recipient, None)
        if all(other.header != recipient.header for other in self._recipients):
            self._blocks.pop(recipient.header, None)

    def pump_all(self) -> None:
        """Write to every recipient what is due to it and its connection has room for."""
        one_lags = self._pacing.advance(self._recipients, self._clock())
        for recipient in tuple(self._recipients):
            self.pump(recipient)
        if one_lags:
            self._plan_round()

    def _plan_round(self) -> None:
        if self._round is None:
            self._round = asyncio.get_running_loop().call_later(self._pacing.tick_s, self._begin_round)

    def _begin_round(self) -> None:
        self._round = None
        self.pump_all()

    async def drain(self, timeout_s: float) -> None:
        """Return when every recipient has been given all that the ring has, after *timeout_s* at the latest.

        Nothing more comes into the ring, so no recipient is paced any more.
        """
        loop = asyncio.get_running_loop()
        self._pacing.release(self._recipients)
        self.pump_all()
        until_s = loop.time() + timeout_s
        while any(one.cursor < self._ring.next_index for one in self._recipients) and loop.time() < until_s:
            await asyncio.sleep(DRAIN_POLL_S)

    def pump(self, recipient: TcpRecipient) -> None:
        """Write to *recipient* what is due to it and its connection has room for; nothing after its removal."""
        if recipient not in self._recipients:
            return
        ring = self._ring
        for _ in range(WRITES_AT_ONCE):
            if recipient.cursor >= recipient.allowed or not recipient.sink.is_clear:
                return
            self._skip(recipient)
            stop = min(ring.next_index, recipient.allowed, recipient.cursor + FRAMES_AT_ONCE)
            block = self._framed(recipient.header, recipient.cursor, stop)
            if block is not None:
                self._write(recipient, *block)
        asyncio.get_running_loop().call_soon(self.pump, recipient)

    def _skip(self, recipient: TcpRecipient) -> None:
        """Continue *recipient* at the latest keyframe, if its connection has fallen too far behind."""
        cursor, ring = recipient.cursor, self._ring
        join = ring.join_after(cursor)
        if not ring.holds(cursor):
            self._drop(recipient, "overwritten", ring.next_index if join is None else join)
        elif join is not None and recipient.last_index is not None:
            # Not before its first frame: the client has been told that frame's sequence number.
            due_s = ring.behind_s(recipient.allowed - 1)  # a client that is paced lags because of the pace
            if ring.behind_s(cursor) - due_s > BEHIND_S:
                self._drop(recipient, "tcp_behind", join)

    def _drop(self, recipient: TcpRecipient, reason: str, target: int) -> None:
        recipient.drops[reason] += target - recipient.cursor
        self.drops[reason] += target - recipient.cursor
        recipient.cursor = target
        recipient.allowed = max(recipient.allowed, target)

    def _framed(self, header: bytes, start: int, stop: int) -> tuple[int, bytes] | None:
        """Return how many datagrams from *start* on fit in one write, and their frames; clients share one copy.

        ``None`` when the sender thread has overwritten them meanwhile.
        """
        block = self._blocks.get(header)
        if block is None or block[:2] != (start, stop):
            packets = self._ring.copy(start, stop)
            if packets is None:
                return None
            view = memoryview(packets)
            size = self._ring.datagram_bytes
            cut = (view[at : at + size] for at in range(0, len(view), size))
            block = self._blocks[header] = (
                start,
                stop,
                b"".join(piece for packet in cut for piece in (header, packet)),
            )
        frames = block[2]
        return len(frames) // (len(header) + self._ring.datagram_bytes), frames

    def _write(self, recipient: TcpRecipient, count: int, frames: bytes) -> None:
        recipient.sink.write_media(frames)
        recipient.cursor += count
        if count:
            recipient.last_index = recipient.cursor - 1
            recipient.datagrams += count
            recipient.batches += 1
            self.datagrams += count
