"""Looks from time to time whether the stream flows: tells when it stands still, when UDP has to be given up, and when
this machine has too little room for it.
"""

import time
from collections.abc import Callable
from typing import Protocol

from flume.client.reception.receive_buffer import cure_of_shortage, shortage
from flume.client.reception.receiver import Receiver
from flume.client.session.fallback import Fallback
from flume.client.session.windows import Delivery
from flume.control.session import State

SILENCE_S = 5.0
"""An active stream may need that long to come back from idleness; then a firewall is more likely."""

BUFFER_SMALL, BUFFER_FULL = "receive_buffer_small", "receive_buffer_full"


class Report(Protocol):
    """Tells the user."""

    def __call__(self, event: str, *, message: str, code: str) -> None:
        """Of *event*."""


class Lookout:
    """Call :meth:`look` on each beat, from one thread."""

    def __init__(
        self,
        fallback: Fallback,
        delivery: Delivery,
        receiver: Receiver,
        *,
        report: Report,
        server: Callable[[], str],
        sent: Callable[[], int | None],
        fall_back: Callable[[], None],
    ) -> None:
        """Look at *delivery* and *receiver*; *server* names the server's end, *sent* asks it what it has sent."""
        self._fallback, self._delivery, self._receiver = fallback, delivery, receiver
        self._report, self._server, self._sent, self._fall_back = report, server, sent, fall_back
        self._told = False
        self._told_of_buffer: set[str] = set()

    def look(self, state: State) -> None:
        """Look once, with the session in *state*."""
        self._tell_shortage()
        silence_s = self._delivery.silence_s(time.monotonic())
        has_flowed = self._receiver.first_datagram_s is not None
        if self._fallback.is_blocked(state, silence_s, has_flowed=has_flowed, sent=self._sent):
            self._fall_back()
            return
        self._tell_silence(is_silent=state is State.ACTIVE and silence_s > SILENCE_S)

    def _tell_silence(self, *, is_silent: bool) -> None:
        """Tell once when an active stream stands still: a firewall that drops what comes in tells nobody else."""
        if is_silent and not self._told:
            self._report("notice", message=self._explanation(), code="no_datagrams")
        self._told = is_silent

    def _tell_shortage(self) -> None:
        """Tell once that the kernel grants too small a buffer, and once that it was full: the numbers show the rest."""
        buffer = self._receiver.buffer()
        said = None if buffer is None else shortage(buffer)
        if buffer is None or said is None:
            return
        code = BUFFER_FULL if buffer.dropped else BUFFER_SMALL
        if code not in self._told_of_buffer:
            self._told_of_buffer |= {code, BUFFER_SMALL}  # of a full one it is said whether it is small as well
            self._report("notice", message=f"{said}. Cure: {cure_of_shortage(buffer)}", code=code)

    def _explanation(self) -> str:
        if self._fallback.transport == "tcp":
            return f"active, but nothing came for {SILENCE_S:g} s on the control connection: is the server well?"
        return (
            f"active, but no datagram came for {SILENCE_S:g} s: is the server well, and does this host's "
            f"firewall let UDP from {self._server()} in?"
        )
