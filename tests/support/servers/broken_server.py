"""The real server, and ten that break their promises, each by one service or session of its own. They live in tests.

As a program it serves a synthetic source until SIGTERM: ``python -m support.servers.broken_server KIND HOST PORT``.
It says ``ready`` once it accepts clients.
"""

import asyncio
import signal
import socket
import sys
from collections.abc import Callable

from flume.control.endpoint import Address
from flume.control.messages import Disconnected, Event, Interrupted, Reply, Request
from flume.control.session import Command, Signal, State
from flume.server.app import Server, ServerParts
from flume.server.sending.media_port import MediaPort
from flume.server.sending.roster import Recipient
from flume.server.sending.subscriptions import AnyRecipient, RecipientOwner, Subscriptions
from flume.server.sending.tcp_delivery import FrameSink
from flume.server.sessions.client_session import ClientSession
from flume.server.sessions.services import SessionServices
from flume.server.sessions.table import SessionTable
from flume.server.sources.source import Source
from flume.settings import ServerSettings
from support.media.synthetic import SyntheticSource
from support.servers.broken_rtsp import ForgetsToEnd, use_front

EARLY_S = 0.05
"""How long the hasty server goes on after its acknowledgement: five ticks."""


class ForgetfulSubscriptions(Subscriptions):
    """Leaves the recipient of an interrupted session on the roster."""

    def __init__(self, *arguments: object, **fields: object) -> None:
        super().__init__(*arguments, **fields)  # type: ignore[arg-type]
        self._sessions: dict[AnyRecipient, RecipientOwner] = {}
        self._kept: dict[RecipientOwner, AnyRecipient] = {}

    def add(self, recipient: AnyRecipient, *, owner: RecipientOwner) -> None:
        self._sessions[recipient] = owner
        super().add(recipient, owner=owner)

    async def remove(self, recipient: AnyRecipient) -> None:
        session = self._sessions.pop(recipient)
        if isinstance(session, ClientSession) and session.state is State.INTERRUPTED:
            self._kept[session] = recipient
        else:
            await super().remove(recipient)

    async def remove_kept(self, session: ClientSession) -> None:
        kept = self._kept.pop(session, None)
        if kept is not None:
            await super().remove(kept)


class KeepsStreaming(ClientSession):
    """Acknowledges ``interrupt`` and goes on, until the session continues or ends."""

    async def command(self, request: Request) -> None:
        if request.command in {Command.CONTINUE, Command.DISCONNECT}:
            await self._end_kept()
        await super().command(request)

    async def signal(self, signal: Signal, detail: str = "", *, about: socket.socket | None = None) -> None:
        if signal is not Signal.CONSENT:
            await self._end_kept()
        await super().signal(signal, detail, about=about)

    async def _end_kept(self) -> None:
        subscriptions = self._services.subscriptions
        assert isinstance(subscriptions, ForgetfulSubscriptions)
        await subscriptions.remove_kept(self)


class StreamsUnasked(ClientSession):
    """Base: sends to the UDP port that has the number of the client's control port, without consent."""

    _unasked: Recipient | None = None

    def _begin_unasked(self) -> None:
        media = self._services.media_port.open_for(self.peer)
        start = self._services.ring.start_after(None)
        self._unasked = Recipient(media, payload="rtp", start=start, segmentation=False)
        self._services.subscriptions.add(self._unasked, owner=self)

    async def end_unasked(self) -> None:
        unasked, self._unasked = self._unasked, None
        if unasked is not None:
            await self._services.subscriptions.remove(unasked)
            unasked.socket.close()


class StreamsBeforeConsent(StreamsUnasked):
    """Begins with ``connect`` and does not wait for the token."""

    async def command(self, request: Request) -> None:
        if request.command is Command.DISCONNECT:
            await self.end_unasked()
        await super().command(request)
        if request.command is Command.CONNECT and self.state is State.CONNECTING and self._unasked is None:
            self._begin_unasked()

    async def signal(self, signal: Signal, detail: str = "", *, about: socket.socket | None = None) -> None:
        await self.end_unasked()
        await super().signal(signal, detail, about=about)


class StreamsToEveryone(StreamsUnasked):
    """Sends to every client that opens a control connection."""

    def __init__(self, *arguments: object, **fields: object) -> None:
        super().__init__(*arguments, **fields)  # type: ignore[arg-type]
        self._begin_unasked()


class HastySubscriptions(Subscriptions):
    """Removes a recipient only after the reply."""

    def __init__(self, *arguments: object, **fields: object) -> None:
        super().__init__(*arguments, **fields)  # type: ignore[arg-type]
        self._late: list[asyncio.Task[None]] = []

    async def remove(self, recipient: AnyRecipient) -> None:
        loop, remove = asyncio.get_running_loop(), super().remove
        loop.call_later(EARLY_S, lambda: self._late.append(loop.create_task(remove(recipient))))


class LingeringSocket(socket.socket):
    """Stays open for the datagrams that are still sent after it was closed."""

    def close(self) -> None:
        asyncio.get_running_loop().call_later(4 * EARLY_S, super().close)


class LingeringPort(MediaPort):
    """Gives every client such a socket."""

    def open_for(self, peer: Address, local_host: str | None = None) -> socket.socket:
        lingering = LingeringSocket(fileno=super().open_for(peer, local_host).detach())
        lingering.setblocking(False)
        return lingering


class OneFrameTooMany(ClientSession):
    """Over TCP: one more frame follows the acknowledgement, the last one once again."""

    def __init__(
        self,
        services: SessionServices,
        peer: Address,
        send: Callable[[Reply | Event], None],
        *,
        local_host: str | None = None,
        sink: FrameSink | None = None,
        has_tokens: bool = True,
    ) -> None:
        def send_too_much(message: Reply | Event) -> None:
            send(message)
            if isinstance(message, Interrupted | Disconnected) and sink is not None:
                ring = services.ring
                sink.write_media(sink.frame_header + bytes(ring.run(ring.next_index - 1, ring.next_index)))

        super().__init__(services, peer, send_too_much, local_host=local_host, sink=sink, has_tokens=has_tokens)


class NeverExpires(ClientSession):
    """Goes on when the token no longer comes."""

    def on_time(self, now_s: float) -> None:
        self._media.consent.stop_clock()
        super().on_time(now_s)


class StaysAtItsPort(ClientSession):
    """Takes a token from another port for one from the port that it sends to."""

    def consent(self, source: Address) -> None:
        super().consent(self._media.path.address or source)


class TableOfUnasked(SessionTable):
    """Ends what its sessions have begun unasked."""

    async def drop(self, session: ClientSession) -> None:
        await super().drop(session)
        assert isinstance(session, StreamsUnasked)
        await session.end_unasked()


class KeepingTable(SessionTable):
    session_class = KeepsStreaming


class EveryoneTable(TableOfUnasked):
    session_class = StreamsToEveryone


class BeforeConsentTable(TableOfUnasked):
    session_class = StreamsBeforeConsent


class OneFrameTable(SessionTable):
    session_class = OneFrameTooMany


class NeverExpiresTable(SessionTable):
    session_class = NeverExpires


class StayingTable(SessionTable):
    session_class = StaysAtItsPort


PARTS = {
    "honest": ServerParts(),
    "keeps_streaming": ServerParts(subscriptions=ForgetfulSubscriptions, table=KeepingTable),
    "streams_to_everyone": ServerParts(table=EveryoneTable),
    "streams_before_consent": ServerParts(table=BeforeConsentTable),
    "acknowledges_too_early": ServerParts(media_port=LingeringPort, subscriptions=HastySubscriptions),
    "one_frame_too_many": ServerParts(table=OneFrameTable),
    "streams_without_tokens": ServerParts(table=NeverExpiresTable),
    "ignores_moves": ServerParts(table=StayingTable),
    "streams_to_destination": ServerParts(),
    "streams_before_play": ServerParts(),
    "forgets_to_end": ServerParts(table=ForgetsToEnd),
}


async def serve(kind: str, host: str, port: int, *, ready: str = "ready", source: Source | None = None) -> None:
    """Serve *source* (None: a synthetic one) until SIGTERM; say *ready* once clients are accepted."""
    settings = ServerSettings(host=host, port=port, token_interval_s=0.3, consent_timeout_s=1.5)
    use_front(kind)
    server = Server(source or SyntheticSource(bitrate_kbit=2000), settings, parts=PARTS[kind])
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    await server.start()
    print(ready, flush=True)
    await server.run()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))
