"""A table of sessions without a server around it: the test is the front, the sender thread and the source."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from flume.control.messages import ClientCounters, Event, Reply, ServerStatus
from flume.media.datagrams import PAYLOAD_BYTES, Datagram
from flume.media.ring import Ring
from flume.server.ports import bind_media
from flume.server.sending.media_port import MediaPort
from flume.server.sending.roster import CurrentRoster, Recipient
from flume.server.sending.subscriptions import Subscriptions
from flume.server.sessions.arrivals import Arrivals
from flume.server.sessions.services import SessionServices
from flume.server.sessions.table import SessionTable
from flume.server.sessions.tokens import Tokens
from flume.settings import ServerSettings
from support.servers.unpaced import unpaced_delivery

FIRST_SEQUENCE = 1000
STATUS = ServerStatus(
    uptime_s=1, source="test", ingest="running", sessions=1, active=0, datagrams=0, segmentation=False
)
NOTHING_SENT = ClientCounters()


class SessionHarness:
    """Real sessions, tokens and subscriptions on a media port of loopback. Use :func:`with_sessions`."""

    def __init__(self, **settings: object) -> None:
        self.settings = ServerSettings(host="127.0.0.1", port=0, **settings)  # type: ignore[arg-type]
        self.ring = Ring(ssrc=7, first_sequence=FIRST_SEQUENCE)
        self.current = CurrentRoster()
        self.tcp = unpaced_delivery(self.ring)
        self.media_port = MediaPort("127.0.0.1", bind_media("127.0.0.1", 0))
        self.tokens = Tokens()
        self.arrivals = Arrivals(self.media_port, self.tokens)
        self.sender_lives = True
        """Whether the sender thread adopts new rosters."""
        self.subscriptions = Subscriptions(
            self.current, self.tcp, wake_sender=self._wake_sender, on_active_change=lambda _active: None
        )
        self.services = SessionServices(
            settings=self.settings,
            ring=self.ring,
            media_port=self.media_port,
            subscriptions=self.subscriptions,
            tokens=self.tokens,
            arrivals=self.arrivals,
            segmentation=False,
            refused=Counter(),
            status=lambda: STATUS,
        )
        self.table = SessionTable(self.services)
        self.said: list[Reply | Event] = []
        self.subscribed: list[int] = []
        """How many recipients were on the roster when each message was said."""

    def send(self, message: Reply | Event) -> None:
        """Be the front of one client."""
        self.said.append(message)
        self.subscribed.append(self.subscriptions.active_count)

    def _wake_sender(self) -> None:
        if self.sender_lives:
            asyncio.get_running_loop().call_soon(self.adopt)

    def adopt(self) -> None:
        """Be the sender thread, which adopts the present roster."""
        self.subscriptions.on_readers_done(self.current.roster.epoch)

    def deliver(self, datagrams: int) -> None:
        """Be the source and the sender thread: put *datagrams* into the ring and give them to all recipients."""
        first = self.ring.next_index
        self.ring.extend([Datagram(bytes(PAYLOAD_BYTES), index / 100, index == 0) for index in range(datagrams)])
        for recipient in self.current.roster.recipients:
            recipient.count(datagrams, first + datagrams - 1)
        self.tcp.pump_all()

    @property
    def recipient(self) -> Recipient:
        """The only recipient on the roster."""
        (recipient,) = self.current.roster.recipients
        return recipient


async def let_run() -> None:
    """Run all that is ready."""
    for _ in range(30):
        await asyncio.sleep(0)


def with_sessions(test: Callable[[SessionHarness], Awaitable[None]]) -> Callable[[], None]:
    """Run an async test on a harness of its own."""

    def wrapper() -> None:
        async def main() -> None:
            harness = SessionHarness()
            try:
                await test(harness)
            finally:
                for session in tuple(harness.table._sessions):
                    await harness.table.drop(session)
                harness.media_port.close()

        asyncio.run(main())

    wrapper.__name__, wrapper.__doc__ = test.__name__, test.__doc__
    return wrapper
