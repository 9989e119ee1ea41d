"""A session like a player's, on one RTSP connection: requests in their order, media in between, and its end."""

import base64
import time

from flume.client.session.control_link import Credentials
from flume.control.rtsp.responses import Media, ServerTransport, read_description_untrusted, server_transport_untrusted
from flume.doctor.remedies import PathEnds
from flume.doctor.rtsp.arrivals import Arrivals, announced_first_untrusted
from flume.doctor.rtsp.channel import PlayerPorts, RtspChannel
from flume.doctor.rtsp.observations import MediaSeen, RequestSeen, asks_for_basic_untrusted, media_seen

REQUEST_S, GOODBYE_S = 3.0, 2.0
"""How long a response may take. A server that opens its source at DESCRIBE or PLAY needs up to two seconds."""

WINDOW_S = 3.0
"""For which the stream is received over UDP, and"""
SHORT_WINDOW_S = 1.5
"""for which on the connection, where nothing is lost."""
FIRST_S = FIRST_PUNCHED_S = FIRST_TCP_S = 4.0
"""A stream without a datagram, or a packet, for so long does not come. A live one may begin with its next keyframe."""
REPORT_S = 6.5
"""Reports come every 5 s (RFC 3550, section 6.2)."""
PUNCH_EVERY_S = 0.5
"""As long as no datagram comes in a session in which the ports of the server are sent one."""
DRAIN_S, AFTER_S = 0.3, 0.3
"""Datagrams on their way when TEARDOWN was answered arrive within the first; none comes in the second."""


class Player:
    """One session; :meth:`leave` ends it at the server."""

    def __init__(self, channel: RtspChannel, uri: str, *, deadline_s: float) -> None:
        """Speak on *channel* about the stream at *uri*, until *deadline_s* (monotonic)."""
        self.channel = channel
        self.uri = uri
        """Of the whole stream, as the server names it."""
        self.teardown: RequestSeen | None = None
        """What came of the end of the session."""
        self.came_after = 0
        """Datagrams that came long after the answer to it."""
        self._deadline_s = deadline_s

    def request(self, method: str, uri: str = "", *, within_s: float | None = None, **headers: str) -> RequestSeen:
        """Send a request about *uri*, or about the whole stream; *headers* by their names."""
        began_s = time.monotonic()
        until_s = min(began_s + (within_s or REQUEST_S), self._deadline_s)
        response = self.channel.ask(method, uri or self.uri, headers, until_s)
        return RequestSeen(method, response, time.monotonic() - began_s, self.channel.ended)

    def describe(self, credentials: Credentials | None) -> tuple[RequestSeen, list[Media]]:
        """Ask what the streams are; with *credentials* where the server wants some."""
        seen = self.request("DESCRIBE", Accept="application/sdp")
        if seen.status == 401 and credentials is not None and asks_for_basic_untrusted(seen.header("www-authenticate")):
            word = f"{credentials.user}:{credentials.secret.reveal()}".encode()
            self.channel.credentials = f"Basic {base64.b64encode(word).decode()}"
            seen = self.request("DESCRIBE", Accept="application/sdp")
        if seen.status != 200 or seen.response is None:
            return seen, []
        base = seen.header("content-base") or seen.header("content-location")
        if base.lower().startswith("rtsp://") and base.isascii() and base.isprintable() and " " not in base:
            self.uri = base[:1024]
        return seen, read_description_untrusted(seen.response.body, self.uri)

    def setup(self, media: Media, transport: str) -> tuple[RequestSeen, ServerTransport]:
        """Ask for *media* by *transport*."""
        seen = self.request("SETUP", media.uri, Transport=transport)
        return seen, server_transport_untrusted(seen.header("transport"))

    def play(self, arrivals: Arrivals) -> RequestSeen:
        """Start the stream, of which *arrivals* counts what comes."""
        seen = self.request("PLAY", Range="npt=0.000-")
        arrivals.first_announced = announced_first_untrusted(seen.header("rtp-info"))
        return seen

    def watch_udp(self, ports: PlayerPorts, transport: ServerTransport, path: PathEnds, *, punches: bool) -> MediaSeen:
        """Receive, for longer while no report has come that was announced; *punches*: send to the server's ports."""
        began_s = time.monotonic()
        arrivals, first_s = ports.arrivals, FIRST_PUNCHED_S if punches else FIRST_S
        next_punch_s = began_s + PUNCH_EVERY_S
        while (now_s := time.monotonic()) < self._deadline_s and self.channel.is_open:
            since_s = now_s - began_s
            if arrivals.is_over or (not arrivals.count and since_s >= first_s):
                break
            is_enough = since_s >= WINDOW_S and (arrivals.reports or transport.rtcp_port is None)
            if arrivals.count and (is_enough or since_s >= REPORT_S):
                break
            if punches and not arrivals.count and now_s >= next_punch_s:
                next_punch_s = now_s + PUNCH_EVERY_S
                ports.punch(path.named, transport.port, transport.rtcp_port)
            self.channel.poll(min(now_s + 0.1, self._deadline_s))
        return media_seen(
            arrivals,
            began_s,
            time.monotonic(),
            has_punched=punches,
            from_ports=tuple(sorted(ports.from_ports)[:4]),
            strangers=ports.strangers,
            ended=self._ended(arrivals),
        )

    def watch_tcp(self, arrivals: Arrivals, *, wants_report: bool) -> MediaSeen:
        """Receive on the connection, for longer while no report has come that is wanted."""
        began_s = time.monotonic()

        def is_enough() -> bool:
            since_s = time.monotonic() - began_s
            if not arrivals.count:
                return since_s >= FIRST_TCP_S
            if wants_report and not arrivals.reports:
                return since_s >= REPORT_S
            return since_s >= SHORT_WINDOW_S

        while not is_enough() and self.channel.is_open and time.monotonic() < self._deadline_s:
            self.channel.poll(min(time.monotonic() + 0.1, self._deadline_s))
        return media_seen(arrivals, began_s, time.monotonic(), ended=self._ended(arrivals))

    def _ended(self, arrivals: Arrivals) -> str | None:
        """Return why the stream has ended while it played, ``None`` if it has not."""
        bye = "the server ended the stream (RTCP BYE)" if arrivals.is_over else None
        return self.channel.ended or self.channel.not_rtsp or bye

    def leave(self) -> None:
        """End the session, if there is one, and close the connection; may be called twice."""
        channel = self.channel
        if channel.session is not None and channel.is_open:
            # Also after the deadline: nothing is left at the server.
            self._deadline_s = max(self._deadline_s, time.monotonic() + GOODBYE_S)
            self.teardown = self.request("TEARDOWN", within_s=GOODBYE_S)
            if self.teardown.status == 200 and channel.ports is not None:
                channel.ports.wait(DRAIN_S)
                before = channel.ports.arrivals.count
                channel.ports.wait(AFTER_S)
                self.came_after = channel.ports.arrivals.count - before
        channel.session = None
        channel.close()
        channel.ended = channel.ended or "the doctor closed it"
