"""Whether the media port of one client wants the stream, and whether it is still open.

A new port proves it once (:mod:`.proofs`). After ICMP port unreachable it is asked again, until it answers or is
believed closed.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import NamedTuple

from flume.control.endpoint import Address
from flume.errors import NetworkError
from flume.server.sessions.consent import Consent

CHECK_S = 0.1
"""How often a port is asked for its proof while ICMP messages say that it is closed."""


class PortReports(NamedTuple):
    """What a session does for its check."""

    ask: Callable[[], None]
    """Ask the present port for its proof."""
    on_closed: Callable[[socket.socket], None]
    """The port of this media socket is believed closed."""
    on_no_route: Callable[[NetworkError], None]
    """There is no socket to be had for a new port."""


REFUSALS, REFUSAL_INTERVAL_S, REFUSALS_WITHIN_S = 3, 0.9, 10.0
"""A port that cannot be asked is believed closed after so many ICMP messages, so far apart: hosts send one a second."""


class Refusals:
    """ICMP port unreachable about a port that cannot be asked for a proof. Pure.

    >>> refusals = Refusals()
    >>> [refusals.note(now_s) for now_s in (0.0, 0.1, 1.0, 2.0)]
    [False, False, False, True]
    """

    def __init__(self) -> None:
        """Begin without one."""
        self._times_s: list[float] = []

    def note(self, now_s: float) -> bool:
        """One came at *now_s* (monotonic); return whether the port is believed closed."""
        times_s = [time_s for time_s in self._times_s if now_s - time_s < REFUSALS_WITHIN_S]
        if not times_s or now_s - times_s[-1] >= REFUSAL_INTERVAL_S:
            times_s.append(now_s)
        self._times_s = times_s
        return len(times_s) >= REFUSALS


class PortCheck:
    """The checks of one session's media port. Runs on the event loop."""

    def __init__(self, consent: Consent, local_host: str | None, reports: PortReports) -> None:
        """Check the port that *consent* knows. *local_host* is the address of this host that the client called."""
        self._consent = consent
        self._local_host = local_host
        self._reports = reports
        self._timer: asyncio.TimerHandle | None = None

    @property
    def icmp_error(self) -> str | None:
        """The error that an ICMP message about the latest question was, ``None`` without one."""
        return self._consent.icmp_error

    def has_proved(self, source: Address) -> bool:
        """Whether *source* is the port that media go to, or will go to."""
        return self._consent.knows(source)

    def await_proof(self, source: Address) -> bool:
        """The port *source* is asked for its proof; return whether to tell the client that none is answered."""
        try:
            return self._consent.await_proof(source, self._local_host)
        except NetworkError as error:
            self._reports.on_no_route(error)
            return False

    def note_proof(self, source: Address) -> None:
        """The port *source* has answered what it was asked."""
        self._consent.note_proof(source, time.monotonic())

    def begin(self, media: socket.socket) -> None:
        """ICMP port unreachable came for *media*. A check that is under way goes on as it is."""
        if self._consent.note_refused(media, time.monotonic()):
            if self._timer is not None:
                self._timer.cancel()
            self._step()

    def _step(self) -> None:
        if not self._consent.is_in_doubt:
            return
        closed = self._consent.believed_refusal(time.monotonic())
        if closed is not None:
            self._consent.forget_refused()
            self._reports.on_closed(closed)
            return
        self._reports.ask()
        self._timer = asyncio.get_running_loop().call_later(CHECK_S, self._step)
