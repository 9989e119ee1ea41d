"""Frees what connections that have ended leave behind: objects that refer to each other.

A transport of asyncio refers to itself, and a connection, its session and what passes on its datagrams refer to each
other. Python looks for such cycles among objects that have lived for a while only after many new ones: with 100
clients that each connect once a minute, that was after half an hour, and took 4 MB (``make soak``).
"""

import gc
from collections.abc import Callable

COLLECT_EVERY = 64
"""Connections, each of which leaves 12 KB."""

COLLECT_INTERVAL_S = 5.0
"""Python itself looks often enough where many connections come and go."""


def spare_what_stays() -> None:
    """Let no collection look at the objects that are there now: modules, and what the server was started with.

    Among them a collection takes 13 ms, in which no thread of Python runs; without them, and with 40 sessions, 1 ms.
    """
    gc.collect()
    gc.freeze()


class Garbage:
    """Counts connections that have ended, and has them freed.

    >>> freed = []
    >>> garbage = Garbage(lambda: freed.append("all"))
    >>> for _ in range(3 * COLLECT_EVERY):
    ...     garbage.connection_ended(now_s=100.0)
    >>> freed
    ['all']
    """

    def __init__(self, collect: Callable[[], object] = gc.collect) -> None:
        """Free by *collect*."""
        self._collect = collect
        self._ended = 0
        self._next_s = float("-inf")

    def connection_ended(self, now_s: float) -> None:
        """One more has ended at *now_s* (monotonic)."""
        self._ended += 1
        if self._ended >= COLLECT_EVERY and now_s >= self._next_s:
            self._ended, self._next_s = 0, now_s + COLLECT_INTERVAL_S
            self._collect()
