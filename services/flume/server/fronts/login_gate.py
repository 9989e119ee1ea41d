"""The login of one control connection."""

import logging

from flume.control.messages import LOGIN, LoggedIn, Login
from flume.server.access.logins import Grant, LoginRefusedError, Logins
from flume.server.sessions.client_session import ClientSession
from flume.server.sessions.table import SessionTable

_log = logging.getLogger(__name__)


class LoginGate:
    """Open for a server without users, and after a login."""

    def __init__(self, table: SessionTable, logins: Logins | None) -> None:
        """Ask *logins*; what is refused is counted in *table*."""
        self._table, self._logins = table, logins
        self._grant: Grant | None = None
        self.is_open = logins is None
        """Whether commands are carried out."""

    async def log_in(self, session: ClientSession, request: Login) -> bool:
        """Carry *request* out and answer it; return whether that is no fault of the client's."""
        if self._logins is None:
            session.refuse(LOGIN, "no_users", "this server has no users: connect without --user")
            return False
        try:
            self._grant = await self._logins.check(request.user, request.secret, session.peer[0])
        except LoginRefusedError as error:
            self._count(error.code)
            # Not the name: people type their secret in its place.
            _log.warning("%s:%d: a login was refused (%s)", *session.peer, error.code)
            session.refuse(LOGIN, error.code, str(error))
            return False
        self.is_open = True
        _log.info("%s:%d is %s", *session.peer, request.user)
        session.tell(LoggedIn(state=session.state))
        return True

    def close_if_revoked(self) -> bool:
        """Close for a user who was removed, or whose secret was changed; return whether that was so."""
        if self._logins is None or self._grant is None or self._logins.holds(self._grant):
            return False
        self._grant, self.is_open = None, False
        self._table.refused["login_revoked"] += 1
        return True

    def _count(self, code: str) -> None:
        if code == "login_failed":
            self._table.refused["login_failed"] += 1
        elif code == "login_limited":
            self._table.refused["login_limited"] += 1
        else:
            self._table.refused["login_busy"] += 1
