"""Looks from time to time whether the stream flows, and whether this host still has the address that it began with.

Reports a stream that is silent, and a receive buffer that is too small; has UDP given up where it is blocked.
"""

import time

from flume.client.reception.receive_buffer import remedy_of_shortage, shortage
from flume.client.reception.receiver import Receiver
from flume.client.reception.statistics import SILENT_AFTER_S
from flume.client.session.control_session import ControlSession
from flume.client.session.network_watch import NetworkWatch
from flume.client.session.recovery import Recovery
from flume.client.session.reporter import Reporter
from flume.client.session.windows import WindowTracker
from flume.control.session import State

EXPECTING = frozenset({State.CONNECTING, State.ACTIVE})
"""States in which datagrams are to come."""

BUFFER_SMALL, BUFFER_FULL = "receive_buffer_small", "receive_buffer_full"


class Watchdog:
    """Call :meth:`look` about once a second, from one thread."""

    def __init__(
        self,
        session: ControlSession,
        recovery: Recovery,
        windows: WindowTracker,
        receiver: Receiver,
        reporter: Reporter,
    ) -> None:
        """Watch the session's stream; *recovery* changes to TCP, *reporter* gets what a person should know."""
        self._session, self._recovery, self._reporter = session, recovery, reporter
        self._windows, self._receiver = windows, receiver
        self._network = NetworkWatch()
        self._has_reported_silence = False
        self._reported_of_buffer: set[str] = set()

    def look(self) -> None:
        """Look once."""
        self._report_shortage()
        state, silence_s = self._session.state, self._windows.silence_s(time.monotonic())
        if self._network.has_changed(self._session.link, silence_s if state in EXPECTING else 0.0):
            return  # the control connection has ended, and recovery begins
        if self._recovery.check_udp(state, silence_s):
            return
        self._report_silence(is_silent=state is State.ACTIVE and silence_s > SILENT_AFTER_S)

    def _report_silence(self, *, is_silent: bool) -> None:
        """Report an active stream that is silent, once: nothing else does where a firewall drops the datagrams."""
        if is_silent and not self._has_reported_silence:
            self._reporter.notice(self._explanation(), code="no_datagrams")
        self._has_reported_silence = is_silent

    def _report_shortage(self) -> None:
        """Report once that the kernel grants too small a buffer, and once that it was full; counters show the rest."""
        buffer = self._receiver.buffer()
        found = None if buffer is None else shortage(buffer)
        if buffer is None or found is None:
            return
        code = BUFFER_FULL if buffer.dropped else BUFFER_SMALL
        if code not in self._reported_of_buffer:
            self._reported_of_buffer |= {code, BUFFER_SMALL}  # the report of a full one says whether it is small
            self._reporter.notice(f"{found}. Fix: {remedy_of_shortage(buffer)}", code=code)

    def _explanation(self) -> str:
        if self._recovery.transport == "tcp":
            return f"active, but nothing came for {SILENT_AFTER_S:g} s on the control connection: is the server well?"
        return (
            f"active, but no datagram came for {SILENT_AFTER_S:g} s: is the server well, and does this host's "
            f"firewall let UDP from {self._session.server} in?"
        )
