"""File descriptors: how many sessions there is room for, so that what keeps the viewers alive never runs short."""

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

DESCRIPTORS_PER_SESSION = 2
"""A control and a media socket."""

RESERVED = 64
"""Kept free of sessions: the pipes of the next reader's process, io_uring's rings, connections that are turned away."""


class Descriptors:
    """The descriptors of this process: begin with :meth:`begin`."""

    def __init__(self) -> None:
        """Keep none."""
        self._spare = -1
        self._own = 0
        """How many descriptors the server itself has open."""

    def begin(self) -> None:
        """Note how many descriptors are open, with all but sessions running, and keep one more for :meth:`spare`.

        Raises :class:`OSError` where not even one is left.
        """
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        with contextlib.suppress(OSError):
            self._own = len(list(Path("/proc/self/fd").iterdir()))

    def room(self) -> int:
        """Return how many sessions the present limit allows, 0 at least."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY:
            return 1 << 30
        return max(0, (soft - self._own - RESERVED) // DESCRIPTORS_PER_SESSION)

    @contextlib.contextmanager
    def spare(self) -> Iterator[None]:
        """Give up the descriptor that is kept, for the body: one connection can be accepted, and told why not."""
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Give up what is kept."""
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1
