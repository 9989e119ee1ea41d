"""What one connection asks, read no faster than it is carried out and within its budget.

Bytes are kept as they come, and cut when the next item, a line or a message of the dialect, is asked for. While items
wait, nothing more is read. So a flood stays in the sender's own buffers, and one turn of the event loop reads at most
:data:`READ_BYTES` of it.
"""

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from flume.server.limits.commands import ConnectionBudget
from flume.server.limits.turns import Turns

READ_BYTES = 4096
"""Most bytes of one connection that are read at once. When so many wait to be cut, no more is read."""

LEAST_WAIT_S = 0.005
"""Items that wait for their turn among all are let go so often at most."""

_shared = memoryview(bytearray(READ_BYTES))
"""Where the event loop reads to. One for all: it is copied from before anything else runs."""


class ExcessError(Exception):
    """The connection has sent more than its budget for too long."""


T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Cutter(Protocol[T_co]):
    """Cuts the bytes of one client into the items of its dialect."""

    @property
    def pending_bytes(self) -> int:
        """How many bytes have come and were not taken."""

    def append_untrusted(self, data: bytes | memoryview) -> None:
        """Keep *data*. Raises nothing."""

    def take_untrusted(self) -> T_co | None:
        """Return the next item, an empty one if it means nothing; ``None`` until it is complete. Raises nothing."""

    def clear(self) -> None:
        """Forget what has come."""


class PacedInput(Generic[T]):
    """The items that one client sends. Everything here runs on the event loop."""

    def __init__(
        self,
        budget: ConnectionBudget,
        cutter: Cutter[T],
        *,
        set_reading: Callable[[bool], None],
        on_delayed: Callable[[], None],
    ) -> None:
        """Count the items of *cutter* in *budget*; *set_reading* lets the connection read or not.

        *on_delayed* is called for each item that waits for its budget.
        """
        self._loop = asyncio.get_running_loop()
        self._budget = budget
        self._set_reading = set_reading
        self._on_delayed = on_delayed
        self._cutter = cutter
        self._unread = 0
        """Bytes that have come since the items before them were all taken."""
        self._is_reading = True
        self._has_arrived = self._has_ended = self._is_discarded = False
        self._waiter: asyncio.Future[bool] | None = None
        self._turn: asyncio.Future[bool] | None = None
        """Done when the item may be carried out, as far as the budget of all is concerned."""

    @property
    def pending_bytes(self) -> int:
        """How many bytes have come and were not taken."""
        return self._cutter.pending_bytes

    @staticmethod
    def space() -> memoryview:
        """Return where to write what the connection receives, before :meth:`received`."""
        return _shared

    def received(self, count: int) -> None:
        """Take the first *count* bytes of :meth:`space`."""
        if self._is_discarded:
            return
        self._cutter.append_untrusted(_shared[:count])
        self._unread += count
        if self._unread >= READ_BYTES:
            self._read(on=False)
        self._has_arrived = True
        self._wake()

    def end(self) -> None:
        """No more comes; the items that have come are still given out."""
        self._has_ended = True
        self._wake()

    def discard(self) -> None:
        """Forget what has come: nobody waits for the replies any more."""
        self._is_discarded = True
        self._cutter.clear()
        self._wake()
        if self._turn is not None:
            _set(self._turn, False)  # noqa: FBT003 - the result

    async def next_item(self, timeout_s: float) -> T | None:
        """Return the next item that is not empty, in its time; ``None`` at the end.

        Raises :class:`TimeoutError` when nothing has come for *timeout_s*, and :class:`ExcessError`.
        """
        is_new = False
        while not self._is_discarded:
            item = self._cutter.take_untrusted()
            if item is not None or is_new:  # a piece of an item counts too
                await self._pay()
            if item and not self._is_discarded:
                return item
            is_new = False
            if item is None:
                if self._has_ended:
                    return None
                is_new = await self._wait_for_bytes(timeout_s)
        return None

    async def _pay(self) -> None:
        now_s = self._loop.time()
        delay_s = self._budget.delay_s(now_s)
        if delay_s > 0:
            self._read(on=False)
            if self._budget.is_excessive(now_s):
                raise ExcessError
            self._on_delayed()
            until_s = now_s + delay_s
            while not self._is_discarded and (left_s := until_s - self._loop.time()) > 0:
                await self._sleep(left_s)
        if not self._is_discarded:
            await self._wait_for_turn(is_known=delay_s > 0)
        if self._is_discarded:
            self._budget.give_back(self._loop.time())

    async def _wait_for_turn(self, *, is_known: bool) -> None:
        """Wait until the budget of all has room; *is_known*: the client has been told that its item waits."""
        turns, network = self._budget.turns, self._budget.network
        turn: asyncio.Future[bool] = self._loop.create_future()
        if turns.enter(network, turn, self._loop.time()):
            return
        self._read(on=False)
        if not is_known:
            self._on_delayed()
        _plan(turns, self._loop)
        self._turn = turn
        try:
            await turn
        finally:
            self._turn = None
            turns.leave(network, turn)

    async def _wait_for_bytes(self, timeout_s: float) -> bool:
        """Return whether more has come than the end, or raise :class:`TimeoutError`."""
        self._unread = 0
        self._read(on=True)
        if not self._has_arrived and not await self._sleep(timeout_s):
            raise TimeoutError
        has_arrived, self._has_arrived = self._has_arrived, False
        return has_arrived

    async def _sleep(self, timeout_s: float) -> bool:
        """Return ``True`` as soon as something has come or ended, ``False`` after *timeout_s*."""
        waiter = self._waiter = self._loop.create_future()
        timer = self._loop.call_later(timeout_s, _set, waiter, False)  # noqa: FBT003 - the result
        try:
            came: bool = await waiter
            return came
        finally:
            timer.cancel()
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None:
            _set(self._waiter, True)  # noqa: FBT003 - the result

    def _read(self, *, on: bool) -> None:
        if on is not self._is_reading:
            self._is_reading = on
            self._set_reading(on)


def _plan(turns: Turns[asyncio.Future[bool]], loop: asyncio.AbstractEventLoop) -> None:
    if turns.has_waiters and not turns.is_planned:
        turns.is_planned = True
        loop.call_later(max(LEAST_WAIT_S, turns.wait_s(loop.time())), _go_on, turns, loop)


def _go_on(turns: Turns[asyncio.Future[bool]], loop: asyncio.AbstractEventLoop) -> None:
    turns.is_planned = False
    for turn in turns.due(loop.time()):
        _set(turn, True)  # noqa: FBT003 - the result
    _plan(turns, loop)


def _set(waiter: asyncio.Future[bool], result: bool) -> None:  # noqa: FBT001 - a future's result
    if not waiter.done():
        waiter.set_result(result)
