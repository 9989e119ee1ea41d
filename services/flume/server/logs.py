"""Logging of a server: whatever strangers do to it, the log stays readable and the disk free."""

import asyncio
import errno
import logging
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

BURST = 5
"""Lines of one kind within a window that are written as they are."""

WINDOW_S = 10.0

MAX_KINDS = 256
"""Kinds remembered; there are as many as there are log statements."""

OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
SHORTAGE_LOG_S = 60.0
"""How often a lack of file descriptors is logged: asyncio tries again, and fails again, every second."""

_log = logging.getLogger(__name__)


class FloodFilter(logging.Filter):
    """Passes :data:`BURST` lines of each kind in :data:`WINDOW_S`, and says later how many it suppressed.

    A kind is a log statement: the text before its arguments are put in.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with an empty memory."""
        super().__init__()
        self._clock = clock
        self._kinds: dict[tuple[str, int, str], list[float]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether *record* is written. The first one of a window also says how many the last one suppressed."""
        key = (record.name, record.levelno, str(record.msg))
        now_s = self._clock()
        kind = self._kinds.get(key)
        if kind is None or now_s - kind[0] >= WINDOW_S:
            suppressed = 0 if kind is None else max(0, int(kind[1]) - BURST)
            if len(self._kinds) >= MAX_KINDS:
                self._kinds.clear()
            self._kinds[key] = [now_s, 1]
            if suppressed:
                record.msg, record.args = f"{record.getMessage()} (and {suppressed} more like it before)", ()
            return True
        kind[1] += 1
        return kind[1] <= BURST


class LoopErrorLog:
    """The exception handler of the event loop: logs a lack of file descriptors in one line, once a minute."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with no shortage logged."""
        self._clock = clock
        self._logged_s = float("-inf")

    def __call__(self, loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        """Log the error in *context*; see :meth:`asyncio.loop.call_exception_handler`."""
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in OUT_OF_RESOURCES):
            loop.default_exception_handler(dict(context))
        elif (now_s := self._clock()) - self._logged_s >= SHORTAGE_LOG_S:
            self._logged_s = now_s
            _log.error(
                "no new connection can be accepted: %s (ulimit -n, LimitNOFILE=); tried again every second",
                error.strerror,
            )


def set_up_logging(*, verbose: bool) -> None:
    """Write to standard error; with *verbose* also what helps to find a fault."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for handler in logging.getLogger().handlers:
        handler.addFilter(FloodFilter())
