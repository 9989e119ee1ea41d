"""The same work for several things at the same time, in threads that mostly wait for an engine."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from flume.lab.machine.interrupts import GivenUp

_PARALLEL = 8
"""Parallel requests; further ones only queue in the engine."""

_T = TypeVar("_T")
_U = TypeVar("_U")


def in_parallel(function: Callable[[_T], _U], items: Sequence[_T]) -> list[_U]:
    """Return ``function(item)`` for each item, run in parallel; raise the first error after all have ended."""
    if not items:
        return []
    pool = ThreadPoolExecutor(min(_PARALLEL, len(items)), thread_name_prefix="side-by-side")
    try:
        futures = [pool.submit(function, item) for item in items]
        pool.shutdown()
    except GivenUp:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    except BaseException:
        # Not before the requests under way have ended: what they still make could not be cleared away.
        pool.shutdown(cancel_futures=True)
        raise
    return [future.result() for future in futures]
