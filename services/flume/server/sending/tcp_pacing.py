"""How far each client over TCP may be served now. Pure: the time comes in.

A client at the live edge gets what the stream has. One that begins in the past gets its first second at once, so that a
picture comes as soon as the connection carries it, and then catches up at the pace of clients over UDP. Both count
against the budget of its address (:mod:`flume.server.limits.catch_up`).
"""

import math
from collections.abc import Collection
from typing import Protocol

from flume.media.ring import Ring
from flume.server.limits.catch_up import CatchUpBudget
from flume.server.sending.join_pacing import JoinPacing

FIRST_S = 1.0
"""This much of the stream comes at once: a keyframe takes less, and players begin with some tenths of a second."""

LEAST_PER_S = 100.0
"""Datagrams a second for which a stream counts at least, 1 Mbit/s: the rate of a slow one is known late."""

MOST_TICKS = 10
"""A client that lags gets its pace for so many ticks at most, however late the event loop comes to it."""


class PacedRecipient(Protocol):
    """What is known here of a client."""

    payer: str
    """Whose budget is charged."""
    cursor: int
    """Index of the next datagram to write."""
    allowed: int
    """Index before which datagrams may be written now."""


class TcpPacing:
    """Moves :attr:`.PacedRecipient.allowed`, which does not wait for a client that reads slowly."""

    def __init__(self, ring: Ring, pace: JoinPacing, budget: CatchUpBudget | None = None) -> None:
        """Serve from *ring*. *pace* is that of the sender thread, which knows the stream's rate."""
        self._ring = ring
        self._pace = pace
        self._budget = budget or CatchUpBudget()
        self.tick_s = pace.tick_s
        self._edge = 0
        """Where the ring ended in the last round."""
        self._round_s = 0.0
        """When clients that lag were last given more."""

    @property
    def _per_s(self) -> float:
        return max(LEAST_PER_S, self._pace.rate / self.tick_s)

    def begin(self, recipient: PacedRecipient, now_s: float, *, is_first: bool) -> None:
        """Let *recipient*, which is new, have its beginning; *is_first*: no other one receives."""
        if is_first:
            # What came while no client received is no stream that came since the last round.
            self._edge, self._round_s = self._ring.next_index, now_s
        lacks, per_s = self._ring.next_index - recipient.cursor, self._per_s
        most = max(0, min(lacks, math.ceil(FIRST_S * per_s)))
        granted = self._budget.take_at_once(recipient.payer, most, per_s=per_s, now_s=now_s)
        recipient.allowed = recipient.cursor + granted

    def advance(self, recipients: Collection[PacedRecipient], now_s: float) -> bool:
        """Let *recipients*, all there are, have what is due at *now_s* (monotonic); return whether one lags."""
        edge = self._ring.next_index
        lagging = []
        for recipient in recipients:
            if recipient.allowed >= self._edge:
                recipient.allowed = edge
            else:
                recipient.allowed += edge - self._edge  # never slower than the stream
                lagging.append(recipient)
        self._edge = edge
        ticks = (now_s - self._round_s) / self.tick_s
        if ticks < 0.5:
            return bool(lagging)
        self._round_s = now_s
        if lagging:
            self._speed_up(lagging, min(ticks, MOST_TICKS), len(recipients), now_s)
        return any(recipient.allowed < edge for recipient in lagging)

    def _speed_up(self, lagging: list[PacedRecipient], ticks: float, clients: int, now_s: float) -> None:
        per_s = self._per_s
        surplus = self._pace.surplus(per_s * self.tick_s, behind=len(lagging), clients=clients)
        for recipient in lagging:
            most = min(self._edge - recipient.allowed, math.ceil(surplus * ticks))
            recipient.allowed += self._budget.take(recipient.payer, most, per_s=per_s, now_s=now_s)

    def release(self, recipients: Collection[PacedRecipient]) -> None:
        """Let *recipients* have all that there is: the stream has ended."""
        for recipient in recipients:
            recipient.allowed = self._ring.next_index
