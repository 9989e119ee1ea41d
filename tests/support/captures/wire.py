"""A server's interface on paper: a test says what passed there, in order, and gets
the facts that a tap would hold.

Commands and replies are made as values. No dialect plays a part.
"""

from typing import Self

from flume.lab.evidence.builder import TapFactsBuilder
from flume.lab.evidence.facts import (
    Claims,
    Command,
    Consent,
    ControlEnd,
    ControlStart,
    Counters,
    Endpoint,
    Event,
    Evidence,
    Expectations,
    MediaDatagram,
    Reply,
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


class Wire(TapFactsBuilder):
    """Facts of one server tap, and of client taps that see each datagram 0.1 ms later.

    >>> facts = Wire().connect(1).stream(1, 1).last("interrupt", 1).server()
    """

    def __init__(self, server: Endpoint = SERVER, *, ssrc: int = 7) -> None:
        super().__init__()
        self.address = server
        self.ssrc = ssrc
        self.ahead = 0
        """How far the number of what a datagram carries is above its own: a relay numbers anew."""
        self.sources.add(server[0])
        self.now_s = START_S
        self.sequence = 0
        self.problem: str | None = None
        self.last_text = CONSENT_TEXT

    def wait(self, seconds: float) -> Self:
        self.now_s += seconds
        return self

    def control(self, client: int) -> Endpoint:
        return (host(client), 40000)

    def media_address(self, client: int) -> Endpoint:
        return (host(client), 50000)

    def open(self, client: int) -> Self:
        self.starts.append(ControlStart(self.now_s, self.control(client)))
        return self.wait(0.001)

    def request(self, client: int, command: str, *, over_tcp: bool = False) -> Self:
        self.messages.append(Command(self.now_s, self.control(client), command, over_tcp=over_tcp))
        return self.wait(0.001)

    def reply(
        self,
        client: int,
        command: str,
        *,
        state: str | None = None,
        token: str | None = None,
        first_sequence: int | None = None,
        last_sequence: int | None = None,
        datagrams: int | None = None,
    ) -> Self:
        """The server grants *command*."""
        numbers = (first_sequence, last_sequence, datagrams)
        text = None if token is None else token.encode()
        self.messages.append(Reply(self.now_s, self.control(client), command, None, state, *numbers, token=text))
        return self.wait(0.001)

    def refuse(self, client: int, command: str | None, code: str, *, state: str) -> Self:
        """The server refuses *command*; None: it says goodbye without naming one."""
        self.messages.append(Reply(self.now_s, self.control(client), command, code, state))
        return self.wait(0.001)

    def event(self, client: int, name: str, *, state: str, first_sequence: int | None = None) -> Self:
        self.messages.append(Event(self.now_s, self.control(client), name, state, first_sequence))
        return self.wait(0.001)

    def consent(self, client: int, text: str = CONSENT_TEXT, port: int = 50000) -> Self:
        self.consents.append(Consent(self.now_s, (host(client), port), text.encode()))
        return self.wait(0.001)

    def end(self, client: int, *, by_server: bool = False) -> Self:
        self.ends.append(ControlEnd(self.now_s, self.control(client), by_server))
        return self.wait(0.001)

    def connect(self, client: int) -> Self:
        """All steps to an active session."""
        self.open(client).ask(client).consent(client)
        return self.event(client, "active", state="active", first_sequence=self.sequence)

    def ask(self, client: int, text: str = CONSENT_TEXT) -> Self:
        """``connect`` and its reply, on a connection that is open."""
        return self.request(client, "connect").reply(client, "connect", state="connecting", token=text)

    def stream(self, seconds: float, *clients: int, every_s: float = 0.02, port: int = 50000) -> Self:
        """One datagram to each of *clients* at every step; each begins a video frame at every second step.

        A second after the other begins with an entry: a keyframe of the test card.
        """
        for _ in range(round(seconds / every_s)):
            content = self.sequence + self.ahead
            for client in clients:
                self.media.append(
                    MediaDatagram(
                        self.now_s,
                        self.address,
                        (host(client), port),
                        (self.sequence | (self.ssrc - 7) << 64).to_bytes(16, "big"),
                        self.sequence % 65536,
                        self.ssrc,
                        1328,
                        content % 2,
                        is_entry=content % 50 == 1,
                        timestamp=round(self.sequence * every_s * 90_000) % (1 << 32),
                        content=content.to_bytes(16, "big"),
                    )
                )
            self.sequence += 1
            self.wait(every_s)
        return self

    def last(self, reply: str, client: int) -> Self:
        """Acknowledge *reply* with the numbers of the wire since the client's last window began."""
        return self.request(client, reply).reply(client, reply, state="x", last_sequence=(self.sequence - 1) % 65536)

    def server(self) -> TapFacts:
        self.sources |= {fact.client[0] for fact in (*self.messages, *self.ends)}
        tap = Tap("server", "eth0", "server.pcap", len(self.media), 0, 262144, START_S, self.now_s, self.problem)
        return self.build(tap)

    def client(self, client: int, *, delay_s: float = 0.0001, lose: frozenset[int] = frozenset()) -> TapFacts:
        """What the tap of *client* holds. *lose*: positions, among its datagrams, of those that do not arrive."""
        mine = [datagram for datagram in self.media if datagram.destination[0] == host(client)]
        arrived = [d._replace(time_s=d.time_s + delay_s) for position, d in enumerate(mine) if position not in lose]
        tap = Tap(f"client-{client}", "eth0", "c.pcap", len(arrived), 0, 262144, START_S, self.now_s, None)
        return TapFacts(tap, tuple(arrived), sources=frozenset({self.address[0]}))

    def subject(self, client: int, **fields: object) -> Subject:
        """A subject whose program received every datagram and displayed every frame that began in one."""
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
