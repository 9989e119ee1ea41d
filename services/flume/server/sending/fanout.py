"""The sender: one thread, one tick, one snapshot of the roster, no lock.

A tick takes the datagrams that have come due by the stream's own clock, appends them to the ring, and lets
:class:`~flume.server.sending.delivery.Delivery` send each recipient what it lacks.
"""

import contextlib
import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import msgspec

from flume.media.datagrams import Datagram
from flume.media.ring import Ring
from flume.server.sending.delivery import Delivery
from flume.server.sending.doorbell import Doorbell
from flume.server.sending.group_sender import GroupSender, SendLoop
from flume.server.sending.join_pacing import JoinPacing
from flume.server.sending.roster import CurrentRoster, Recipient, Roster
from flume.server.sending.send_clock import SendClock
from flume.settings import SenderKind, ServerSettings

_log = logging.getLogger(__name__)


class DatagramSupply(Protocol):
    """What the sender needs of the ingest."""

    @property
    def epoch(self) -> int:
        """A new value makes all earlier datagrams invalid as join points."""

    @property
    def is_paced(self) -> bool:
        """Whether datagrams are sent when they are due by the stream's clock. ``False``: when they are there."""

    @property
    def prebuffer_s(self) -> float:
        """How many seconds of stream are to be at hand before sending begins: 0 for a file."""

    ended: str | None
    failed: bool

    def take(self, until_s: float) -> list[Datagram]:
        """Return the datagrams due up to stream time *until_s*."""

    def head_s(self) -> float | None:
        """Return the stream time of the next datagram, ``None`` without one."""

    def lead_s(self) -> float:
        """Return the seconds of stream at hand."""


class FanoutListener(Protocol):
    """What the sender reports to, from its own thread."""

    def on_readers_done(self, epoch: int) -> None:
        """No roster older than *epoch* is in use any more."""

    def on_appended(self) -> None:
        """The ring has more for clients over TCP; at most once a tick, and only while there are such clients."""

    def on_refused(self, recipient: Recipient) -> None:
        """The client's host answered ICMP port unreachable."""

    def on_source_ended(self, reason: str) -> None:
        """The last datagram of the source has been sent, or the source has failed and no client receives."""

    def on_sender_ended(self, error: Exception | None) -> None:
        """The thread has ended and uses no roster; *error* is ``None`` if it was asked to stop."""


class FanoutStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Totals since the start, over all clients, past ones included."""

    ticks: int
    late_ticks: int
    stalls: int
    datagrams: int
    drops: dict[str, int]
    fallbacks: dict[str, int]
    """Why clients got single datagrams instead of batches, and why groups were not sent to in one system call."""
    sender: SenderKind | None
    """How groups are sent to at present; ``None`` while no client receives."""


class Fanout:
    """Owns the sender thread.

    ::

        time      0 ms          10 ms                           20 ms
        thread    tick … wait … tick … wait … adopt … wait  …   tick
        control                         remove ┘ doorbell

    A tick adopts the present roster, appends what is due to the ring, and sends. When the doorbell rings in between,
    the thread adopts and reports the new roster at once; the next datagrams still leave with the next tick.
    """

    def __init__(
        self,
        ring: Ring,
        current: CurrentRoster,
        supply: DatagramSupply,
        listener: FanoutListener,
        *,
        settings: ServerSettings,
        doorbell: Doorbell | None = None,
        make_sender: Callable[[], GroupSender] = SendLoop,
        pacing: JoinPacing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Send from *supply* through *ring* to the recipients in *current*.

        Ring *doorbell* after a change of the roster or of the supply. *make_sender* makes what sends one payload to
        many clients (:mod:`flume.server.sending.group_sender`). *pacing* learns the stream's rate.
        """
        self._ring = ring
        self._current = current
        self._supply = supply
        self._listener = listener
        self._delivery = Delivery(
            ring,
            settings=settings,
            on_refused=listener.on_refused,
            make_sender=make_sender,
            pacing=pacing,
            clock=clock,
        )
        self._tick_s = settings.tick_ms / 1000
        self._clock = clock
        self._send_clock = SendClock()
        self._roster: Roster | None = None
        self._epoch_seen = supply.epoch
        self._doorbell = doorbell or Doorbell()
        self._stopping = False
        self._end_reported = False
        self._counts: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._run, name="fanout", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Look at the roster and the supply now; safe from any thread."""
        self._doorbell.ring()

    def stop(self, *, timeout_s: float = 2.0) -> None:
        """End the thread; no roster is in use after this."""
        self._stopping = True
        self._doorbell.ring()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def statistics(self) -> FanoutStatistics:
        """Return a snapshot of the totals."""
        return FanoutStatistics(
            ticks=self._counts["ticks"],
            late_ticks=self._counts["late_ticks"],
            stalls=self._send_clock.stalls,
            datagrams=self._delivery.datagrams,
            drops=dict(self._delivery.drops),
            fallbacks=self._delivery.all_fallbacks(),
            sender=self._delivery.sender_kind(),
        )

    def _run(self) -> None:
        error: Exception | None = None
        try:
            self._send_ticks()
        except Exception as caught:  # the end of the thread must be reported: every acknowledgement waits for it
            _log.exception("the sender failed")
            error = caught
        finally:
            with contextlib.suppress(OSError):
                self._delivery.close()
            self._listener.on_sender_ended(error)

    def _send_ticks(self) -> None:
        next_tick_s = self._clock()
        while not self._stopping:
            roster = self._current.roster
            self._adopt(roster)
            if not _has_clients(roster) or (self._supply.head_s() is None and not self._delivery.is_any_behind()):
                self._rest(roster)
                next_tick_s = self._clock()
                continue
            wait_s = next_tick_s - self._clock()
            if wait_s > 0 and self._doorbell.wait(wait_s):
                continue  # woken early: the new roster is adopted now, sending waits for its tick
            now_s = self._clock()
            self.tick(self._current.roster, now_s)
            next_tick_s += self._tick_s
            if next_tick_s < now_s:
                self._counts["late_ticks"] += 1
                next_tick_s = now_s + self._tick_s

    def _rest(self, roster: Roster) -> None:
        """Wait, at no cost, until a client receives or the source has something."""
        if not _has_clients(roster):
            self._send_clock.pause()
            self._keep_unwatched()
        self._follow_epoch()
        # The end of a file is reported once clients have received the rest of it, the end of a failed source at once.
        ended = self._supply.ended
        if ended is not None and not self._end_reported and (_has_clients(roster) or self._supply.failed):
            self._end_reported = True
            self._listener.on_source_ended(ended)
        self._doorbell.wait()

    def _keep_unwatched(self) -> None:
        """Append what comes without a pace of its own: a client that returns joins at a keyframe, and is paced.

        What waited in the supply instead would all come due in the client's first tick.
        """
        while not self._supply.is_paced and self._supply.head_s() is not None:
            self._follow_epoch()  # the supply stops before new tables, and begins an epoch with them
            self._ring.extend(self._supply.take(math.inf))

    def _adopt(self, roster: Roster) -> None:
        """Serve *roster* from now on, and report that no older one is in use."""
        if roster is not self._roster:
            self._roster = roster
            self._delivery.adopt(roster)
            self._listener.on_readers_done(roster.epoch)

    def _follow_epoch(self) -> None:
        """Let no client join in an epoch that has ended; also before the first one joins in the new one."""
        if self._supply.epoch != self._epoch_seen:
            self._epoch_seen = self._supply.epoch
            self._ring.forget()

    def tick(self, roster: Roster, now_s: float) -> None:
        """Append what is due at *now_s* and send every recipient of *roster* what it lacks."""
        self._adopt(roster)
        self._counts["ticks"] += 1
        self._follow_epoch()
        due = self._due(now_s) if self._supply.is_paced else self._supply.take(math.inf)
        self._ring.extend(due)
        if due and roster.tcp_count:
            self._listener.on_appended()
        self._delivery.serve(len(due))

    def _due(self, now_s: float) -> list[Datagram]:
        prebuffer_s = self._supply.prebuffer_s
        ready = not prebuffer_s or self._supply.ended is not None or self._supply.lead_s() >= prebuffer_s
        position_s = self._send_clock.position(now_s, self._supply.head_s(), ready=ready)
        return self._supply.take(position_s) if position_s is not None else []


def _has_clients(roster: Roster) -> bool:
    return bool(roster.recipients or roster.tcp_count)
