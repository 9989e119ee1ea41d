"""Between the thread that receives from the upstream and the thread that sends: marks where clients may join.

Datagrams are due when they have come: the upstream has paced them, and they carry its timestamps on.
"""

import math
import time
from collections.abc import Callable, Sequence

from flume.media import rtp
from flume.media.datagrams import Datagram
from flume.media.entries import EntryFinder
from flume.server.relay.order import MOST_PASSED_OVER, Relayed
from flume.server.sources.lead import Lead

MOST_WAITING = 16_384
"""Datagrams that wait for the sender: 21 MiB, 2.7 s at 65 Mbit/s."""

GATHER_S = 0.001
"""How long is waited for the rest of a burst. A server sends a tick's datagrams at once: 8 of 1328 bytes take 0.9 ms at
100 Mbit/s. Without the wait a relay sends most bursts in two or three parts, and needs half as much CPU again."""

LONGEST_SLEEP_S = 0.01
"""What comes meanwhile waits in the socket's buffer: 61 datagrams at 65 Mbit/s."""

LOOK_ROUNDS = 16
"""Of so many bursts one is waited for by itself, which shows anew when they come."""


class RelaySupply:
    """Takes from a receiver as its ``Output``, and gives the sender what it needs as its ``DatagramSupply``.

    ::

        supply.push([Relayed(timestamp, payload, passed_over=0, begins=True)], now_s)  # the receiving thread
        supply.write(is_last=False)
        supply.take(math.inf)  # the sender thread
    """

    is_paced = False
    prebuffer_s = 0.0

    def __init__(self, *, payload_bytes: int, tick_s: float = 0.01) -> None:
        """Take datagrams with *payload_bytes* of MPEG-TS each, which come about each *tick_s*."""
        self._tick_s = min(tick_s, LONGEST_SLEEP_S)
        self._burst_s = 0.0
        """When the latest burst was there."""
        self._rounds = 0
        """Bursts since one was waited for."""
        self._came = False
        self._payload_bytes = payload_bytes
        self._lead = Lead()
        self._entries = EntryFinder()
        self._is_resting = True
        """Whether nothing is wanted; what still comes belongs to a stream that was stopped."""
        self._ticks = 0
        """Of the last datagram: timestamps, counted from 0 without a wrap, over all streams of the upstream."""
        self._timestamp = 0
        self._arrival_s = 0.0
        self._has_more = False
        self._on_data: Callable[[], None] = lambda: None
        self.other_size: int | None = None
        """The payload of the latest datagram, where it had another size and was not passed on; else ``None``."""
        self.dropped = 0
        """Datagrams that were not passed on: of another size, or thrown away because too many waited."""
        self._passed_over = 0
        """Numbers before the next datagram, of those that were not passed on."""

    def start(self, on_data: Callable[[], None]) -> None:
        """Call *on_data* from now on when there is something to send."""
        self._on_data = on_data

    # -- control ---------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Nothing is wanted any more: throw away what waits, and let no client join in what was sent.

        From any thread. The receiving thread may be adding datagrams: it looks afterwards whether it still should.
        """
        self._is_resting, self._has_more = True, False  # before the lead is cleared: push() relies on it
        self._lead.clear()
        self._on_data()

    # -- the receiving thread --------------------------------------------------------------------------------

    def gather(self, wait: Callable[[], None]) -> None:
        """Wait until a burst is there as a whole: each send costs for every client.

        While bursts come a tick apart, the next one is there a tick after the last. To wait for that time costs less
        than to be woken by the datagram (24 µs beside 180, measured).
        """
        self._rounds = self._rounds + 1 if self._came else 0
        self._came = False
        left_s = self._burst_s + self._tick_s - time.monotonic()
        if not self._rounds % LOOK_ROUNDS or left_s <= 0:
            self._rounds = 0
            wait()
            left_s = GATHER_S
        time.sleep(left_s)
        self._burst_s = time.monotonic() if not self._rounds else self._burst_s + self._tick_s

    def forget(self) -> None:
        """Do nothing: a beginning is marked in what comes."""

    def begin_window(self) -> None:
        """Do nothing: a beginning is marked in what comes."""

    def push(self, units: Sequence[Relayed], now_s: float) -> None:
        """Take *units*, in their order."""
        datagrams = [each for unit in units if (each := self._datagram(unit, now_s)) is not None]
        if not datagrams:
            return
        if len(self._lead) >= MOST_WAITING:
            datagrams = self._overrun(datagrams)
        self._lead.extend(datagrams)
        self._has_more = self._came = True
        if self._is_resting:  # since datagrams were looked at
            self._has_more = False
            self._lead.clear()

    def _overrun(self, datagrams: list[Datagram]) -> list[Datagram]:
        """Throw away what waits, and return *datagrams* with that as a hole before them, if one may be as long."""
        waiting, first = self._lead.clear(), datagrams[0]
        self.dropped += len(waiting)
        passed_over = first.passed_over + sum(1 + one.passed_over for one in waiting)
        new_tables = first.new_tables or any(one.new_tables for one in waiting)
        if passed_over > MOST_PASSED_OVER:
            passed_over, new_tables = 0, True
        return [first._replace(passed_over=passed_over, new_tables=new_tables), *datagrams[1:]]

    def _datagram(self, unit: Relayed, now_s: float) -> Datagram | None:
        timestamp, payload, passed_over, begins = unit
        if begins:
            self._is_resting, self._passed_over = False, 0
            self._entries.forget()
            elapsed_s = max(0.0, now_s - self._arrival_s) if self._arrival_s else 0.0
            self._ticks += round(elapsed_s * rtp.CLOCK_HZ)
        elif self._is_resting:
            return None
        else:
            self._ticks += rtp.timestamp_distance(timestamp, self._timestamp)
        self._timestamp, self._arrival_s = timestamp, now_s
        passed_over = min(passed_over + self._passed_over, MOST_PASSED_OVER)
        if len(payload) != self._payload_bytes:
            self.dropped += 1
            self.other_size = len(payload)
            self._passed_over = min(passed_over + 1, MOST_PASSED_OVER)
            return None
        self._passed_over, self.other_size = 0, None
        entry = self._entries.look_untrusted(payload)
        return Datagram(
            payload,
            self._ticks / rtp.CLOCK_HZ,
            random_access=entry in {"entry", "entry_new_tables"},
            new_tables=begins or entry in {"new_tables", "entry_new_tables"},
            passed_over=passed_over,
        )

    def deadline_s(self) -> float | None:
        """Return ``None``: everything is passed on at once."""
        return None

    def prepare(self, now_s: float) -> None:
        """Do nothing: everything is passed on at once."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held back."""
        return True

    def write(self, *, is_last: bool) -> None:  # noqa: ARG002 - the signature of an output
        """Tell the sender that there is something to send."""
        if self._has_more:
            self._has_more = False
            self._on_data()

    # -- the sender thread -----------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """Another value makes earlier datagrams invalid as join points."""
        return self._lead.epoch

    def take(self, _until_s: float = math.inf) -> list[Datagram]:
        """Return, in order, all that has come. Never waits."""
        return self._lead.take(math.inf)

    def head_s(self) -> float | None:
        """Return the stream time of the next datagram, ``None`` while there is none."""
        return self._lead.head_s()

    def lead_s(self) -> float:
        """Return how many seconds of stream wait."""
        return self._lead.seconds()

    def silent_s(self) -> float | None:
        """Return for how long nothing has come; ``None`` before the first datagram. From any thread."""
        return time.monotonic() - self._arrival_s if self._arrival_s else None
