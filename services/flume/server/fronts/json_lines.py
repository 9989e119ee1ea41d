"""The front for control lines: bytes of a TCP connection to requests, replies and events to bytes, media in frames.

A front owns the connections of one dialect. It turns bytes into the values of :mod:`flume.control.messages`, gives them
to a session, and turns what the session says into bytes. This one speaks JSON, one object a line, and puts media
between the lines in frames of RFC 4571.
"""

from flume.control.codec import Line, LineBuffer, encode, parse_request_untrusted
from flume.control.framing import frame_header
from flume.control.messages import Event, Login, Reply
from flume.errors import RemoteProtocolError
from flume.media.ring import datagram_bytes
from flume.server.access.logins import Logins
from flume.server.fronts.connection import FrontConnection
from flume.server.sessions.table import Place, SessionTable


class JsonConnection(FrontConnection[Line]):
    """One client's control connection in lines of JSON."""

    def __init__(self, table: SessionTable, place: Place, *, local_host: str, logins: Logins | None = None) -> None:
        """See :class:`.FrontConnection`. With *logins* nothing is carried out before a login."""
        self.frame_header = frame_header(datagram_bytes(table.settings.datagram_packets))
        lines = LineBuffer(max_line_bytes=table.settings.max_line_bytes)
        super().__init__(table, place, lines, local_host=local_host, logins=logins)

    def send(self, message: Reply | Event) -> None:
        """Write *message* as one line."""
        self.write(encode(message))

    async def answer(self, item: Line) -> bool:
        """Carry out one line; ``False`` if it was not the protocol."""
        session = self._session
        try:
            if isinstance(item, RemoteProtocolError):
                raise item
            request = parse_request_untrusted(item)
        except RemoteProtocolError as error:
            if error.code == "oversized":
                self._table.refused["oversized"] += 1
            session.refuse(None, error.code, str(error))
            return False
        if isinstance(request, Login):
            return await self._login.log_in(session, request)
        if not self._login.is_open:
            session.refuse(request.command, "login_required", "this server wants a login: give --user")
            return False
        await session.command(request)
        return True
