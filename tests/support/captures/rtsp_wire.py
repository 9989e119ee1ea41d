"""Players on paper: a test says which bytes of RTSP passed the server's interface, and gets what the judge finds."""

from hashlib import blake2b

from flume.lab.evidence.builder import TapFactsBuilder
from flume.lab.evidence.facts import Consent, ControlEnd, ControlStart, Endpoint, MediaDatagram, Tap, TapFacts
from flume.lab.evidence.json_lines import Frame
from flume.lab.evidence.rtsp import Rtsp
from flume.lab.trial.flows import Flow, classify
from flume.lab.trial.sessions import reconstruct
from flume.lab.trial.windows import ActiveWindow, Sessions

SERVER = ("198.18.0.2", 5004)
HOST = "198.18.0.11"
LAST_S = 500.0


def request(method: str, cseq: int | None, *headers: str) -> bytes:
    numbered = () if cseq is None else (f"CSeq: {cseq}",)
    return "\r\n".join([f"{method} rtsp://198.18.0.2:5004/ RTSP/1.0", *numbered, *headers, "", ""]).encode()


def response(status: str, cseq: int | None, *headers: str) -> bytes:
    numbered = () if cseq is None else (f"CSeq: {cseq}",)
    return "\r\n".join([f"RTSP/1.0 {status}", *numbered, *headers, "", ""]).encode()


def packet(data: bytes, channel: int = 0) -> bytes:
    return b"$" + bytes([channel]) + len(data).to_bytes(2, "big") + data


def udp(port: int) -> str:
    return f"RTP/AVP;unicast;client_port={port}-{port + 1}"


TCP = "RTP/AVP/TCP;unicast;interleaved=0-1"


class RtspCapture(TapFactsBuilder):
    """What the server's tap holds.

    >>> capture = RtspCapture()
    >>> capture.player().turn(1.0, request("SETUP", 1, "Transport: " + udp(9000)), response("200 OK", 1))
    >>> capture.sessions().windows
    ()
    """

    def player(self, port: int = 40_000, *, begin_s: float = 0.5) -> "Player":
        """A player that connects from *port* of :data:`HOST`."""
        client = (HOST, port)
        self.starts.append(ControlStart(begin_s, client))
        return Player(self, client)

    def stream(self, port: int, from_s: float, to_s: float, *, every_s: float = 0.05) -> None:
        """Datagrams to *port* of :data:`HOST`."""
        for step in range(round((to_s - from_s) / every_s)):
            self._datagram(from_s + step * every_s, (HOST, port), None)

    def punch(self, time_s: float, port: int, payload: bytes = b"\x80\0") -> None:
        """A datagram from *port* of :data:`HOST` to the server's."""
        self.consents.append(Consent(time_s, (HOST, port), payload))

    def frame(self, time_s: float, client: Endpoint, frame: Frame) -> None:
        """A packet that came on the connection of *client*."""
        self._datagram(time_s, client, frame.offset)

    def _datagram(self, time_s: float, to: Endpoint, offset: int | None) -> None:
        identity = blake2b(repr((time_s, to, offset)).encode(), digest_size=16).digest()
        number = len(self.media) % 65_536
        self.media.append(MediaDatagram(time_s, SERVER, to, identity, number, 1, 1328, 0, offset))

    def facts(self) -> TapFacts:
        return self.build(Tap("server", "eth0", "none.pcap", 9, 0, 262_144, 0.0, LAST_S, None))

    def sessions(self) -> Sessions:
        return reconstruct(self.facts())

    def windows(self) -> tuple[ActiveWindow, ...]:
        return self.sessions().windows

    def flow(self) -> Flow:
        facts = self.facts()
        return classify(HOST, facts.media, reconstruct(facts))

    def leaks(self) -> tuple[int, set[str]]:
        """How many datagrams leaked, and the reasons."""
        flow = self.flow()
        return len(flow.leaked), set(flow.reasons)

    def answers(self) -> list[tuple[str, str | None]]:
        """Each command, and what was answered."""
        return [(command.command, command.answer) for command in self.sessions().commands]


class Player:
    """Both directions of one player's connection."""

    def __init__(self, capture: RtspCapture, client: Endpoint) -> None:
        self._capture, self._client = capture, client
        self._dialect = Rtsp(client)

    def ask(self, time_s: float, data: bytes) -> None:
        self._capture.messages += self._dialect.from_client_untrusted(time_s, data)

    def say(self, time_s: float, data: bytes) -> None:
        """The server sends *data*."""
        for item in self._dialect.from_server_untrusted(time_s, data, has_begin=True):
            if isinstance(item, Frame):
                self._capture.frame(time_s, self._client, item)
            else:
                self._capture.messages.append(item)

    def turn(self, time_s: float, asked: bytes, answered: bytes) -> None:
        """The server answers 0.05 s after the request."""
        self.ask(time_s, asked)
        self.say(time_s + 0.05, answered)

    def set_up(self, time_s: float, transport: str, *, cseq: int = 1) -> None:
        header = f"Transport: {transport}"
        self.turn(time_s, request("SETUP", cseq, header), response("200 OK", cseq, header))

    def play(self, time_s: float, *, cseq: int = 2) -> None:
        self.turn(time_s, request("PLAY", cseq), response("200 OK", cseq))

    def end(self, time_s: float, *, by_server: bool = False) -> None:
        self._capture.ends.append(ControlEnd(time_s, self._client, by_server))
