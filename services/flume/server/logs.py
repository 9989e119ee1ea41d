"""Logging of a server: whatever strangers do to it, the log stays readable and the disk free."""

import logging
import sys
import time
from collections.abc import Callable

BURST = 5
"""Lines of one kind within a window that are written as they are."""

WINDOW_S = 10.0

MOST_KINDS = 256
"""Kinds remembered; there are as many as there are log statements."""


class FloodFilter(logging.Filter):
    """Lets :data:`BURST` lines of each kind pass in :data:`WINDOW_S`, and says later how many it held back.

    A kind is a log statement: the text before its arguments are put in.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with an empty memory."""
        super().__init__()
        self._clock = clock
        self._kinds: dict[tuple[str, int, str], list[float]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether *record* is written; the first of a new window tells of those held back in the last."""
        key = (record.name, record.levelno, str(record.msg))
        now_s = self._clock()
        kind = self._kinds.get(key)
        if kind is None or now_s - kind[0] >= WINDOW_S:
            held = 0 if kind is None else max(0, int(kind[1]) - BURST)
            if len(self._kinds) >= MOST_KINDS:
                self._kinds.clear()
            self._kinds[key] = [now_s, 1]
            if held:
                record.msg, record.args = f"{record.getMessage()} (and {held} more like it before)", ()
            return True
        kind[1] += 1
        return kind[1] <= BURST


def set_up_logging(*, verbose: bool) -> None:
    """Write to standard error; *verbose* adds what only a person in search of a fault wants to read."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for handler in logging.getLogger().handlers:
        handler.addFilter(FloodFilter())
