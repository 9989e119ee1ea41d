"""Media on control connections: takes datagrams from the ring and writes them, in frames, where they find room.

Everything here runs on the event loop; the sender thread only says that the ring has more. A frame is given to the
kernel when the one before has gone, and otherwise stays in the ring: no client costs memory, and what a reply has to
wait behind is what the kernel holds, which TCP_NOTSENT_LOWAT keeps short. Nobody waits for a slow connection: it is
passed over and looked at again when it says that it has room.
"""

import asyncio
from collections import Counter
from typing import Protocol

from flume.control.framing import frame_header
from flume.media.ring import DATAGRAM_BYTES, Ring
from flume.settings import PayloadKind

BEHIND_S = 2.0
"""A client this far behind goes on at the next keyframe. A lost segment costs TCP 0.2 to 1 s, which is caught up."""

FRAMES_AT_ONCE = 16
"""Frames in one write, 21 KB: so much a reply may find in front of it beside what the kernel holds."""

WRITES_AT_ONCE = 16
"""Writes to one client before others have the loop."""

UNSENT_BYTES = 16 << 10
"""TCP_NOTSENT_LOWAT: the kernel takes no more while it holds this much that was never sent. What has been sent and is
not acknowledged does not count, so a long way is filled all the same."""

SETTLE_BEAT_S = 0.01

_HEADER = frame_header(DATAGRAM_BYTES)


class Outlet(Protocol):
    """A control connection, as far as media need it."""

    @property
    def is_clear(self) -> bool:
        """Whether it is open and everything written has gone to the kernel."""

    def begin_media(self) -> None:
        """Prepare for media: say by ``on_writable`` when it is clear again, keep the kernel's queue short."""

    def write_media(self, frames: bytes) -> None:
        """Write *frames* behind everything that was written before."""


class StreamRecipient:
    """One delivery window of one client over TCP; what :class:`.roster.Recipient` is over UDP."""

    __slots__ = ("batches", "cursor", "datagrams", "drops", "last_index", "outlet", "payload")

    def __init__(self, outlet: Outlet, *, start: int) -> None:
        """Deliver from index *start* on *outlet*."""
        self.outlet = outlet
        self.payload: PayloadKind = "rtp"
        self.cursor = start
        """Index of the next datagram to write."""
        self.last_index: int | None = None
        """Index of the last datagram written."""
        self.datagrams = 0
        self.batches = 0
        self.drops: Counter[str] = Counter()


class MediaStreams:
    """All clients that receive over TCP."""

    def __init__(self, ring: Ring) -> None:
        """Serve from *ring*, which another thread fills."""
        self._ring = ring
        self._recipients: dict[StreamRecipient, None] = {}  # in the order of joining
        self._block: tuple[int, int, bytes] = (0, 0, b"")
        self.datagrams = 0
        """Frames written, to all clients that ever were."""
        self.drops: Counter[str] = Counter()
        """Datagrams that were passed over, by reason."""

    @property
    def count(self) -> int:
        """How many receive now."""
        return len(self._recipients)

    def add(self, recipient: StreamRecipient) -> None:
        """Frames flow to *recipient* from now on."""
        recipient.outlet.begin_media()
        self._recipients[recipient] = None
        self.pump(recipient)

    def remove(self, recipient: StreamRecipient) -> None:
        """Not one more frame to *recipient*: what is written next comes after its last one."""
        self._recipients.pop(recipient, None)

    def pump_all(self) -> None:
        """Give everybody what there is and what they have room for."""
        for recipient in tuple(self._recipients):
            self.pump(recipient)

    async def settle(self, timeout_s: float) -> None:
        """Return when everybody has been given all that there is, or those left do not take it within *timeout_s*."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + timeout_s
        while any(one.cursor < self._ring.next_index for one in self._recipients) and loop.time() < until_s:
            await asyncio.sleep(SETTLE_BEAT_S)

    def pump(self, recipient: StreamRecipient) -> None:
        """Give *recipient* what there is and what it has room for; nothing once it has been removed."""
        if recipient not in self._recipients:
            return
        ring = self._ring
        for _ in range(WRITES_AT_ONCE):
            if recipient.cursor >= ring.next_index or not recipient.outlet.is_clear:
                return
            self._skip(recipient)
            block = self._framed(recipient.cursor, min(ring.next_index, recipient.cursor + FRAMES_AT_ONCE))
            if block is not None:
                self._write(recipient, *block)
        asyncio.get_running_loop().call_soon(self.pump, recipient)

    def _skip(self, recipient: StreamRecipient) -> None:
        """Let *recipient* go on at the latest keyframe, if it has fallen too far behind."""
        cursor = recipient.cursor
        join = self._ring.join_after(cursor)
        if not self._ring.holds(cursor):
            self._drop(recipient, "overwritten", self._ring.next_index if join is None else join)
        elif join is not None and recipient.last_index is not None and self._ring.behind_s(cursor) > BEHIND_S:
            # Not before its first frame: that one has been announced by its number.
            self._drop(recipient, "tcp_behind", join)

    def _drop(self, recipient: StreamRecipient, reason: str, target: int) -> None:
        recipient.drops[reason] += target - recipient.cursor
        self.drops[reason] += target - recipient.cursor
        recipient.cursor = target

    def _framed(self, start: int, stop: int) -> tuple[int, bytes] | None:
        """Return how many datagrams from *start* on fit in one write, and their frames; clients share one copy.

        ``None`` when they were overwritten meanwhile.
        """
        if self._block[:2] != (start, stop):
            packets = self._ring.copy(start, stop)
            if packets is None:
                return None
            view = memoryview(packets)
            cut = (view[at : at + DATAGRAM_BYTES] for at in range(0, len(view), DATAGRAM_BYTES))
            self._block = (start, stop, b"".join(piece for packet in cut for piece in (_HEADER, packet)))
        frames = self._block[2]
        return len(frames) // (len(_HEADER) + DATAGRAM_BYTES), frames

    def _write(self, recipient: StreamRecipient, count: int, frames: bytes) -> None:
        recipient.outlet.write_media(frames)
        recipient.cursor += count
        if count:
            recipient.last_index = recipient.cursor - 1
            recipient.datagrams += count
            recipient.batches += 1
            self.datagrams += count
