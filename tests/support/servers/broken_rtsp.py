"""Fronts for RTSP and a table that break their promises to players, each in one way. They live in tests."""

import asyncio
from typing import Any

from flume.control.rtsp.headers import TransportRefusal, UdpTransport, choose_transport_untrusted
from flume.control.rtsp.messages import Request
from flume.control.session import State
from flume.server.fronts import dialects
from flume.server.fronts import rtsp as module
from flume.server.fronts.rtsp import RtspConnection
from flume.server.sessions.client_session import ClientSession
from flume.server.sessions.table import SessionTable

FORGOTTEN_S = 3.0
"""How long a session goes on that was forgotten: longer than a judge grants a server that notices late."""


class StreamsToDestination(RtspConnection):
    """Sends where the ``destination`` of SETUP says."""

    async def _setup(self, request: Request) -> None:
        _, _, rest = request.headers.get("transport", "").partition("destination=")
        destination = rest.partition(";")[0]
        if destination:
            receive_at = self._session.receive_at
            self._session.receive_at = lambda source: receive_at((destination, source[1]))  # type: ignore[method-assign]
        await super()._setup(request)


class StreamsBeforePlay(RtspConnection):
    """Begins with the answer to SETUP."""

    async def _setup(self, request: Request) -> None:
        await super()._setup(request)
        if isinstance(self._path.chosen, UdpTransport) and self._session.state is State.CLOSED:
            await self._begin(self._path.chosen)


class ForgetsToEnd(SessionTable):
    """Ends a session long after its connection."""

    async def drop(self, session: ClientSession) -> None:
        await asyncio.sleep(FORGOTTEN_S)
        await super().drop(session)


def _choose_anything(header: str, **options: Any) -> UdpTransport | TransportRefusal | Any:
    without = ";".join(part for part in header.split(";") if not part.startswith("destination"))
    return choose_transport_untrusted(without, **options)


def use_front(kind: str) -> None:
    """Let servers of this process have the front of *kind*, if it is one."""
    fronts = {"streams_to_destination": StreamsToDestination, "streams_before_play": StreamsBeforePlay}
    if kind in fronts:
        vars(dialects)["RtspConnection"] = fronts[kind]
    if kind == "streams_to_destination":
        vars(module)["choose_transport_untrusted"] = _choose_anything
