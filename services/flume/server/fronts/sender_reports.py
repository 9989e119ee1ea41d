"""RTCP of one RTSP session: sender reports while it plays, and what its player reports."""

import asyncio
import itertools
import time
from collections.abc import Callable

from flume.control.endpoint import Address
from flume.control.messages import ReceiverClaim
from flume.control.rtsp.headers import Transport, UdpTransport
from flume.control.rtsp.rtcp import receiver_reports_untrusted, sender_report
from flume.media.rtp import CLOCK_HZ, HEADER_BYTES
from flume.server.sending.rtcp_port import RtcpPort
from flume.server.sessions.client_session import ClientSession

INTERVAL_S = 5.0
"""RFC 3550, section 6.2."""


class ReportClock:
    """Says when reports are due: one timer for all sessions, which wakes the event loop twice a second.

    With a timer for each, 200 players woke it 40 times a second, at 2 % of what it costs to send them 8 Mbit/s each.
    """

    def __init__(self) -> None:
        """Begin without a session; the timer runs while there is one."""
        self._due_s: dict[Callable[[], None], float] = {}
        """The earliest first."""
        self._timer: asyncio.TimerHandle | None = None

    def add(self, report: Callable[[], None]) -> None:
        """Call *report* every :data:`INTERVAL_S` from now on, at most a tenth of it late."""
        self._due_s.pop(report, None)
        self._due_s[report] = asyncio.get_running_loop().time() + INTERVAL_S
        if self._timer is None:
            self._wait()

    def remove(self, report: Callable[[], None]) -> None:
        """Call *report* no more, if it was to be called."""
        self._due_s.pop(report, None)
        if not self._due_s and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(INTERVAL_S / 10, self._look)

    def _look(self) -> None:
        self._wait()
        now_s = asyncio.get_running_loop().time()
        due = list(itertools.takewhile(lambda each: self._due_s[each] <= now_s, self._due_s))
        for report in due:
            if report in self._due_s:  # a report before it may have ended others
                self.add(report)
                report()


class SenderReports:
    """Runs on the event loop."""

    def __init__(
        self,
        session: ClientSession,
        port: RtcpPort | None,
        write: Callable[[bytes], None],
        *,
        ssrc: int,
        newest: Callable[[], tuple[int, int] | None],
        clock: ReportClock,
    ) -> None:
        """Report by *port*, or by *write* where the media go over TCP, when *clock* says so.

        *newest* returns number and timestamp of the newest datagram.
        """
        self._session, self._port, self._write = session, port, write
        self._ssrc, self._newest, self._clock = ssrc, newest, clock
        self._target: Address | None = None
        self._is_over_tcp = False

    def start(self, chosen: Transport | None, *, is_moved: bool = False) -> None:
        """Report from now on.

        *is_moved*: a NAT gives other ports than *chosen* names. Then reports go where the player's come from, once
        they come.
        """
        self.stop()
        host = self._session.peer[0]
        self._is_over_tcp = chosen is not None and not isinstance(chosen, UdpTransport)
        if isinstance(chosen, UdpTransport) and chosen.rtcp_port is not None and self._port is not None:
            if is_moved:
                self._port.seek(host, self._found)
            else:
                self._found((host, chosen.rtcp_port))
        self._clock.add(self._report)

    def _found(self, target: Address) -> None:
        self._target = target
        if self._port is not None:
            self._port.seek_no_more(target[0], self._found)
            self._port.listen(target, self.take_untrusted)

    def stop(self, *, bye: bool = False, is_paused: bool = False) -> None:
        """Report no more, after *bye* if it says so. A session that *is_paused* may still end, and with BYE."""
        self._clock.remove(self._report)
        if self._port is not None:
            self._port.seek_no_more(self._session.peer[0], self._found)
            if self._target is not None:
                self._port.forget(self._target, self.take_untrusted)
        if bye:
            self._send(is_bye=True)
        if not is_paused:
            self._target, self._is_over_tcp = None, False

    def take_untrusted(self, data: bytes) -> None:
        """Keep what the player reports of this stream. Raises nothing."""
        for report in receiver_reports_untrusted(data):
            if report.ssrc == self._ssrc:
                self._session.reception.report(
                    ReceiverClaim(
                        lost=report.lost,
                        fraction_lost=round(report.fraction_lost, 4),
                        jitter_ms=round(report.jitter / CLOCK_HZ * 1000, 3),
                    ),
                    time.monotonic(),
                )

    def _report(self) -> None:
        self._send(is_bye=False)

    def _send(self, *, is_bye: bool) -> None:
        newest = self._newest()
        if newest is None:
            return
        counters = self._session.counters
        data = sender_report(
            self._ssrc,
            wall_s=time.time(),
            rtp_time=newest[1],
            datagrams=counters.datagrams,
            octets=counters.bytes - counters.datagrams * HEADER_BYTES,
            cname="flumelab",
            is_bye=is_bye,
        )
        if self._is_over_tcp:
            self._write(data)
        elif self._target is not None and self._port is not None:
            self._port.send(data, self._target)
