"""Which front a connection gets: its first byte says which dialect its client speaks."""

from typing import Any

from flume.server.access.logins import Logins
from flume.server.fronts.beginnings import is_rtsp
from flume.server.fronts.connection import FrontConnection
from flume.server.fronts.json_lines import JsonConnection
from flume.server.fronts.rtsp import RtspConnection
from flume.server.fronts.rtsp_path import RtspStream
from flume.server.sessions.table import Place, SessionTable

AnyConnection = FrontConnection[Any]


class Dialects:
    """The fronts of one server."""

    def __init__(self, table: SessionTable, logins: Logins | None, rtsp: RtspStream | None) -> None:
        """Open sessions in *table*, after a login where there are *logins*; for players only if there is *rtsp*."""
        self._table, self._logins, self._rtsp = table, logins, rtsp

    def open(self, place: Place, *, local_host: str, first: bytes) -> AnyConnection:
        """Return the connection of *place* to *local_host*, whose *first* byte is known; empty: not yet."""
        if self._rtsp is not None and is_rtsp(first):
            return RtspConnection(self._table, place, self._rtsp, local_host=local_host, logins=self._logins)
        return JsonConnection(self._table, place, local_host=local_host, logins=self._logins)
