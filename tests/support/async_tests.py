"""Tests of coroutines without a plugin of pytest."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any


def run(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Make a test of pytest of the coroutine function *test*: a decorator."""

    @functools.wraps(test)
    def wrapper(*arguments: Any, **fields: Any) -> None:
        asyncio.run(test(*arguments, **fields))

    return wrapper
