"""Where the media of one RTSP session go, and what goes beside them: RTCP, and a number that VLC must not miss."""

from collections.abc import Callable
from typing import NamedTuple

from flume.control.rtsp.headers import TcpTransport, Transport, UdpTransport
from flume.control.rtsp.messages import packet_header
from flume.server.fronts.number_wrap import NumberWrapGuard
from flume.server.fronts.sender_reports import ReportClock, SenderReports
from flume.server.sending.rtcp_port import RtcpPort
from flume.server.sessions.client_session import ClientSession
from flume.server.sessions.punches import Punch, Punches


class RtspStream(NamedTuple):
    """What players are told of the stream."""

    title: str
    seconds: float | None
    """How long it is; ``None`` for a live one."""
    ssrc: int
    port: int
    """UDP port of the media."""
    rtcp: RtcpPort | None
    newest: Callable[[], tuple[int, int] | None]
    """Number and RTP timestamp of the newest datagram; ``None`` before the first."""
    wrap_guard: NumberWrapGuard
    punches: Punches
    report_clock: ReportClock


class RtspPath:
    """Runs on the event loop."""

    def __init__(
        self, session: ClientSession, stream: RtspStream, write: Callable[[bytes], None], *, may_move: bool
    ) -> None:
        """Begin without a port. *write* writes on the connection.

        *may_move*: whether the media may go to a port that the player's datagrams show, and that it does not name.
        """
        self._session, self._stream, self._write = session, stream, write
        self._may_move = may_move
        self.reports = SenderReports(
            session,
            stream.rtcp,
            self._write_packet,
            ssrc=stream.ssrc,
            newest=stream.newest,
            clock=stream.report_clock,
        )
        self._punch: Punch | None = None
        self.chosen: Transport | None = None
        """What the last SETUP asked for, until TEARDOWN."""
        self.is_satip = False
        """Whether the first request was SETUP: VLC's SAT>IP module alone begins so."""

    def set_up(self, chosen: Transport | None) -> None:
        """SETUP has chosen this, or TEARDOWN has ended it."""
        self.chosen = chosen
        self._follow(chosen)

    async def aim(self) -> str | None:
        """Let the media go to the port that SETUP named, or to that of its NAT; return why they may not."""
        if isinstance(self.chosen, UdpTransport):
            punch = self._punch or self._follow(self.chosen)
            if punch is not None:
                port = await punch.choose()
                if port is None:
                    return "another session of your address receives at this port: name another one"
                await self._session.receive_at((self._session.peer[0], port))
        return None

    def _follow(self, chosen: Transport | None) -> Punch | None:
        """Follow the punches of the port that *chosen* names, and no more those of the port before."""
        before, self._punch = self._punch, None
        if before is not None:
            before.close()
        if isinstance(chosen, UdpTransport):
            named = (self._session.peer[0], chosen.port)
            move = self._move if self._may_move and not self.is_satip else None  # that module sends none
            self._punch = self._stream.punches.expect(named, move, self._session.dropped_at_port)
        return self._punch

    def _move(self, port: int) -> None:
        """A punch came from *port* after PLAY."""
        self._session.consent((self._session.peer[0], port))
        self.reports.start(self.chosen, is_moved=True)

    def accompany(self) -> None:
        """Send what goes beside the media, from now on."""
        self.reports.start(self.chosen, is_moved=self._punch is not None and self._punch.is_moved)
        if self.is_satip and isinstance(self.chosen, UdpTransport):
            self._stream.wrap_guard.add(self._session.send_aside)

    def leave_alone(self, *, bye: bool = False, is_paused: bool = False) -> None:
        """Send nothing beside the media any more, after *bye* if it says so; look for punches if it *is_paused*."""
        self.reports.stop(bye=bye, is_paused=is_paused)
        self._stream.wrap_guard.remove(self._session.send_aside)
        if not is_paused:
            self._follow(None)
        elif self._punch is not None:
            self._punch.pause()

    def _write_packet(self, data: bytes) -> None:
        """Write an RTCP packet on the connection, if the media go there."""
        if isinstance(self.chosen, TcpTransport):
            self._write(packet_header(self.chosen.rtcp_channel, len(data)) + data)
