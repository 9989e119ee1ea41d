"""The real server, and five that break their promises, each by one small hook. They live only in tests.

As a program it serves a synthetic source until SIGTERM: ``python -m support.servers.broken_server KIND HOST PORT``.
It says ``ready`` once it accepts clients.
"""

import asyncio
import signal
import sys

from flume.control import messages as m
from flume.control.framing import frame_header
from flume.control.session import Effect, State
from flume.server.app import Server
from flume.server.sending.roster import Recipient
from flume.server.sending.tcp_delivery import TcpRecipient
from flume.server.sessions.client_session import ClientSession
from flume.server.sessions.table import SessionTable
from flume.settings import ServerSettings
from support.media.synthetic import SyntheticSource

EARLY_S = 0.05
"""How long the hasty server goes on after its acknowledgement: five ticks."""


class KeepsStreaming(ClientSession):
    """Acknowledges ``interrupt`` and goes on."""

    _kept: Recipient | TcpRecipient | None = None

    async def _stop(self) -> None:
        if self.state is State.INTERRUPTED and self._recipient is not None:
            self._kept, self._recipient = self._recipient, None
            self._account(self._kept)
        else:
            await super()._stop()

    async def _carry_out(self, effects: tuple[Effect, ...]) -> None:
        if self._kept is not None and (Effect.START in effects or Effect.RELEASE in effects):
            kept, self._kept = self._kept, None
            await self._table.subscriptions.remove(kept)
        await super()._carry_out(effects)


class StreamsUnasked(ClientSession):
    """Base: sends to the UDP port that has the number of the client's control port, without consent."""

    _unasked: Recipient | None = None

    def _begin_unasked(self) -> None:
        media = self._table.media_port.open_for(self.peer)
        start = self._table.ring.start_after(None)
        self._unasked = Recipient(media, payload="rtp", start=start, segmentation=False)
        self._table.subscriptions.add(self._unasked, owner=self)

    async def end_unasked(self) -> None:
        unasked, self._unasked = self._unasked, None
        if unasked is not None:
            await self._table.subscriptions.remove(unasked)
            unasked.socket.close()


class StreamsBeforeConsent(StreamsUnasked):
    """Begins with ``connect`` and does not wait for the token."""

    async def _carry_out(self, effects: tuple[Effect, ...]) -> None:
        await super()._carry_out(effects)
        if Effect.ISSUE_TOKEN in effects:
            self._begin_unasked()
        elif Effect.START in effects or Effect.RELEASE in effects:
            await self.end_unasked()


class StreamsToEveryone(StreamsUnasked):
    """Sends to whoever opens a control connection."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._begin_unasked()


class TableWithLeftovers(SessionTable):
    """Keeps what a session that broke its promise still needs after its end."""

    def __init__(self, **arguments: object) -> None:
        super().__init__(**arguments)  # type: ignore[arg-type]
        self.late: list[asyncio.Task[None]] = []
        self.held: list[object] = []


class AcknowledgesTooEarly(ClientSession):
    """Takes the client off the roster only after the reply."""

    async def _stop(self) -> None:
        recipient, self._recipient = self._recipient, None
        if recipient is not None:
            self._account(recipient)
            loop = asyncio.get_running_loop()
            table = self._table_with_leftovers()
            loop.call_later(EARLY_S, lambda: table.late.append(loop.create_task(table.subscriptions.remove(recipient))))

    def _table_with_leftovers(self) -> TableWithLeftovers:
        assert isinstance(self._table, TableWithLeftovers)
        return self._table

    def _close_media(self) -> None:
        """Leave the socket open for the datagrams that still follow."""
        media, self._path.socket = self._path.socket, None
        if media is not None:
            self._table_with_leftovers().held.append(media)
            asyncio.get_running_loop().remove_reader(media)
        super()._close_media()


class OneFrameTooMany(ClientSession):
    """Over TCP: lets the last frame follow the acknowledgement, in the place of nothing."""

    def tell(self, message: m.Reply | m.Event) -> None:
        super().tell(message)
        if isinstance(message, m.Interrupted | m.Disconnected) and self.sink is not None:
            packet = bytes(self._table.ring.run(self._table.ring.next_index - 1, self._table.ring.next_index))
            self.sink.write_media(frame_header(len(packet)) + packet)


SESSIONS: dict[str, type[ClientSession]] = {
    "honest": ClientSession,
    "keeps_streaming": KeepsStreaming,
    "streams_to_everyone": StreamsToEveryone,
    "streams_before_consent": StreamsBeforeConsent,
    "acknowledges_too_early": AcknowledgesTooEarly,
    "one_frame_too_many": OneFrameTooMany,
}


def server_class(kind: str) -> type[Server]:
    """Return the server whose sessions are of *kind*."""

    class Table(TableWithLeftovers):
        def _make_session(self, peer: tuple[str, int], send: object) -> ClientSession:
            return SESSIONS[kind](self, peer, send)  # type: ignore[arg-type]

        async def drop(self, session: ClientSession) -> None:
            await super().drop(session)
            if isinstance(session, StreamsUnasked):
                await session.end_unasked()

    class Broken(Server):
        def _make_table(self) -> SessionTable:
            return Table(
                settings=self.settings,
                ring=self._ring,
                media_port=self._media_port,
                segmentation=self._segmentation,
                subscriptions=self._subscriptions,
                view=self,
            )

    return Broken


async def serve(kind: str, host: str, port: int, *, ready: str = "ready") -> None:
    """Serve until SIGTERM; say *ready* once clients are accepted."""
    settings = ServerSettings(host=host, port=port, token_interval_s=0.3, consent_timeout_s=1.5)
    server = server_class(kind)(SyntheticSource(bitrate_kbit=2000), settings)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    await server.start()
    print(ready, flush=True)
    await server.run()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))
