"""A control session without a network, which answers as a test says, and keeps what was asked."""

from typing import Self

from flume.client.events import ClientEvent
from flume.client.playback.player import NullPlayer
from flume.client.reception.receiver import Receiver, to_player
from flume.client.session.control_session import ControlSession
from flume.client.session.first_frame import FirstFrames
from flume.client.session.recovery import Recovery
from flume.client.session.reporter import Reporter
from flume.client.session.windows import WindowTracker
from flume.control import messages
from flume.control.session import State
from flume.errors import NetworkError
from flume.settings import ClientSettings

Answer = messages.Reply | NetworkError

CONNECTED = messages.Connected(
    state=State.CONNECTING,
    token="ab" * 16,  # a test's
    port=5004,
    payload="rtp",
    ssrc=1,
    token_interval_ms=2000,
    consent_timeout_ms=7000,
)
INTERRUPTED = messages.Interrupted(state=State.INTERRUPTED, last_sequence=None, datagrams=0)
DISCONNECTED = messages.Disconnected(state=State.CLOSED, last_sequence=None, datagrams=0)


def refused(code: str) -> messages.Refused:
    return messages.Refused(state=State.CLOSED, command="connect", code=code, message=f"refused: {code}")


def status(datagrams: int) -> messages.Status:
    server = messages.ServerStatus(
        uptime_s=1.0, source="fake", ingest="running", sessions=1, active=1, datagrams=0, segmentation=False
    )
    return messages.Status(state=State.ACTIVE, session=messages.ClientCounters(datagrams=datagrams), server=server)


class ScriptedLink:
    """A connection of this host with itself; *lost* are the reasons for which it was ended."""

    is_open = True
    local_host = "127.0.0.1"
    peer = ("127.0.0.1", 5004)

    def __init__(self) -> None:
        self.lost: list[str] = []

    def lose(self, reason: str) -> None:
        self.lost.append(reason)


class ScriptedSession(ControlSession):
    """Gives *answers*, one a request; each reply's state is entered at once, and ``connecting`` becomes active."""

    def __init__(self, settings: ClientSettings) -> None:
        super().__init__(
            settings, on_message=lambda _message: None, on_lost=lambda _reason: None, on_packets=lambda _packets: None
        )
        self.answers: list[Answer] = []
        self.asked: list[messages.Request] = []
        self.has_link = True
        self.scripted = ScriptedLink()
        self.becomes_active = True

    def ask(self, request: messages.Request) -> messages.Reply:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, NetworkError):
            raise answer
        is_accepted = answer.state is State.CONNECTING and self.becomes_active
        self.enter(State.ACTIVE if is_accepted else answer.state)
        return answer

    def request(self, request: messages.Request) -> messages.Reply:
        return self.ask(request)

    @property
    def link(self):
        return self.scripted if self.has_link else None

    def reach(self):
        return self.scripted


class QuietWindows(WindowTracker):
    """Delivery windows in which datagrams have come, or have not, as a test says."""

    flowed = False
    silent_s = 0.0

    @property
    def has_flowed(self) -> bool:
        return self.flowed

    def silence_s(self, now_s: float) -> float:
        return self.silent_s


class RecoverySetup:
    """A recovery on a scripted session; *events* are what it reports."""

    def __init__(self, **settings: object) -> None:
        self.settings = ClientSettings(host="server", **{"connect_timeout_s": 0.1, **settings})  # type: ignore[arg-type]
        self.events: list[ClientEvent] = []
        self.session = ScriptedSession(self.settings)
        self.receiver = Receiver(self.settings, to_player(self.settings, NullPlayer()))
        self.windows = QuietWindows(self.receiver, FirstFrames(NullPlayer()))
        self.reporter = Reporter(self.session, self.events.append)
        self.recovery = Recovery(self.settings, self.session, self.windows, self.reporter)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.receiver.close()

    @property
    def asked(self) -> list[str]:
        return [str(request.command) for request in self.session.asked]

    @property
    def codes(self) -> list[str | None]:
        return [event.code for event in self.events]
