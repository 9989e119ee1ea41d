"""The sender: one thread, one tick, one snapshot of the roster, no lock.

A tick takes the datagrams that have come due by the stream's own clock, appends them to the ring, and sends
each client what it lacks: a client at the live edge gets the same bytes as all the others, a joining one gets
the datagrams since the last keyframe at a small multiple of the stream's rate until it has caught up.

With UDP segmentation a send carries up to a batch; a refusal by the kernel or device falls back to single
datagrams for that client alone, and is counted.
"""

import errno
import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import msgspec

from flume.media.packetizer import Datagram
from flume.media.ring import DATAGRAM_BYTES, Ring, strip_headers
from flume.server.media_port import datagram_bytes, disable_segmentation
from flume.server.media_stream import StreamRecipient
from flume.server.roster import Recipient, Roster, RosterBoard
from flume.settings import ServerSettings

STALL_S = 0.25
"""A source this late is not caught up with in a burst: the clock is moved instead, and the stall counted."""

LIVE_PREBUFFER_S = 0.3
"""libvlc hands live streams over in bursts of 250 ms: begin only when more than one is at hand."""

SEGMENTATION_REFUSALS = frozenset({errno.EINVAL, errno.EMSGSIZE, errno.EIO})
"""What kernels and devices answer to a batch they cannot cut: too many, over the MTU, no checksum offload."""

_log = logging.getLogger(__name__)


class DatagramSupply(Protocol):
    """What the sender needs of the ingest."""

    restarts: int
    ended: str | None
    failed: bool

    def take(self, until_s: float) -> list[Datagram]:
        """Return the datagrams due up to *until_s*."""

    def head_s(self) -> float | None:
        """Return the stream time of the next datagram."""

    def lead_s(self) -> float:
        """Return the seconds of stream at hand."""


class FanoutListener(Protocol):
    """Whom the sender tells, from its own thread."""

    def on_settled(self, generation: int) -> None:
        """No roster older than *generation* is in use any more."""

    def on_appended(self) -> None:
        """The ring has more for those who receive over TCP; at most once a tick, and only while there are any."""

    def on_refused(self, recipient: Recipient) -> None:
        """The client's host answered ICMP port unreachable."""

    def on_source_ended(self, reason: str) -> None:
        """The last datagram of the source has been sent, or it has failed and nobody receives."""

    def on_sender_ended(self, error: Exception | None) -> None:
        """The thread is over and uses no roster; *error* unless it was asked to stop."""


class FanoutStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Totals since the start, over all clients that ever were."""

    ticks: int
    late_ticks: int
    stalls: int
    datagrams: int
    drops: dict[str, int]


class StreamClock:
    """Maps the stream's time on the monotonic clock; stands still while nobody receives."""

    def __init__(self) -> None:
        """Begin without an anchor."""
        self._offset_s: float | None = None
        self.stalls = 0

    def pause(self) -> None:
        """Forget the anchor: the next datagram will be due when it is asked for."""
        self._offset_s = None

    def position(self, now_s: float, head_s: float | None, *, ready: bool) -> float | None:
        """Return the stream time that *now_s* stands for, ``None`` while there is nothing to send.

        *head_s* is the time of the next datagram. Without an anchor the clock starts there once *ready*; a head
        more than :data:`STALL_S` in the past means that the source had nothing for so long: start again there.
        """
        if head_s is None:
            return None
        if self._offset_s is not None and now_s + self._offset_s - head_s > STALL_S:
            self.stalls += 1
            self._offset_s = None
        if self._offset_s is None:
            if not ready:
                return None
            self._offset_s = head_s - now_s
        return now_s + self._offset_s


class Fanout:
    """Owns the sender thread."""

    def __init__(
        self,
        ring: Ring,
        board: RosterBoard,
        supply: DatagramSupply,
        listener: FanoutListener,
        *,
        settings: ServerSettings,
        prebuffer_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Send from *supply* through *ring* to the recipients on *board*; *prebuffer_s* is for live sources."""
        self._ring = ring
        self._board = board
        self._supply = supply
        self._listener = listener
        self._settings = settings
        self._tick_s = settings.tick_ms / 1000
        self._prebuffer_s = prebuffer_s
        self._clock = clock
        self._stream = StreamClock()
        self._settled = 0
        self._restarts_seen = supply.restarts
        self._rate = 0.0
        self._bare: tuple[int, int, bytes] | None = None
        self._wake = threading.Event()
        self._stopping = False
        self._ended_told = False
        self._counts: Counter[str] = Counter()
        self._drops: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._run, name="fanout", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Look at the roster and the supply now; safe from any thread."""
        self._wake.set()

    def stop(self, *, timeout_s: float = 2.0) -> None:
        """End the thread; every roster counts as settled after this."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def statistics(self) -> FanoutStatistics:
        """Return a snapshot of the totals."""
        return FanoutStatistics(
            ticks=self._counts["ticks"],
            late_ticks=self._counts["late_ticks"],
            stalls=self._stream.stalls,
            datagrams=self._counts["datagrams"],
            drops=dict(self._drops),
        )

    def _run(self) -> None:
        error: Exception | None = None
        try:
            self._send_ticks()
        except Exception as caught:  # the thread must not end in silence: every acknowledgement waits for it
            _log.exception("the sender failed")
            error = caught
        self._listener.on_sender_ended(error)

    def _send_ticks(self) -> None:
        next_tick_s = self._clock()
        while not self._stopping:
            roster = self._board.current
            self._settle(roster)
            now_s = self._clock()
            if not _is_anybody_there(roster) or (self._supply.head_s() is None and not self._behind(roster)):
                self._rest(roster)
                next_tick_s = self._clock()
                continue
            if now_s < next_tick_s:
                # Woken early: the roster is settled above, sending waits for its tick.
                if self._wake.wait(next_tick_s - now_s):
                    self._wake.clear()
                continue
            self.tick(roster, now_s)
            next_tick_s += self._tick_s
            if next_tick_s < now_s:
                self._counts["late_ticks"] += 1
                next_tick_s = now_s + self._tick_s

    def _rest(self, roster: Roster) -> None:
        """Wait, at no cost, until somebody receives or the source has something."""
        if not _is_anybody_there(roster):
            self._stream.pause()
        # A film that was read to its end waits for somebody to watch the rest; one that broke is waited for in vain.
        ended = self._supply.ended
        if ended is not None and not self._ended_told and (_is_anybody_there(roster) or self._supply.failed):
            self._ended_told = True
            self._listener.on_source_ended(ended)
        self._wake.wait()
        self._wake.clear()

    def _settle(self, roster: Roster) -> None:
        if roster.generation != self._settled:
            self._settled = roster.generation
            self._listener.on_settled(roster.generation)

    def _behind(self, roster: Roster) -> bool:
        edge = self._ring.next_index
        return any(recipient.cursor < edge for recipient in roster.recipients)

    def tick(self, roster: Roster, now_s: float) -> None:
        """Append what is due at *now_s* and send every recipient of *roster* what it lacks."""
        self._counts["ticks"] += 1
        if self._supply.restarts != self._restarts_seen:
            self._restarts_seen = self._supply.restarts
            self._ring.forget()
        ready = self._supply.ended is not None or self._supply.lead_s() >= self._prebuffer_s
        position_s = self._stream.position(now_s, self._supply.head_s(), ready=ready)
        due = self._supply.take(position_s) if position_s is not None else []
        for datagram in due:
            self._ring.append(datagram.payload, stream_s=datagram.due_s, random_access=datagram.random_access)
        if due and roster.streams:
            self._listener.on_appended()
        # A mean over about a second: what catching up is a multiple of.
        self._rate += (len(due) - self._rate) * min(1.0, self._tick_s)
        edge = self._ring.next_index
        catch_up = max(2, len(due), math.ceil(self._settings.catch_up_factor * max(self._rate, len(due))))
        for recipient in roster.recipients:
            behind = edge - recipient.cursor
            if behind > 0:
                stop = edge if behind <= len(due) else recipient.cursor + min(behind, catch_up)
                self._serve(recipient, stop)

    def _serve(self, recipient: Recipient, stop: int) -> None:
        """Send *recipient* the datagrams from its cursor up to *stop*, in batches."""
        oldest = self._ring.oldest_index()
        if recipient.cursor < oldest:
            self._drop(recipient, "overwritten", oldest - recipient.cursor)
            recipient.cursor = oldest
        while recipient.cursor < stop:
            limit = self._settings.batch_datagrams if recipient.segmentation else 1
            run = self._ring.run(recipient.cursor, min(stop, recipient.cursor + limit))
            count = len(run) // DATAGRAM_BYTES
            payload = run if recipient.payload == "rtp" else self._without_headers(recipient.cursor, count, run)
            if self._send(recipient, payload, count):
                recipient.last_index = recipient.cursor + count - 1
                recipient.datagrams += count
                recipient.batches += 1
                self._counts["datagrams"] += count
            elif not recipient.segmentation and limit > 1:
                continue  # segmentation was refused: the same datagrams again, one by one
            recipient.cursor += count

    def _send(self, recipient: Recipient, payload: memoryview | bytes, count: int) -> bool:
        try:
            recipient.socket.send(payload)
        except BlockingIOError:
            # A stream cannot wait: what finds no room in this client's own buffer is gone.
            self._drop(recipient, "send_buffer_full", count)
            return False
        except ConnectionRefusedError:
            self._drop(recipient, "port_unreachable", count)
            if not recipient.refused:
                recipient.refused = True
                self._listener.on_refused(recipient)
            return False
        except OSError as error:
            return self._send_failed(recipient, error, count)
        return True

    def _send_failed(self, recipient: Recipient, error: OSError, count: int) -> bool:
        name = errno.errorcode.get(error.errno or 0, "unknown").lower()
        if recipient.segmentation and error.errno in SEGMENTATION_REFUSALS:
            _log.warning("segmentation refused (%s): single datagrams for this client from now on", name)
            disable_segmentation(recipient.socket)
            recipient.segmentation = False
            self._drops[f"segmentation_fallback_{name}"] += 1
            return False
        self._drop(recipient, f"send_{name}", count)
        return False

    def _drop(self, recipient: Recipient, reason: str, count: int) -> None:
        recipient.drops[reason] += count
        self._drops[reason] += count

    def _without_headers(self, start: int, count: int, run: memoryview) -> bytes:
        """Return *run* as bare TS; clients at the live edge share one copy."""
        if self._bare is None or self._bare[:2] != (start, count):
            self._bare = (start, count, strip_headers(run))
        return self._bare[2]


def _is_anybody_there(roster: Roster) -> bool:
    return bool(roster.recipients or roster.streams)


def wire_bytes(recipient: Recipient | StreamRecipient) -> int:
    """Return the bytes above UDP that *recipient* was sent."""
    return recipient.datagrams * datagram_bytes(recipient.payload)
