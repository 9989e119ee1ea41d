"""The jitter buffer and RTP accounting: datagrams in, ordered items out, every missing number counted. Pure.

All clients of a server share its sequence numbers, so a gap is loss only *inside a delivery window*. The server's
replies name the numbers at which windows begin and end. Replies travel over TCP and may arrive before or after the
datagrams that they describe. So a datagram outside every known window opens a provisional window, which the reply
confirms.

Numbers are extended beyond 16 bits. A long pause may skip whole cycles of 65,536, so a new window always begins above
the end of the one before it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Generic, NamedTuple, TypeVar

from flume.client.reception.loss_record import LossRecord
from flume.media.rtp import CLOCK_HZ, SEQUENCE_MODULUS, extend_sequence, timestamp_distance

Item = TypeVar("Item")

REORDER_TAIL_S = 2.0
"""How long after a window's end its own late datagrams may still arrive. A later datagram belongs to a window whose
reply has not come yet. Below 170 Mbit/s the numbers cannot advance by half a cycle in 2 s, so the two cases cannot be
confused."""

MAX_REMEMBERED = 2048
"""How many numbers given up as lost are remembered, to tell a late arrival from a duplicate."""

LONGEST_RUN = 32
"""Loss runs of this many datagrams or more share one entry of :attr:`ArrivalStatistics.loss_runs`."""


class ArrivalStatistics(NamedTuple):
    """A snapshot. *lost* never arrived (so far); *late* arrived after it was given up, and was not handed out."""

    datagrams: int = 0
    lost: int = 0
    late: int = 0
    duplicates: int = 0
    reordered: int = 0
    unexpected: int = 0
    """Arrived outside every window that the server announced."""
    windows: int = 0
    loss_runs: Mapping[int, int] = MappingProxyType({})
    """Length of a run of missing datagrams, when it was given up, to the number of such runs."""
    longest_loss_run: int = 0


class _Pending(NamedTuple, Generic[Item]):
    item: Item
    arrival_s: float


class _Window(Generic[Item]):
    """Numbers *first* to *last* (``None``: not announced yet); *following* is the next to hand out.

    *started*: handing out may begin. A window whose beginning was announced starts at once, a provisional one after
    the wait for lower numbers. *pending* keeps the order of arrival, so its first entry has waited longest.
    """

    def __init__(self, first: int, *, confirmed: bool) -> None:
        self.first = self.following = self.highest = first
        self.last: int | None = None
        self.ended_s = 0.0
        self.confirmed = self.started = confirmed
        self.pending: dict[int, _Pending[Item]] = {}
        self.received = 0

    @property
    def is_complete(self) -> bool:
        return self.last is not None and self.following > self.last

    def shift(self, numbers: int) -> None:
        """Raise every number of a window whose end is not announced yet."""
        self.first, self.following, self.highest = (
            self.first + numbers,
            self.following + numbers,
            self.highest + numbers,
        )
        self.pending = {number + numbers: pending for number, pending in self.pending.items()}

    def waiting_since_s(self) -> float | None:
        """Return since when the next number is missing, ``None`` while nothing waits for it."""
        if self.pending:
            return next(iter(self.pending.values())).arrival_s
        return None if self.last is None or self.is_complete else self.ended_s


class JitterBuffer(Generic[Item]):
    """Items go in with :meth:`push` and come out with :meth:`take`; all times are monotonic seconds.

    >>> buffer = JitterBuffer(reorder_ms=60, capacity=4096)
    >>> buffer.begin_window(65535, now_s=0.0)
    >>> for sequence, item in ((65535, "a"), (1, "c"), (0, "b")):
    ...     buffer.push(sequence, item, now_s=0.0)
    >>> buffer.take(now_s=0.0)
    ['a', 'b', 'c']
    """

    def __init__(self, *, reorder_ms: float, capacity: int, record: LossRecord | None = None) -> None:
        """Wait *reorder_ms* at most for a missing number, and hold *capacity* datagrams at most.

        *record* takes each number that is given up or comes too late.
        """
        self._record = record
        self._reorder_s = reorder_ms / 1000
        self._capacity = capacity
        self._windows: list[_Window[Item]] = []
        self._missing: dict[int, None] = {}
        self._ready: list[Item] = []
        self._floor = -1  # the highest number of ended windows: a new window begins above it
        self._ended_s = float("-inf")
        self._datagrams = self._lost = self._late = self._duplicates = 0
        self._reordered = self._unexpected = self._begun = 0
        self._runs: dict[int, int] = {}
        self._longest_run = 0

    # -- windows -------------------------------------------------------------------------------------------

    def begin_window(self, first_sequence: int, now_s: float) -> None:
        """The server announced that delivery begins, or began, with *first_sequence*."""
        self._begun += 1
        tail = self._windows[-1] if self._windows else None
        if tail is not None and tail.last is None and not tail.confirmed:
            first = extend_sequence(first_sequence, tail.first)
            if first <= self._floor:  # the numbers went through one more cycle than the first datagram showed
                tail.shift(SEQUENCE_MODULUS)
                first += SEQUENCE_MODULUS
            self._confirm(tail, first, now_s)
            return
        if tail is not None and tail.last is None:
            self._close(tail, tail.highest, now_s)
        self._windows.append(_Window(self._above_floor(first_sequence), confirmed=True))

    def _confirm(self, window: _Window[Item], first: int, now_s: float) -> None:
        early = [number for number in window.pending if number < first]
        for number in early:
            del window.pending[number]
        self._unexpected += len(early)
        if not window.started:
            window.first = window.following = first
        elif first < window.first:
            self._give_up(range(first, window.first), now_s)
            window.first = first
        else:
            self._unexpected += min(first, window.following) - window.first
            window.first, window.following = first, max(first, window.following)
        window.highest = max(window.highest, first)
        window.confirmed = window.started = True

    def end_window(self, last_sequence: int | None, now_s: float) -> None:
        """The server announced that *last_sequence* was the last; ``None``: the window stayed empty."""
        if not self._windows or self._windows[-1].last is not None:
            return
        tail = self._windows[-1]
        last = tail.first - 1 if last_sequence is None else extend_sequence(last_sequence, tail.highest)
        self._close(tail, last, now_s)

    def abandon_window(self, now_s: float) -> None:
        """The server will not announce the last number: take the highest that arrived, so that no loss is invented."""
        if self._windows and self._windows[-1].last is None:
            tail = self._windows[-1]
            self._close(tail, tail.highest if tail.received else tail.first - 1, now_s)

    def _close(self, window: _Window[Item], last: int, now_s: float) -> None:
        beyond = [number for number in window.pending if number > last]
        for number in beyond:
            del window.pending[number]
        self._unexpected += len(beyond) + max(0, window.following - 1 - max(last, window.first - 1))
        window.last = max(last, window.following - 1)
        window.ended_s = self._ended_s = now_s
        window.started = True
        self._floor = max(self._floor, window.last)

    def reset(self, now_s: float) -> None:
        """A new session begins: release all that waits, and forget the numbering."""
        self.abandon_window(now_s)
        self._advance(now_s, at_once=True)
        self._windows.clear()
        self._missing.clear()
        self._floor, self._ended_s = -1, float("-inf")

    # -- datagrams -----------------------------------------------------------------------------------------

    def push(self, sequence: int, item: Item, now_s: float) -> None:
        """Take *item*, the content of the datagram with the 16-bit number *sequence*, which arrived at *now_s*."""
        self._datagrams += 1
        window = self._windows[-1] if self._windows else None
        if window is not None and window.last is None:
            number = extend_sequence(sequence, window.highest)
        else:
            number = extend_sequence(sequence, self._floor) if self._floor >= 0 else sequence + SEQUENCE_MODULUS
            if number > self._floor or now_s - self._ended_s > REORDER_TAIL_S:
                number = self._above_floor(sequence)
                window = _Window(number, confirmed=False)
                self._windows.append(window)
        if window is not None and window.last is None and number < window.first and not window.started:
            window.first = window.following = max(number, self._floor + 1)
        self._place(number, item, now_s)

    def _place(self, number: int, item: Item, now_s: float) -> None:
        for window in self._windows:
            if window.first <= number and (window.last is None or number <= window.last):
                break
        else:
            self._count_late(number, now_s)
            return
        if number < window.following:
            self._count_late(number, now_s)
        elif number in window.pending:
            self._duplicates += 1
        else:
            window.pending[number] = _Pending(item, now_s)
            window.received += 1
            self._reordered += number < window.highest
            window.highest = max(window.highest, number)

    def _count_late(self, number: int, now_s: float) -> None:
        if number in self._missing:
            if self._record is not None:
                self._record.too_late(number, now_s)
            del self._missing[number]
            self._late += 1
            self._reordered += 1
            self._lost -= 1
        else:
            self._duplicates += 1

    def _above_floor(self, sequence: int) -> int:
        if self._floor < 0:
            return sequence + SEQUENCE_MODULUS
        number = extend_sequence(sequence, self._floor)
        return number if number > self._floor else number + SEQUENCE_MODULUS

    # -- out -----------------------------------------------------------------------------------------------

    def take(self, now_s: float) -> list[Item]:
        """Return, in order, the items before the first missing number, or whose wait for one is over by *now_s*."""
        self._advance(now_s)
        ready, self._ready = self._ready, []
        return ready

    def deadline_s(self) -> float | None:
        """Return when :meth:`take` gives up a missing number, ``None`` while nothing waits."""
        since_s = self._windows[0].waiting_since_s() if self._windows else None
        return None if since_s is None else since_s + self._reorder_s

    def _advance(self, now_s: float, *, at_once: bool = False) -> None:
        while self._windows:
            window = self._windows[0]
            if window.started:
                self._hand_out(window)
            if window.is_complete:
                del self._windows[0]
                continue
            since_s = window.waiting_since_s()
            full = sum(len(each.pending) for each in self._windows) > self._capacity  # one window, nearly always
            if since_s is None or (now_s < since_s + self._reorder_s and not full and not at_once):
                return
            window.started = True
            self._skip_missing(window, now_s)

    def _hand_out(self, window: _Window[Item]) -> None:
        while window.following in window.pending:
            self._ready.append(window.pending.pop(window.following).item)
            window.following += 1

    def _skip_missing(self, window: _Window[Item], now_s: float) -> None:
        upto = min(window.pending) if window.pending else (window.last or 0) + 1
        self._give_up(range(window.following, upto), now_s)
        window.following = max(window.following, upto)

    def _give_up(self, numbers: range, now_s: float) -> None:
        run = len(numbers)
        if not run:
            return
        if self._record is not None:
            self._record.give_up(numbers, now_s)
        self._lost += run
        self._longest_run = max(self._longest_run, run)
        key = min(run, LONGEST_RUN)
        self._runs[key] = self._runs.get(key, 0) + 1
        for number in numbers[-MAX_REMEMBERED:]:
            self._missing[number] = None
        while len(self._missing) > MAX_REMEMBERED:
            del self._missing[next(iter(self._missing))]

    def statistics(self) -> ArrivalStatistics:
        """Return the counters as they are now."""
        tail = self._windows[-1] if self._windows else None
        unannounced = tail.received if tail is not None and not tail.confirmed else 0
        return ArrivalStatistics(
            datagrams=self._datagrams,
            lost=self._lost,
            late=self._late,
            duplicates=self._duplicates,
            reordered=self._reordered,
            unexpected=self._unexpected + unannounced,
            windows=self._begun,
            loss_runs=dict(self._runs),
            longest_loss_run=self._longest_run,
        )


class InterarrivalJitter:
    """RFC 3550, section 6.4.1: how far the spacing of arrivals deviates from that of the timestamps, smoothed."""

    def __init__(self) -> None:
        """Begin at zero."""
        self._transit_s: float | None = None
        self._jitter_s = 0.0
        self._last_timestamp = 0
        self._cycles = 0

    def begin_window(self) -> None:
        """Forget the last arrival: a pause is not jitter."""
        self._transit_s = None

    def add(self, timestamp: int, arrival_s: float) -> None:
        """Take a datagram's 32-bit *timestamp* (90 kHz) and the time of its arrival."""
        if self._transit_s is None:
            self._cycles, self._last_timestamp = 0, timestamp
        step = timestamp_distance(timestamp, self._last_timestamp)
        self._cycles += step
        self._last_timestamp = timestamp
        transit_s = arrival_s - self._cycles / CLOCK_HZ
        if self._transit_s is not None:
            self._jitter_s += (abs(transit_s - self._transit_s) - self._jitter_s) / 16
        self._transit_s = transit_s

    @property
    def jitter_ms(self) -> float:
        """The present estimate, milliseconds."""
        return self._jitter_s * 1000
