"""How other threads wake the sender thread."""

import contextlib
import threading


class Doorbell:
    """Wakes one waiting thread. A :class:`threading.Event` makes one lock and takes two others for each wait.

    >>> bell = Doorbell()
    >>> bell.ring(); bell.ring()
    >>> bell.wait(0.01), bell.wait(0.01)  # two rings before a wait are one
    (True, False)
    """

    def __init__(self) -> None:
        """Begin silent."""
        self._silent = threading.Lock()
        self._silent.acquire()

    def ring(self) -> None:
        """Let the present or next :meth:`wait` return; safe from any thread, however often."""
        with contextlib.suppress(RuntimeError):  # an earlier ring has not been waited for yet
            self._silent.release()

    def wait(self, timeout_s: float = -1) -> bool:
        """Return ``True`` once it has been rung since the last time, ``False`` after *timeout_s* (-1: never)."""
        return self._silent.acquire(timeout=timeout_s)
