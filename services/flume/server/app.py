"""The server put together: ports, sessions, ingest and sender, from start to an orderly end."""

import asyncio
import logging
import secrets
import time
from collections import Counter
from typing import NamedTuple

from flume.control.endpoint import endpoint
from flume.control.messages import ServerStatus
from flume.control.session import Signal
from flume.errors import ServerError, SourceError
from flume.media.packetizer import Packetizer
from flume.media.ring import Ring, slots_of
from flume.secret import hide_queries
from flume.server.access.rules import access_of
from flume.server.demand import Demand
from flume.server.ending import Ending
from flume.server.fronts.listening import ControlListener
from flume.server.fronts.number_wrap import NumberWrapGuard
from flume.server.fronts.rtsp import ENDLESS_S
from flume.server.fronts.rtsp_path import RtspStream
from flume.server.fronts.sender_reports import ReportClock
from flume.server.limits.descriptors import Descriptors
from flume.server.logs import LoopErrorLog
from flume.server.loop_bridge import LoopBridge
from flume.server.ports import bind_both, reached_at
from flume.server.sending.doorbell import Doorbell
from flume.server.sending.fanout import Fanout
from flume.server.sending.group_sender import choose_sender
from flume.server.sending.join_pacing import join_pacing
from flume.server.sending.media_port import MediaPort, probe_segmentation
from flume.server.sending.roster import CurrentRoster
from flume.server.sending.rtcp_port import open_rtcp
from flume.server.sending.subscriptions import Subscriptions
from flume.server.sending.tcp_delivery import BEHIND_S, TcpDelivery
from flume.server.sending.tcp_pacing import TcpPacing
from flume.server.sessions.arrivals import Arrivals
from flume.server.sessions.services import SessionServices
from flume.server.sessions.table import SessionFigures, SessionTable
from flume.server.sessions.tokens import Tokens
from flume.server.sources.feed import Feed
from flume.server.sources.ingest import Ingest
from flume.server.sources.source import Source
from flume.settings import ServerSettings

SWEEP_S = 0.25
GOODBYE_S = 0.5
"""A server that was asked to end waits so long for datagrams that this host still holds, and again so long for clients
that do not read its goodbye. With what else there is to end it is gone within two seconds."""

SOURCE_START_TIMEOUT_S = 15.0
"""libvlc has the first bytes of a local file in 60 ms; a cold start on a busy host took 4 s."""

_log = logging.getLogger(__name__)


class ServerParts(NamedTuple):
    """Classes that a server is built of. Tests give broken ones."""

    media_port: type[MediaPort] = MediaPort
    subscriptions: type[Subscriptions] = Subscriptions
    table: type[SessionTable] = SessionTable


_REAL_PARTS = ServerParts()


class Server:
    """One server.

    ::

        server = Server(source, ServerSettings(port=5004))
        if await server.start():
            reason = await server.run()  # until stop(), or the end of the video
    """

    def __init__(self, source: Source | Feed, settings: ServerSettings, *, parts: ServerParts = _REAL_PARTS) -> None:
        """Bind the ports and prepare to serve *source*; nothing is read, sent or accepted before :meth:`start`.

        A source is read and cut into datagrams; a feed, such as a relay's, has them already.

        Raises :class:`NetworkError` when a port cannot be bound, and :class:`SettingsError`.
        """
        self.settings = settings
        self._started_s = time.monotonic()
        self._closed = False
        self._sweeper: asyncio.Task[None] | None = None
        self._access = access_of(settings)
        self._control, media = bind_both(settings.host, settings.port)
        self._media_port = parts.media_port(settings.host, media)
        self._segmentation = settings.segmentation and probe_segmentation()
        self._sender = choose_sender(None if settings.sender == "auto" else settings.sender)
        self._ending = Ending()
        self._ingest = source if isinstance(source, Feed) else _ingest_of(source, settings)
        self._demand = Demand(self._ingest)
        self._ring = _new_ring(settings)
        pacing = join_pacing(settings)
        self._tcp = TcpDelivery(self._ring, TcpPacing(self._ring, pacing))
        current, doorbell = CurrentRoster(), Doorbell()
        self._subscriptions = parts.subscriptions(
            current, self._tcp, wake_sender=doorbell.ring, on_active_change=self._demand.update
        )
        self._bridge = LoopBridge(self._subscriptions, self._tcp, self._ending, doorbell)
        self._fanout = Fanout(
            self._ring,
            current,
            self._ingest,
            self._bridge,
            settings=settings,
            doorbell=doorbell,
            make_sender=self._sender.make,
            pacing=pacing,
        )
        self._tokens = Tokens()
        self._arrivals = Arrivals(self._media_port, self._tokens, self._access.networks)
        self._refused: Counter[str] = Counter()
        self._descriptors = Descriptors()
        self.table = parts.table(
            SessionServices(
                settings=settings,
                ring=self._ring,
                media_port=self._media_port,
                subscriptions=self._subscriptions,
                tokens=self._tokens,
                arrivals=self._arrivals,
                segmentation=self._segmentation,
                refused=self._refused,
                status=self.status,
            ),
            room=self._descriptors.room,
        )
        self._serves_rtsp = settings.rtsp and settings.tls_certificate is None
        self._rtcp = open_rtcp(settings.host, self.port) if self._serves_rtsp else None
        self._listener = ControlListener(self.table, self._access, self._rtsp_stream() if self._serves_rtsp else None)

    def _rtsp_stream(self) -> RtspStream:
        return RtspStream(
            title=self._ingest.name,
            seconds=None if self._ingest.live else ENDLESS_S,
            ssrc=self._ring.ssrc,
            port=self.port,
            rtcp=self._rtcp,
            newest=self._ring.newest,
            wrap_guard=NumberWrapGuard(self._ring.newest, ssrc=self._ring.ssrc, packets=self.settings.datagram_packets),
            punches=self._arrivals.punches,
            report_clock=ReportClock(),
        )

    @property
    def port(self) -> int:
        """The port of both control and media."""
        return self._media_port.port

    @property
    def rtsp_address(self) -> str | None:
        """What a person types into a player on another host; ``None`` without RTSP."""
        return f"rtsp://{endpoint(reached_at(self.settings.host), self.port)}/" if self._serves_rtsp else None

    @property
    def source_name(self) -> str:
        """The name of the source, for people."""
        return self._ingest.name

    @property
    def failures(self) -> dict[str, str]:
        """Why items of the source could not be played, by name."""
        return dict(self._ingest.failures)

    def status(self) -> ServerStatus:
        """Return the state of the server as a whole."""
        totals, tcp = self._fanout.statistics(), self._tcp
        return ServerStatus(
            uptime_s=round(time.monotonic() - self._started_s, 3),
            source=hide_queries(self._ingest.name),
            ingest=self._ingest.state,
            sessions=self.table.session_count,
            active=self._subscriptions.active_count,
            active_over_tcp=tcp.count,
            datagrams=totals.datagrams + tcp.datagrams,
            segmentation=self._segmentation,
            sender=totals.sender or self._sender.kind,
            fallbacks=totals.fallbacks,
            refused=dict(self._refused),
            drops=dict(Counter(totals.drops) + tcp.drops + self._tokens.counts + self._media_port.counts),
            receivers=self.table.claims(),
            identity=self._ingest.identity,
            upstream=self._ingest.upstream(),
            source_counts=self._ingest.source_counts() | ({"stalls": totals.stalls} if totals.stalls else {}),
        )

    def figures(self) -> tuple[ServerStatus, list[SessionFigures]]:
        """Return the state of the server and of each session, for metrics; on the event loop alone."""
        return self.status(), self.table.figures()

    # -- from start to end ---------------------------------------------------------------------------------

    async def start(self) -> bool:
        """Read ahead, then accept clients; ``False`` if :meth:`stop` came first.

        Raises :class:`SourceError` when the source has nothing to send.
        """
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(LoopErrorLog())
        self._bridge.open()
        self._ingest.start(self._bridge.on_data, self._on_item_broken)
        if not self._ingest.live:
            await self._wait_for_first_datagram()
        if self._ending.is_asked:
            return False
        self._fanout.start()
        loop.add_reader(self._media_port.listener, self._arrivals.on_listener_readable)
        if self._rtcp is not None:
            loop.add_reader(self._rtcp.socket, self._rtcp.on_readable)
        self._descriptors.begin()
        self._listener.start(self._control, self._descriptors)
        self._sweeper = loop.create_task(self._sweep())
        self._sweeper.add_done_callback(self._on_sweeper_done)
        return True

    async def _wait_for_first_datagram(self) -> None:
        waits = [asyncio.ensure_future(wait) for wait in (self._bridge.first_data.wait(), self._ending.wait())]
        try:
            await asyncio.wait(waits, timeout=SOURCE_START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self._ending.is_asked:
            return
        if not self._ingest.first.is_set():
            raise SourceError(f"{self._ingest.name}: nothing to send within {SOURCE_START_TIMEOUT_S:g} s")
        if self._ingest.head_s() is None and not self._ingest.live:
            raise SourceError(self._left_out() or self._ingest.ended or f"{self._ingest.name}: nothing to send")

    def _on_item_broken(self, reason: str) -> None:
        self._bridge.hand_over(self.table.notice_all, "item_failed", hide_queries(reason))

    def _left_out(self) -> str:
        return "; ".join(f"{name}: {reason}" for name, reason in self.failures.items())

    async def run(self) -> str:
        """Serve until :meth:`stop` or the end of the video, end in order, and return why.

        Raises :class:`SourceError` if the source failed, as a whole or in part, before its end, and
        :class:`ServerError` after a fault of the server's own.
        """
        try:
            await self._ending.wait()
        finally:
            await self.close()
        if self._ending.failed is not None:
            raise ServerError(self._ending.failed)
        ended = self._ending.source_ended
        if ended is not None and (self._ingest.failed or self._ingest.failures):
            left_out = self._left_out()
            raise SourceError(f"{ended}; left out: {left_out}" if left_out else ended)
        return ended or "asked to stop"

    def stop(self) -> None:
        """Make :meth:`run` return after an orderly end. Further calls do nothing."""
        self._ending.stop()

    async def close(self) -> None:
        """Tell the clients, close the sockets, end the threads. Safe to call twice, and after a failed start."""
        if self._closed:
            return
        self._closed = True
        self.table.begin_closing()
        await self._listener.stop_accepting()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        asyncio.get_running_loop().remove_reader(self._media_port.listener)
        await self._say_goodbye()
        await self._listener.close(timeout_s=GOODBYE_S if self._ending.source_ended is None else BEHIND_S)
        await asyncio.to_thread(self._fanout.stop)
        self._demand.close()
        await asyncio.to_thread(self._ingest.close)
        self._control.close()
        self._media_port.close()
        if self._rtcp is not None:
            asyncio.get_running_loop().remove_reader(self._rtcp.socket)
            self._rtcp.close()
        self._descriptors.close()
        if self._access.logins is not None:
            self._access.logins.close()

    async def _say_goodbye(self) -> None:
        ended, failed = (
            None if reason is None else hide_queries(reason)
            for reason in (self._ending.source_ended, self._ending.failed)
        )
        if ended is not None and failed is None:
            # The sender thread has waited for the clients over UDP; clients over TCP get the end of the video here.
            await self._tcp.drain(BEHIND_S)
            await self.table.signal_all(Signal.SOURCE_ENDED, ended)
        else:
            self._subscriptions.end_by(time.monotonic() + GOODBYE_S)
            await self.table.signal_all(Signal.SHUTDOWN, failed or "it was asked to")

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self.table.sweep(time.monotonic())
            if self._access.logins is not None:
                self._access.logins.refresh()

    def _on_sweeper_done(self, task: asyncio.Task[None]) -> None:
        # Without the sweep no consent would expire, and the server would stream to clients that are gone.
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the sweep of the sessions failed", exc_info=error)
            self._ending.fail(f"the sweep of the sessions failed: {error!r}")


def _ingest_of(source: Source, settings: ServerSettings) -> Feed:
    return Ingest(source, packetizer=Packetizer(packets_per_datagram=settings.datagram_packets))


def _new_ring(settings: ServerSettings) -> Ring:
    return Ring(
        ssrc=secrets.randbits(32),
        first_sequence=secrets.randbits(16),
        timestamp_offset=secrets.randbits(32),
        slots=slots_of(settings.ring_mib, settings.datagram_packets),
        packets_per_datagram=settings.datagram_packets,
        reach_s=settings.ring_s,
    )
