"""From the threads to the event loop: the only place where the sender or the ingest thread meets the control side.

Each report is handed over with ``call_soon_threadsafe`` and carried out on the loop, in the order of the calls of one
thread. The other direction needs no bridge: control publishes rosters without a lock and rings a doorbell.
"""

import asyncio
import contextlib
from collections.abc import Callable

from flume.server.ending import Ending
from flume.server.sending.doorbell import Doorbell
from flume.server.sending.roster import Recipient
from flume.server.sending.subscriptions import Subscriptions
from flume.server.sending.tcp_delivery import TcpDelivery


class LoopBridge:
    """A :class:`~flume.server.sending.fanout.FanoutListener`, and the ingest's callback."""

    def __init__(self, subscriptions: Subscriptions, tcp: TcpDelivery, ending: Ending, doorbell: Doorbell) -> None:
        """Report to *subscriptions*, *tcp* and *ending*; ring *doorbell* of the sender thread for new data."""
        self._subscriptions = subscriptions
        self._tcp = tcp
        self._ending = ending
        self._doorbell = doorbell
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pump_due = self._is_first_handed_over = False
        self.first_data = asyncio.Event()
        """Set on the loop once data has come or the source has ended."""

    def open(self) -> None:
        """Hand over to the running loop from now on; earlier reports are dropped."""
        self._loop = asyncio.get_running_loop()

    # -- called by the sender thread -----------------------------------------------------------------------

    def on_readers_done(self, epoch: int) -> None:
        """No roster older than *epoch* is in use any more."""
        self.hand_over(self._subscriptions.on_readers_done, epoch)

    def on_appended(self) -> None:
        """The ring has more; handed over once, however many ticks pass before the loop gets there."""
        if not self._pump_due:
            self._pump_due = True
            self.hand_over(self._pump)

    def on_refused(self, recipient: Recipient) -> None:
        """The client's host answered ICMP port unreachable."""
        self.hand_over(self._subscriptions.on_refused, recipient)

    def on_source_ended(self, reason: str) -> None:
        """The last datagram of the source has been sent, or the source has failed."""
        self.hand_over(self._ending.on_source_ended, reason)

    def on_sender_ended(self, error: Exception | None) -> None:
        """The sender thread has ended; *error* is ``None`` if it was asked to."""
        self.hand_over(self._end_sender, error)

    # -- called by the ingest thread -----------------------------------------------------------------------

    def on_data(self) -> None:
        """Data has come, or the source has ended."""
        self._doorbell.ring()
        if not self._is_first_handed_over:  # a relay calls this for each burst, and each call wakes the loop
            self._is_first_handed_over = self._loop is not None
            self.hand_over(self.first_data.set)

    # -- on the event loop ---------------------------------------------------------------------------------

    def hand_over(self, function: Callable[..., object], *arguments: object) -> None:
        """Call *function* on the loop, after what was handed over before; from any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and every session with it
                self._loop.call_soon_threadsafe(function, *arguments)

    def _pump(self) -> None:
        self._pump_due = False  # before the look at the ring: an append from now on is a new report
        self._tcp.pump_all()

    def _end_sender(self, error: Exception | None) -> None:
        self._subscriptions.on_sender_ended()
        if error is not None:
            self._ending.fail(f"sending failed: {error!r}")
