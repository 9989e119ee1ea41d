"""Measures how long the steps of a run take."""

import contextlib
import time
from collections.abc import Iterator


class Stopwatch:
    """Durations by name, in seconds.

    >>> watch = Stopwatch()
    >>> with watch.step("start"):
    ...     pass
    >>> watch.steps["start"] < 1
    True
    """

    def __init__(self, *, began_s: float | None = None) -> None:
        """Start now, or at *began_s* of the monotonic clock."""
        self.steps: dict[str, float] = {}
        self._began_s = time.monotonic() if began_s is None else began_s

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the duration of the body to step *name*."""
        began_s = time.monotonic()
        try:
            yield
        finally:
            self.steps[name] = round(self.steps.get(name, 0.0) + time.monotonic() - began_s, 3)

    def mark(self, name: str, *, since_s: float | None = None) -> None:
        """Record the time since the start, or since *since_s*, under *name*; a second call changes nothing."""
        began_s = self._began_s if since_s is None else since_s
        self.steps.setdefault(name, round(time.monotonic() - began_s, 3))
