"""How many lines a second are carried out: of one connection, of one address, and of all. Pure.

A line beyond a budget is not lost. It waits, and no more is read from its connection meanwhile: so TCP slows the sender
down, and every request still gets its reply. A connection that keeps sending more than its own budget is ended. Lines
beyond the budget of all wait for their network's turn (:mod:`.turns`).
"""

from typing import Any

from flume.server.limits.admission import network_of
from flume.server.limits.buckets import AddressBuckets, Bucket, Rate
from flume.server.limits.turns import Turns
from flume.settings import ServerSettings

BURST_S = 2.0
"""What may come at once: as much as in so many seconds."""

EXCESS_S = 10.0
"""A connection that has exceeded its own budget for so long without a pause is ended."""


class CommandBudget:
    """The budgets of all connections of one server.

    >>> budget = CommandBudget(ServerSettings(commands_per_s=10))
    >>> one = budget.open("192.0.2.1")
    >>> [one.delay_s(0.0) for _ in range(21)][-2:]  # twenty at once, then one every tenth of a second
    [0.0, 0.1]
    """

    def __init__(self, settings: ServerSettings) -> None:
        """Take the rates of *settings*."""
        self._connection = _rate(settings.commands_per_s)
        self.addresses = AddressBuckets(_rate(settings.commands_per_s_per_address))
        self.turns: Turns[Any] = Turns(_rate(settings.commands_per_s_in_all))
        """The budget of all; what waits there is the front's to choose."""

    def open(self, address: str) -> "ConnectionBudget":
        """Return the budget of a new connection from *address*."""
        return ConnectionBudget(self, address, Bucket(self._connection))


class ConnectionBudget:
    """The budget of one connection, inside that of its address and that of all."""

    __slots__ = ("_address", "_budget", "_own", "_since_s", "network", "turns")

    def __init__(self, budget: CommandBudget, address: str, own: Bucket) -> None:
        """Count lines from *address* in *own* and in *budget*."""
        self._budget = budget
        self.turns = budget.turns
        self.network = network_of(address)
        self._address = address
        self._own = own
        self._since_s: float | None = None
        """Since when the connection's own budget has been exceeded."""

    def delay_s(self, now_s: float) -> float:
        """Count one line at *now_s*; return how long it has to wait, before it waits for its turn among all."""
        own_s = self._own.reserve(now_s)
        address_s = self._budget.addresses.of(self._address, now_s).reserve(now_s)
        if own_s == 0:
            self._since_s = None
        elif self._since_s is None:
            self._since_s = now_s
        return max(own_s, address_s)

    def give_back(self, now_s: float) -> None:
        """The line that was counted last is not carried out: its client has gone."""
        self._own.give_back()
        self._budget.addresses.of(self._address, now_s).give_back()

    def is_excessive(self, now_s: float) -> bool:
        """Whether the connection itself has sent too much for longer than :data:`EXCESS_S`."""
        return self._since_s is not None and now_s - self._since_s >= EXCESS_S


def _rate(per_s: float) -> Rate:
    return Rate(per_s, max(1.0, BURST_S * per_s))
