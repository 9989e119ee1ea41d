"""The server put together: ports, session table, ingest and sender, from start to an orderly end."""

import asyncio
import contextlib
import errno
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from flume.control.messages import ServerStatus
from flume.control.session import Signal
from flume.errors import ServerError, SourceError
from flume.media.ring import Ring, slots_of
from flume.server.fronts.json_lines import ControlListener
from flume.server.ports import bind_both
from flume.server.sending.fanout import LIVE_PREBUFFER_S, Fanout
from flume.server.sending.group_sender import choose_sender
from flume.server.sending.media_port import MediaPort, probe_segmentation
from flume.server.sending.roster import CurrentRoster, Recipient
from flume.server.sending.subscriptions import Subscriptions
from flume.server.sending.tcp_delivery import BEHIND_S, TcpDelivery
from flume.server.sessions.table import SessionTable
from flume.server.sources.ingest import Ingest
from flume.server.sources.source import Source
from flume.settings import ServerSettings

SWEEP_S = 0.25
SOURCE_START_TIMEOUT_S = 15.0
"""libvlc has the first bytes of a local file in 60 ms; a cold start on a busy machine took 4 s."""

IDLE_HYSTERESIS_S = 2.0
"""A live source is stopped only after this long without a client: a quick interrupt and continue is free."""

OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
SHORTAGE_LOG_S = 60.0
"""How often a lack of file descriptors is told: asyncio tries again, and fails again, every second."""

_log = logging.getLogger(__name__)


class Server:
    """One server. ``await start()``, then ``await run()`` until it ends, or ``await close()``."""

    def __init__(self, source: Source, settings: ServerSettings) -> None:
        """Serve *source*; no port is opened and nothing is read before :meth:`start`."""
        self.settings = settings
        self._source = source
        self._started_s = time.monotonic()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._ready = asyncio.Event()
        self._closed = False
        self._ended: str | None = None
        self._failed: str | None = None
        self._shortage_told_s = float("-inf")
        self._pump_due = False
        self._idle_timer: asyncio.TimerHandle | None = None
        self._ingest = Ingest(source)
        self._current = CurrentRoster()
        self._ring = Ring(
            ssrc=secrets.randbits(32),
            first_sequence=secrets.randbits(16),
            timestamp_offset=secrets.randbits(32),
            slots=slots_of(settings.ring_mib),
            reach_s=settings.ring_s,
        )
        self._sender = choose_sender(None if settings.sender == "auto" else settings.sender)
        self._fanout = Fanout(
            self._ring,
            self._current,
            self._ingest,
            self,
            settings=settings,
            prebuffer_s=LIVE_PREBUFFER_S if source.live else 0.0,
            make_sender=self._sender.make,
        )
        self._control, media = bind_both(settings.host, settings.port)
        self._media_port = MediaPort(settings.host, media)
        self._segmentation = settings.segmentation and probe_segmentation()
        self._tcp = TcpDelivery(self._ring)
        self._subscriptions = Subscriptions(
            self._current, self._tcp, wake_sender=self._fanout.wake, on_active_change=self._on_active_change
        )
        self.table = self._make_table()
        self._listener = ControlListener(self.table)
        self._sweeper: asyncio.Task[None] | None = None

    def _make_table(self) -> SessionTable:
        return SessionTable(
            settings=self.settings,
            ring=self._ring,
            media_port=self._media_port,
            segmentation=self._segmentation,
            subscriptions=self._subscriptions,
            view=self,
        )

    @property
    def port(self) -> int:
        """The port of both control and media."""
        return self._media_port.port

    @property
    def source_name(self) -> str:
        """What people call the source."""
        return self._source.name

    @property
    def failures(self) -> dict[str, str]:
        """Items of the source that could not be played, with the reason."""
        return dict(self._ingest.failures)

    async def start(self) -> bool:
        """Read ahead, then accept clients; ``False`` if :meth:`stop` came first.

        Raises :class:`SourceError` when the source has nothing to give.
        """
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._on_loop_error)
        self._ingest.start(self._on_data)
        if not self._source.live:
            await self._wait_for_first_datagram()
        if self._stop.is_set():
            return False
        self._fanout.start()
        self._loop.add_reader(self._media_port.listener, self.table.on_newcomer)
        await self._listener.start(self._control)
        self._sweeper = self._loop.create_task(self._sweep())
        self._sweeper.add_done_callback(self._on_sweeper_done)
        return True

    async def _wait_for_first_datagram(self) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in (self._ready, self._stop)]
        try:
            await asyncio.wait(waits, timeout=SOURCE_START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self._stop.is_set():
            return
        if not self._ingest.first.is_set():
            raise SourceError(f"{self._source.name}: nothing to send within {SOURCE_START_TIMEOUT_S:g} s")
        if self._ingest.head_s() is None:
            raise SourceError(self._left_out() or self._ingest.ended or f"{self._source.name}: nothing to send")

    def _left_out(self) -> str:
        return "; ".join(f"{name}: {reason}" for name, reason in self.failures.items())

    async def run(self) -> str:
        """Serve until :meth:`stop` or the end of the video, end in order, and return why.

        Raises :class:`SourceError` if the source failed, as a whole or in part, before its end, and
        :class:`ServerError` after a fault of the server's own.
        """
        try:
            await self._stop.wait()
        finally:
            await self.close()
        if self._failed is not None:
            raise ServerError(self._failed)
        if self._ended is not None and (self._ingest.failed or self._ingest.failures):
            left_out = self._left_out()
            raise SourceError(f"{self._ended}; left out: {left_out}" if left_out else self._ended)
        return self._ended or "asked to stop"

    def stop(self) -> None:
        """Make :meth:`run` return after an orderly end; as often as you like."""
        self._stop.set()

    async def close(self) -> None:
        """Tell the clients, close the sockets, end the threads. Safe to call twice, and after a failed start."""
        if self._closed:
            return
        self._closed = True
        self.table.closing = True
        await self._listener.stop_accepting()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        if self._loop is not None:
            self._loop.remove_reader(self._media_port.listener)
            await self._say_goodbye()
        await self._listener.close()
        await asyncio.to_thread(self._fanout.stop)
        await asyncio.to_thread(self._ingest.close)
        self._control.close()
        self._media_port.close()

    async def _say_goodbye(self) -> None:
        if self._ended is not None and self._failed is None:
            # The sender has waited for those who receive over UDP; the end of the video belongs to the others as well.
            await self._tcp.drain(BEHIND_S)
            await self.table.signal_all(Signal.SOURCE_ENDED, self._ended)
        else:
            await self.table.signal_all(Signal.SHUTDOWN, self._failed or "it was asked to")

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self.table.sweep(time.monotonic())

    def _on_sweeper_done(self, task: asyncio.Task[None]) -> None:
        # Without it consent would never expire: streaming on to whoever has gone is not an option.
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the sweep of the sessions failed", exc_info=error)
            self._fail(f"the sweep of the sessions failed: {error!r}")

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        """Say what went wrong in a callback; a lack of file descriptors in one line, once a minute."""
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in OUT_OF_RESOURCES):
            loop.default_exception_handler(dict(context))
        elif (now_s := time.monotonic()) - self._shortage_told_s >= SHORTAGE_LOG_S:
            self._shortage_told_s = now_s
            _log.error("newcomers have to wait: %s (ulimit -n, LimitNOFILE=); tried again every second", error.strerror)

    def _on_active_change(self, active: int) -> None:
        """Start the ingest with the first client, stop it some time after the last."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        if active:
            self._ingest.want(True)  # noqa: FBT003 - a state
        elif self._loop is not None:
            delay_s = IDLE_HYSTERESIS_S if self._source.live else 0.0
            self._idle_timer = self._loop.call_later(delay_s, self._ingest.want, False)  # noqa: FBT003

    def server_status(self) -> ServerStatus:
        """Return what ``status`` tells of the server."""
        totals, tcp = self._fanout.statistics(), self._tcp
        return ServerStatus(
            uptime_s=round(time.monotonic() - self._started_s, 3),
            source=self._source.name,
            ingest=self._ingest.state,
            sessions=self.table.session_count,
            active=self._subscriptions.active_count,
            active_over_tcp=tcp.count,
            datagrams=totals.datagrams + tcp.datagrams,
            segmentation=self._segmentation,
            sender=totals.sender or self._sender.kind,
            fallbacks=totals.fallbacks,
            drops=dict(Counter(totals.drops) + tcp.drops + self.table.counts),
            source_counts=self._ingest.source_counts() | ({"stalls": totals.stalls} if totals.stalls else {}),
        )

    # -- called by the sender thread -------------------------------------------------------------------------

    def on_readers_done(self, epoch: int) -> None:
        """Pass on to the event loop."""
        self._call_soon(self._subscriptions.on_readers_done, epoch)

    def on_appended(self) -> None:
        """Pass on to the event loop; once, however many ticks pass before it gets there."""
        if not self._pump_due:
            self._pump_due = True
            self._call_soon(self._pump, None)

    def on_refused(self, recipient: Recipient) -> None:
        """Pass on to the event loop."""
        self._call_soon(self._subscriptions.on_refused, recipient)

    def on_source_ended(self, reason: str) -> None:
        """Pass on to the event loop."""
        self._call_soon(self._finish, reason)

    def on_sender_ended(self, error: Exception | None) -> None:
        """Pass on to the event loop."""
        self._call_soon(self._on_sender_ended, error)

    def _on_data(self) -> None:
        """Data has come, or the source has ended; called by the ingest thread."""
        self._fanout.wake()
        self._call_soon(lambda _: self._ready.set(), None)

    def _call_soon(self, function: Callable[..., object], argument: object) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and everybody with it
                self._loop.call_soon_threadsafe(function, argument)

    def _pump(self, _: None) -> None:
        self._pump_due = False  # before looking: what is appended from now on wakes us again
        self._tcp.pump_all()

    # -- the end, on the event loop --------------------------------------------------------------------------

    def _finish(self, reason: str) -> None:
        self._ended = reason
        _log.info("the video is over: %s", reason)
        self.stop()

    def _on_sender_ended(self, error: Exception | None) -> None:
        self._subscriptions.on_sender_ended()
        if error is not None:
            self._fail(f"sending failed: {error!r}")

    def _fail(self, reason: str) -> None:
        self._failed = self._failed or reason
        self.stop()
