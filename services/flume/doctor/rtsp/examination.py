"""The examination of the path of a player to an RTSP server, leg by leg::

    for finding in RtspExamination(stream_address("rtsp://192.0.2.7:5004/")).legs():
        print(finding.leg, finding.finding)

It does what players do: OPTIONS, DESCRIBE, SETUP and PLAY over UDP, TEARDOWN, then the same on a second connection with
the media on it. It ends within :data:`BUDGET_S`, whatever is blocked, and ends its sessions, so the server is left as
it was found.
"""

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

from flume.client.session.control_link import PLAIN, AccessChoice
from flume.control import messages
from flume.control.codec import parse_from_server_untrusted
from flume.control.rtsp.responses import Media, ServerTransport
from flume.doctor.approach import TCP_S, Approach
from flume.doctor.banner import describe_untrusted
from flume.doctor.diagnosis import RTSP_LEGS, Finding, untested
from flume.doctor.legs import complete
from flume.doctor.remedies import PathEnds
from flume.doctor.rtsp import diagnosis
from flume.doctor.rtsp.address import StreamAddress
from flume.doctor.rtsp.arrivals import Arrivals
from flume.doctor.rtsp.channel import PlayerPorts, RtspChannel
from flume.doctor.rtsp.observations import AnswerSeen, MediaSeen, RequestSeen
from flume.doctor.rtsp.player import Player
from flume.doctor.rtsp.vlc_modules import VlcModules, vlc_modules
from flume.doctor.sockets import ConnectAttempt, Endpoint, await_attempts, unacknowledged_bytes
from flume.errors import RemoteProtocolError

BUDGET_S = 26.0
"""Nine seconds when all is well; so long where each answer comes just in time."""

TURNED_AWAY = frozenset({403, 453, 503})
"""What a server answers OPTIONS with that has no place or no RTSP for this client."""

OVER_TCP = "RTP/AVP/TCP;unicast;interleaved=0-1"


class _Udp(NamedTuple):
    """What came of the session over UDP."""

    setup: RequestSeen
    transport: ServerTransport
    play: RequestSeen | None = None
    media: MediaSeen | None = None


class RtspExamination:
    """One examination; :meth:`legs` may be called once."""

    def __init__(
        self,
        address: StreamAddress,
        *,
        access: AccessChoice = PLAIN,
        on_leg: Callable[[str], None] = lambda _leg: None,
        modules: Callable[[], VlcModules] = vlc_modules,
    ) -> None:
        """Examine the path to *address*, with the login of *access* if the server wants one.

        *on_leg* is called with each leg before its examination. *modules* looks for this machine's VLC.
        """
        self._address, self._access, self._on_leg, self._modules = address, access, on_leg, modules
        self._deadline_s = 0.0
        self._cleanup = contextlib.ExitStack()
        self._path = PathEnds(address.host, address.port, "this machine", is_rtsp=True)
        self._players: list[Player] = []
        self._streams: list[Media] = []
        self._has_udp: bool | None = None

    def legs(self) -> Generator[Finding, None, None]:
        """Yield one finding for each leg of the path, each when it is known.

        Closing the generator ends the sessions and closes all sockets.
        """
        self._deadline_s = time.monotonic() + BUDGET_S
        with self._cleanup:
            yield from complete(self._examine(), RTSP_LEGS, {"vlc_rtsp": self._vlc})

    def _vlc(self) -> Finding:
        self._on_leg("vlc_rtsp")
        return diagnosis.vlc(self._modules(), self._streams, has_udp=self._has_udp)

    def _examine(self) -> Iterator[Finding]:
        approach = Approach(self._path, self._cleanup, deadline_s=self._deadline_s, on_leg=self._on_leg)
        yield from approach.legs()
        self._path, attempt = approach.path, approach.attempt
        if attempt is None or not attempt.is_open:
            return
        player = self._player(attempt)
        self._on_leg("rtsp")
        answer = diagnosis.rtsp(self._ask_options(player), self._path)
        yield answer
        if answer.weight == "blocked":
            return
        self._on_leg("describe")
        seen, self._streams = player.describe(self._access.credentials)
        described = diagnosis.describe(seen, self._streams, has_credentials=self._access.credentials is not None)
        yield described
        if described.weight == "blocked":
            return
        yield from self._sessions(player, attempt.endpoint)
        requests = [each.teardown for each in self._players if each.teardown is not None]
        if requests:
            yield diagnosis.teardown(requests, came_after=sum(each.came_after for each in self._players))
        else:
            yield untested("teardown", "there was no session to end")

    def _player(self, attempt: ConnectAttempt) -> Player:
        uri = self._players[0].uri if self._players else self._address.uri
        player = Player(RtspChannel(attempt.socket), uri, deadline_s=self._deadline_s)
        self._players.append(player)
        self._cleanup.callback(player.leave)
        return player

    def _another_player(self, endpoint: Endpoint) -> Player | None:
        """Return one on a connection of its own, with the login of the first; ``None`` if no connection opens."""
        attempt = self._cleanup.enter_context(contextlib.closing(ConnectAttempt(endpoint)))
        await_attempts([attempt], min(time.monotonic() + TCP_S, self._deadline_s), lambda: False)
        if not attempt.is_open:
            return None
        player = self._player(attempt)
        player.channel.credentials = self._players[0].channel.credentials
        player.request("OPTIONS")  # what begins with SETUP is taken for VLC's SAT>IP module, which sends no punch
        return player

    # -- what answers ------------------------------------------------------------------------------------------

    def _ask_options(self, player: Player) -> AnswerSeen:
        seen = player.request("OPTIONS")
        channel, took_s = player.channel, seen.took_s
        if seen.status in TURNED_AWAY:
            return AnswerSeen("turned_away", took_s, seen.text)
        if seen.response is not None:
            listed = seen.header("public") or seen.header("allow")
            methods = tuple(word.strip().upper() for word in listed.split(",")[:32] if word.strip())
            return AnswerSeen("answered", took_s, "" if seen.status == 200 else seen.text, methods)
        if channel.first_bytes or channel.ended:
            return _other_program_untrusted(channel.first_bytes, took_s, port=self._path.port)
        return AnswerSeen("silent", took_s, unacknowledged_bytes=unacknowledged_bytes(channel.socket))

    # -- media -------------------------------------------------------------------------------------------------

    def _sessions(self, player: Player, endpoint: Endpoint) -> Iterator[Finding]:
        """Yield what the sessions over UDP and on a connection show, in the order of the legs."""
        media = next((each for each in self._streams if each.kind == "video"), self._streams[0])
        udp: _Udp | None = None
        has_play = False
        self._on_leg("setup_udp")
        try:
            ports = PlayerPorts(endpoint.family, self._path.server)
        except OSError as error:
            yield untested("setup_udp", f"no UDP port for media on this machine: {error.strerror or error}")
            player.leave()
        else:
            with contextlib.closing(ports):
                udp = self._over_udp_twice(player, endpoint, media, ports)
            yield diagnosis.setup_udp(udp.setup, udp.transport, ports.port)
            if udp.play is not None:
                has_play = True
                yield diagnosis.play(udp.play)
        if udp is not None and udp.media is not None and udp.media.datagrams:
            yield from self._udp_findings(udp, None)
        self._on_leg("media_tcp")
        wants_report = not (udp is not None and udp.media is not None and udp.media.datagrams)
        requests, over_tcp = self._over_tcp(endpoint, media, wants_report=wants_report)
        if not has_play and requests and requests[-1].method == "PLAY":
            yield diagnosis.play(requests[-1])
        if wants_report:
            yield from self._udp_findings(udp, over_tcp)
        yield diagnosis.media_tcp(requests, over_tcp)

    def _udp_findings(self, udp: _Udp | None, over_tcp: MediaSeen | None) -> Iterator[Finding]:
        if udp is not None and udp.media is not None:
            self._has_udp = bool(udp.media.datagrams)
            yield diagnosis.media_udp(udp.media, udp.transport, self._path, over_tcp=over_tcp)
        elif udp is not None and udp.setup.status == 461:
            self._has_udp = False
            yield diagnosis.media_off(udp.setup)
        if udp is not None and udp.media is not None and (udp.media.datagrams or udp.media.reports):
            yield diagnosis.rtcp(udp.media, udp.transport.rtcp_port, over_tcp=False)
        elif over_tcp is not None and over_tcp.datagrams:
            yield diagnosis.rtcp(over_tcp, None, over_tcp=True)

    def _over_udp_twice(self, player: Player, endpoint: Endpoint, media: Media, ports: PlayerPorts) -> _Udp:
        """Hold a session over UDP. Where no datagram comes, hold another, and send to the server's port before PLAY."""
        udp = self._over_udp(player, media, ports, punches=False)
        if udp.media is None or udp.media.datagrams:
            return udp
        another = self._another_player(endpoint)
        if another is None:
            return udp
        ports.arrivals = Arrivals()
        again = self._over_udp(another, media, ports, punches=True)
        return again if again.media is not None else udp

    def _over_udp(self, player: Player, media: Media, ports: PlayerPorts, *, punches: bool) -> _Udp:
        """Hold a session over UDP, to its end."""
        player.channel.ports = ports
        try:
            wanted = f"RTP/AVP;unicast;client_port={ports.port}-{ports.port + 1}"
            setup, transport = player.setup(media, wanted)
            if setup.status != 200 or transport.over_tcp:
                return _Udp(setup, transport)
            if transport.source is not None:
                ports.sources.add(transport.source)
            self._on_leg("play")
            if punches:
                ports.punch(self._path.named, transport.port, transport.rtcp_port)
            play = player.play(ports.arrivals)
            if play.status != 200:
                return _Udp(setup, transport, play)
            self._on_leg("media_udp")
            seen = player.watch_udp(ports, transport, self._path, punches=punches)
            return _Udp(setup, transport, play, seen)
        finally:
            self._on_leg("teardown")
            player.leave()
            player.channel.ports = None

    def _over_tcp(
        self, endpoint: Endpoint, media: Media, *, wants_report: bool
    ) -> tuple[list[RequestSeen], MediaSeen | None]:
        """Hold a session with its media on a second connection, to its end."""
        player = self._another_player(endpoint)
        if player is None:
            return [], None
        arrivals = player.channel.arrivals = Arrivals()
        try:
            setup, transport = player.setup(media, OVER_TCP)
            if setup.status != 200:
                return [setup], None
            player.channel.channel = transport.channel or 0
            play = player.play(arrivals)
            if play.status != 200:
                return [setup, play], None
            return [setup, play], player.watch_tcp(arrivals, wants_report=wants_report)
        finally:
            player.leave()


def _other_program_untrusted(beginning: bytes, took_s: float, *, port: int) -> AnswerSeen:
    """Return what answered with *beginning* instead of RTSP; the server of flume says why in JSON. Raises nothing."""
    with contextlib.suppress(RemoteProtocolError):
        said = parse_from_server_untrusted(beginning.partition(b"\n")[0])
        if isinstance(said, messages.Refused | messages.Closed):
            reasons = {
                "malformed": f"port {port} is one of 'flume serve' without RTSP (--no-rtsp)",
                "tls_required": f"port {port} is one of 'flume serve' with TLS, beside which it has no RTSP",
            }
            if said.code in reasons:
                return AnswerSeen("not_rtsp", took_s, reasons[said.code])
            return AnswerSeen("turned_away", took_s, said.message)
    text = describe_untrusted(beginning, port=port, language="RTSP", program="an RTSP server")
    return AnswerSeen("not_rtsp", took_s, text)
