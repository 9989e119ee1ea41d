"""The server put together: ports, session table, ingest and sender, from start to an orderly end."""

import asyncio
import logging
import secrets
import socket
import time
from collections import Counter
from collections.abc import Callable

from flume.control.messages import ServerStatus
from flume.control.session import Signal
from flume.errors import NetworkError, SourceError
from flume.media.ring import Ring
from flume.server.control_listener import ControlListener, bind_control
from flume.server.fanout import LIVE_PREBUFFER_S, Fanout
from flume.server.ingest import Ingest
from flume.server.media_port import MediaPort, probe_segmentation
from flume.server.roster import Recipient, RosterBoard
from flume.server.sessions import SessionTable
from flume.server.source import Source
from flume.settings import ServerSettings

SWEEP_S = 0.25
SOURCE_START_TIMEOUT_S = 15.0
"""libvlc has the first bytes of a local file in 60 ms; a cold start on a busy machine took 4 s."""

IDLE_HYSTERESIS_S = 2.0
"""A live source is stopped only after this long without a client: a quick interrupt and continue is free."""

PORT_TRIES = 16

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
        self._ended: str | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._ingest = Ingest(source)
        self._board = RosterBoard()
        self._ring = Ring(
            ssrc=secrets.randbits(32), first_sequence=secrets.randbits(16), timestamp_offset=secrets.randbits(32)
        )
        self._fanout = Fanout(
            self._ring,
            self._board,
            self._ingest,
            self,
            settings=settings,
            prebuffer_s=LIVE_PREBUFFER_S if source.live else 0.0,
        )
        self._control, self._media_port = _bind_both(settings.host, settings.port)
        self._segmentation = settings.segmentation and probe_segmentation()
        self.table = self._make_table()
        self._listener = ControlListener(self.table)
        self._sweeper: asyncio.Task[None] | None = None

    def _make_table(self) -> SessionTable:
        return SessionTable(
            settings=self.settings,
            ring=self._ring,
            board=self._board,
            media_port=self._media_port,
            segmentation=self._segmentation,
            wake_sender=self._fanout.wake,
            on_active_change=self._on_active_change,
            view=self,
        )

    @property
    def port(self) -> int:
        """The port of both control and media."""
        return self._media_port.port

    @property
    def failures(self) -> dict[str, str]:
        """Items of the source that could not be played, with the reason."""
        return dict(self._ingest.failures)

    async def start(self) -> None:
        """Read ahead, then accept clients. Raises :class:`SourceError` when the source has nothing to give."""
        self._loop = asyncio.get_running_loop()
        self._ingest.start(self._fanout.wake)
        if not self._source.live:
            await self._wait_for_first_datagram()
        self._fanout.start()
        self._loop.add_reader(self._media_port.listener, self.table.on_newcomer)
        await self._listener.start(self._control)
        self._sweeper = self._loop.create_task(self._sweep())

    async def _wait_for_first_datagram(self) -> None:
        ready = await asyncio.to_thread(self._ingest.first.wait, SOURCE_START_TIMEOUT_S)
        if not ready:
            raise SourceError(f"{self._source.name}: nothing to send within {SOURCE_START_TIMEOUT_S:g} s")
        if self._ingest.head_s() is None:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in self._ingest.failures.items())
            raise SourceError(reasons or self._ingest.ended or f"{self._source.name}: nothing to send")

    async def run(self) -> str:
        """Serve until :meth:`stop` or the end of the video, end in order, and return why."""
        try:
            await self._stop.wait()
        finally:
            await self.close()
        return self._ended or "asked to stop"

    def stop(self) -> None:
        """Make :meth:`run` return after an orderly end."""
        self._stop.set()

    async def close(self) -> None:
        """Tell the clients, close the sockets, end the threads. Safe to call twice, and after a failed start."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        if self._loop is not None:
            self._loop.remove_reader(self._media_port.listener)
            await self.table.signal_all(Signal.SHUTDOWN)
        await self._listener.close()
        await asyncio.to_thread(self._fanout.stop)
        await asyncio.to_thread(self._ingest.close)
        self._control.close()
        self._media_port.close()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self.table.sweep(time.monotonic())

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
        totals = self._fanout.statistics()
        return ServerStatus(
            uptime_s=round(time.monotonic() - self._started_s, 3),
            source=self._source.name,
            ingest=self._ingest.state,
            sessions=self.table.session_count,
            active=self.table.active_count,
            datagrams=totals.datagrams,
            segmentation=self._segmentation,
            drops=dict(Counter(totals.drops) + self.table.counts),
        )

    # -- called by the sender thread -------------------------------------------------------------------------

    def on_settled(self, generation: int) -> None:
        """Pass on to the event loop."""
        self._call_soon(self.table.on_settled, generation)

    def on_refused(self, recipient: Recipient) -> None:
        """Pass on to the event loop."""
        self._call_soon(self.table.on_refused, recipient)

    def on_source_ended(self, reason: str) -> None:
        """Pass on to the event loop."""
        self._call_soon(self._finish, reason)

    def _call_soon(self, function: Callable[..., object], argument: object) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, argument)

    def _finish(self, reason: str) -> None:
        self._ended = reason
        _log.info("the video is over: %s", reason)
        task = asyncio.get_running_loop().create_task(self.table.signal_all(Signal.SOURCE_ENDED, reason))
        task.add_done_callback(lambda _: self.stop())


def _bind_both(host: str, port: int) -> tuple[socket.socket, MediaPort]:
    """Bind TCP and UDP to one number; with *port* 0 try until the kernel's choice for one is free for the other."""
    for attempt in range(PORT_TRIES):
        control = bind_control(host, port)
        try:
            return control, MediaPort(host, control.getsockname()[1])
        except NetworkError:
            control.close()
            if port or attempt == PORT_TRIES - 1:
                raise
    raise AssertionError("unreachable")
