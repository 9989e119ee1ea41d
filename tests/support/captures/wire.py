"""A server's interface on paper: tests say what passed there, in order, and get the facts a tap would hold."""

import json
from typing import Self

from flume.lab.evidence.facts import (
    Address,
    Claims,
    Consent,
    ControlEnd,
    ControlLine,
    ControlStart,
    Counters,
    Evidence,
    Expectations,
    MediaDatagram,
    Refusal,
    Subject,
    Tap,
    TapFacts,
)

SERVER = ("198.18.0.2", 5004)
START_S = 1_700_000_000.0
CONSENT_TEXT = "00112233445566778899aabbccddeeff"


def host(number: int) -> str:
    """The address of client *number*."""
    return f"198.18.0.{10 + number}"


class Wire:
    """Facts of one server tap, and of client taps that see everything 0.1 ms later."""

    def __init__(self) -> None:
        self.now_s = START_S
        self.media: list[MediaDatagram] = []
        self.starts: list[ControlStart] = []
        self.lines: list[ControlLine] = []
        self.ends: list[ControlEnd] = []
        self.consents: list[Consent] = []
        self.refusals: list[Refusal] = []
        self.sequence = 0
        self.problem: str | None = None
        self.last_text = CONSENT_TEXT

    def wait(self, seconds: float) -> Self:
        self.now_s += seconds
        return self

    def control(self, client: int) -> Address:
        return (host(client), 40000)

    def media_address(self, client: int) -> Address:
        return (host(client), 50000)

    def open(self, client: int) -> Self:
        self.starts.append(ControlStart(self.now_s, self.control(client)))
        return self.wait(0.001)

    def request(self, client: int, command: str) -> Self:
        return self._line(client, True, {"command": command})

    def reply(self, client: int, reply: str, **fields: object) -> Self:
        return self._line(client, False, {"reply": reply, **fields})

    def event(self, client: int, event: str, **fields: object) -> Self:
        return self._line(client, False, {"event": event, **fields})

    def _line(self, client: int, to_server: bool, message: dict[str, object]) -> Self:
        raw = json.dumps(message).encode() + b"\n"
        self.lines.append(ControlLine(self.now_s, self.control(client), to_server, message, raw))
        return self.wait(0.001)

    def consent(self, client: int, text: str = CONSENT_TEXT, port: int = 50000) -> Self:
        self.consents.append(Consent(self.now_s, (host(client), port), text.encode()))
        return self.wait(0.001)

    def end(self, client: int, *, by_server: bool = False) -> Self:
        self.ends.append(ControlEnd(self.now_s, self.control(client), by_server))
        return self.wait(0.001)

    def connect(self, client: int) -> Self:
        """The whole way to an active session."""
        self.open(client).ask(client).consent(client)
        return self.event(client, "active", state="active", first_sequence=self.sequence)

    def ask(self, client: int, text: str = CONSENT_TEXT) -> Self:
        """``connect`` and its reply, on a connection that is open."""
        return self.request(client, "connect").reply(client, "connect", state="connecting", token=text)

    def stream(self, seconds: float, *clients: int, every_s: float = 0.02, port: int = 50000) -> Self:
        """One datagram to each of *clients* at every step; each begins a video frame at every second step."""
        for _ in range(round(seconds / every_s)):
            for client in clients:
                self.media.append(
                    MediaDatagram(
                        self.now_s,
                        SERVER,
                        (host(client), port),
                        self.sequence.to_bytes(16, "big"),
                        self.sequence % 65536,
                        7,
                        1328,
                        self.sequence % 2,
                    )
                )
            self.sequence += 1
            self.wait(every_s)
        return self

    def last(self, reply: str, client: int) -> Self:
        """Acknowledge *reply* with the numbers of the wire since the client's last window began."""
        return self.request(client, reply).reply(client, reply, state="x", last_sequence=(self.sequence - 1) % 65536)

    def server(self) -> TapFacts:
        sources = {SERVER[0], *(line.client[0] for line in self.lines), *(end.client[0] for end in self.ends)}
        tap = Tap("server", "eth0", "server.pcap", len(self.media), 0, 262144, START_S, self.now_s, self.problem)
        return TapFacts(
            tap,
            tuple(self.media),
            tuple(self.starts),
            tuple(self.lines),
            tuple(self.ends),
            tuple(self.consents),
            tuple(self.refusals),
            frozenset(sources),
        )

    def client(self, client: int, *, delay_s: float = 0.0001, lose: frozenset[int] = frozenset()) -> TapFacts:
        """What the tap of *client* holds; *lose* are positions among its datagrams."""
        mine = [datagram for datagram in self.media if datagram.destination[0] == host(client)]
        arrived = [d._replace(time_s=d.time_s + delay_s) for position, d in enumerate(mine) if position not in lose]
        tap = Tap(f"client-{client}", "eth0", "c.pcap", len(arrived), 0, 262144, START_S, self.now_s, None)
        return TapFacts(tap, tuple(arrived), sources=frozenset({SERVER[0]}))

    def subject(self, client: int, **fields: object) -> Subject:
        """A subject whose program received all and displayed every frame due to a window that was not cut."""
        mine = [datagram for datagram in self.media if datagram.destination[0] == host(client)]
        claims = Claims(
            datagrams=len(mine),
            frames_displayed=sum(datagram.video_frames_started for datagram in mine),
            join_ms=100.0,
            player="headless",
        )
        values: dict[str, object] = {"claims": claims, "counters": Counters(), **fields}
        return Subject(name=f"client-{client}", address=host(client), **values)  # type: ignore[arg-type]

    def evidence(self, *clients: int, expectations: Expectations | None = None) -> Evidence:
        """Evidence of the server's tap alone."""
        subjects = tuple(self.subject(client) for client in clients)
        return Evidence(START_S, "server", (self.server(),), subjects, expectations or Expectations())
