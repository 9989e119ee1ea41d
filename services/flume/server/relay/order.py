"""From the datagrams of the upstream to the order in which they go on, with the numbers that are missing. Pure.

A relay does not number its datagrams anew: where the upstream's numbers have a hole, its own have one of the same size.
So a datagram that is missing holds up those after it, until it comes or has been waited for. The wait is short, because
every receiver downstream waits again for what is missing: :data:`ORDER_S`.
"""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from flume.client.reception.jitter import ArrivalStatistics
from flume.media import rtp

ORDER_S = 0.02
"""How long a missing number is waited for. A server sends what is due each 10 ms, so a datagram that overtakes comes at
most one or two such bursts early; and all that comes meanwhile is late by as much."""

MOST_HELD = 4096
"""Datagrams that may wait for a missing one."""

MOST_EARLY = 512
"""Datagrams that are kept while the message that announces their window is still on its way: 0.6 s at 8 Mbit/s."""

MOST_PASSED_OVER = 1 << 14
"""The longest hole that is passed on, 21 s at 8 Mbit/s. Receivers take a number that is ahead by more than 2^15 for one
of the past, and several holes may follow each other."""

JUMP_TICKS = rtp.CLOCK_HZ
"""A number of the past whose timestamp is so far ahead of the last one (90 kHz) is of the future: the numbers have gone
through more than half of their cycle while nothing came."""

MAX_REMEMBERED = 2048
"""How many numbers given up are remembered, to tell late datagrams from duplicates."""


class Relayed(NamedTuple):
    """One datagram of the upstream, in its place."""

    timestamp: int
    """Of RTP: 90 kHz, 32 bits."""
    payload: bytes
    passed_over: int
    """Numbers before it that did not arrive."""
    begins: bool
    """Whether it begins another stream, or the same one anew: nothing connects it with what came before."""


class _Arrival(NamedTuple):
    timestamp: int
    payload: bytes
    arrival_s: float


class _Last(NamedTuple):
    sequence: int
    timestamp: int


class _Ending(NamedTuple):
    last_sequence: int
    last: int
    """The same number, extended beyond 16 bits."""
    due_s: float


class UpstreamOrder:
    """A :class:`~flume.client.reception.payload_path.PayloadPath` of :class:`Relayed`. Times are monotonic seconds.

    >>> order = UpstreamOrder()
    >>> order.begin_session(7, 0.0)
    >>> order.begin_window(65535, 0.0)
    >>> for number in (65535, 2):
    ...     _ = order.push_untrusted(rtp.HEADER.pack(*rtp.FIRST_BYTES, number, 0, 7) + b"ts", 0.0)
    >>> [(one.passed_over, one.begins) for one in order.take(0.1)]  # 0 and 1 are missing
    [(0, True), (2, False)]
    """

    def __init__(self, *, wait_s: float = ORDER_S) -> None:
        """Wait *wait_s* at most for a missing number."""
        self._wait_s = wait_s
        self._ssrc: int | None = None
        self._next: int | None = None
        """The number to hand out next, extended beyond 16 bits; ``None`` outside windows."""
        self._expected = 0
        """The number that follows the last one handed out."""
        self._first_is_known = True
        self._is_anew = True
        """Whether the next window continues nothing: its first datagram :attr:`~Relayed.begins`."""
        self._is_resting = False
        """Whether nothing is asked for: what still comes of the present window is not handed out."""
        self._ending: _Ending | None = None
        """The last number of the present window, and how long what is missing up to it is waited for."""
        self._is_joining = False
        """Whether the present window has to be joined to what was handed out before a loss of the upstream."""
        self._last: _Last | None = None
        self._held: dict[int, _Arrival] = {}
        """By extended number; in the order of arrival, so the first entry has waited longest."""
        self._highest_held = 0
        """The highest number that is held; without a meaning while none is."""
        self._early: deque[tuple[bytes, float]] = deque(maxlen=MOST_EARLY)
        self._ready: list[Relayed] = []
        self._missing: dict[int, None] = {}
        self._windows = self._datagrams = self._lost = self._late = self._duplicates = self._reordered = 0
        self._unexpected = 0

    # -- sessions and windows --------------------------------------------------------------------------------

    def rest(self) -> None:
        """Hand out nothing more of the present window; the next one continues nothing. From any thread."""
        self._is_resting = True

    def begin_session(self, ssrc: int, now_s: float) -> None:
        """Take datagrams of the stream *ssrc* from now on."""
        self.abandon_window(now_s)
        self._is_anew = self._is_anew or ssrc != self._ssrc
        self._ssrc = ssrc
        self._early.clear()

    def begin_window(self, first_sequence: int | None, now_s: float) -> None:
        """The upstream delivers from *first_sequence* on; ``None``: from the first datagram that comes."""
        self._close()
        self._is_anew, self._is_resting = self._is_anew or self._is_resting, False
        self._windows += 1
        self._missing.clear()
        self._first_is_known = first_sequence is not None
        self._next = self._expected = rtp.SEQUENCE_MODULUS + (first_sequence or 0)
        self._is_joining = not self._is_anew and self._last is not None
        early, self._early = self._early, deque(maxlen=MOST_EARLY)
        for data, arrival_s in early:
            packet = rtp.parse_untrusted(data)
            if first_sequence is None or rtp.sequence_distance(packet.sequence, first_sequence) >= 0:
                self._place(packet, max(arrival_s, now_s - self._wait_s))

    def end_window(self, last_sequence: int | None, datagrams: int, now_s: float) -> None:
        """Wait for what is missing up to *last_sequence*: this message may overtake the last datagrams of its window.

        What comes after the wait, or beyond *last_sequence*, is not of this window.
        """
        if self._next is None or last_sequence is None or not datagrams or not self._first_is_known:
            self._close()
            return
        last = rtp.extend_sequence(last_sequence, self._next)
        self._ending = _Ending(last_sequence, last, now_s + self._wait_s)
        if last < self._next:
            self._close()

    def abandon_window(self, _now_s: float) -> None:
        """Wait for nothing any more: the last number is not known."""
        self._close()

    def _close(self) -> None:
        self._hand_out_all()
        self._next = self._ending = None

    # -- datagrams -------------------------------------------------------------------------------------------

    def push_untrusted(self, data: bytes, now_s: float) -> bool:
        """Take one RTP packet that arrived at *now_s*; ``False``: it is not of this stream. Never raises."""
        packet = rtp.packet_of_untrusted(self._ssrc, data)
        if packet is None:
            return False
        self._datagrams += 1
        if self._next is None or self._is_beyond(packet.sequence):
            self._unexpected += len(self._early) == MOST_EARLY
            self._early.append((data, now_s))
        else:
            self._place(packet, now_s)
        return True

    def _is_beyond(self, sequence: int) -> bool:
        """Whether *sequence* comes after the window that is ending: the next one is not announced yet."""
        return self._ending is not None and rtp.sequence_distance(sequence, self._ending.last_sequence) > 0

    def _place(self, packet: rtp.RtpPacket, now_s: float) -> None:
        expected = self._next
        if expected is None:
            return
        if not self._first_is_known:
            self._first_is_known = True
            self._next = self._expected = expected = rtp.SEQUENCE_MODULUS + packet.sequence
        number = rtp.extend_sequence(packet.sequence, expected)
        if number < expected and self._is_jump(packet):
            self._hand_out_all()
            self._is_joining = True
            self._next = self._expected = expected = number
        if number == expected and not self._held:  # nearly always
            self._hand_out(number, _Arrival(packet.timestamp, bytes(packet.payload), now_s))
            self._next = number + 1
        elif number < expected:
            self._count_late(number)
        elif number in self._held:
            self._duplicates += 1
        else:
            self._reordered += bool(self._held) and number < self._highest_held
            self._highest_held = max(number, self._highest_held) if self._held else number
            self._held[number] = _Arrival(packet.timestamp, bytes(packet.payload), now_s)

    def _is_jump(self, packet: rtp.RtpPacket) -> bool:
        ahead = 0 if self._last is None else rtp.timestamp_distance(packet.timestamp, self._last.timestamp)
        return ahead > JUMP_TICKS

    def _count_late(self, number: int) -> None:
        if number in self._missing:
            del self._missing[number]
            self._late += 1
            self._reordered += 1
        else:
            self._duplicates += 1

    # -- out -------------------------------------------------------------------------------------------------

    def take(self, now_s: float) -> list[Relayed]:
        """Return, in order, the datagrams before the first missing number, or whose wait for one is over by *now_s*."""
        self._advance()
        held: Iterator[int] | None = None
        while (due_s := self._held_until_s()) is not None and (now_s >= due_s or len(self._held) > MOST_HELD):
            held = held or iter(sorted(self._held))  # once: a hole before each takes no longer than one before all
            self._give_up_to(next(number for number in held if number in self._held))
            self._advance()
        ending = self._ending
        if ending is not None and (now_s >= ending.due_s or (self._next is not None and self._next > ending.last)):
            self._close()
        ready, self._ready = self._ready, []
        return ready

    def deadline_s(self) -> float | None:
        """Return when the oldest missing number is given up, or the present window; ``None``: nothing is waited for."""
        held_s, ending = self._held_until_s(), self._ending
        if ending is None:
            return held_s
        return ending.due_s if held_s is None else min(held_s, ending.due_s)

    def _held_until_s(self) -> float | None:
        return next(iter(self._held.values())).arrival_s + self._wait_s if self._held else None

    def _advance(self) -> None:
        while self._next is not None and (arrival := self._held.pop(self._next, None)) is not None:
            self._hand_out(self._next, arrival)
            self._next += 1

    def _give_up_to(self, number: int) -> None:
        for missing in range(max(self._next or 0, number - MAX_REMEMBERED), number):
            self._missing[missing] = None
        while len(self._missing) > MAX_REMEMBERED:
            del self._missing[next(iter(self._missing))]
        self._next = number

    def _hand_out_all(self) -> None:
        for number in sorted(self._held):
            self._hand_out(number, self._held[number])
        self._held.clear()

    def _hand_out(self, number: int, arrival: _Arrival) -> None:
        if self._is_resting:
            self._expected = number + 1
            return
        begins = self._is_anew
        passed_over = number - self._expected
        sequence = number % rtp.SEQUENCE_MODULUS
        if self._is_joining and self._last is not None:
            if _is_repeated(sequence, arrival.timestamp, self._last):
                self._duplicates += 1
                self._expected = number + 1
                return
            passed_over = (sequence - self._last.sequence - 1) % rtp.SEQUENCE_MODULUS
        if passed_over > MOST_PASSED_OVER:
            self._lost += 0 if self._is_joining else passed_over
            passed_over, begins = 0, True
        self._lost += passed_over
        self._is_anew = self._is_joining = False
        self._expected, self._last = number + 1, _Last(sequence, arrival.timestamp)
        self._ready.append(Relayed(arrival.timestamp, arrival.payload, passed_over, begins))

    def statistics(self) -> ArrivalStatistics:
        """Return the counters; what arrived late stays lost, since it was not passed on."""
        return ArrivalStatistics(
            datagrams=self._datagrams,
            lost=self._lost,
            late=self._late,
            duplicates=self._duplicates,
            reordered=self._reordered,
            unexpected=self._unexpected,
            windows=self._windows,
        )

    def jitter_ms(self) -> float:
        """Return 0: a relay does not measure it."""
        return 0.0


def _is_repeated(sequence: int, timestamp: int, last: _Last) -> bool:
    """Whether a new session sends again what has been passed on. Numbers alone do not tell: they wrap."""
    return (
        rtp.sequence_distance(sequence, last.sequence) <= 0 and rtp.timestamp_distance(timestamp, last.timestamp) <= 0
    )
