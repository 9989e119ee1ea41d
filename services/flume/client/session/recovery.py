"""The desired state of a client, and the steps back to it after a failure: connect again, or change to TCP."""

import contextlib
import time
from typing import Literal

from flume.client.session.control_session import ControlSession
from flume.client.session.fallback import NO_TCP, UDP_BLOCKED, Fallback
from flume.client.session.reporter import Reporter
from flume.client.session.windows import WindowTracker
from flume.control import messages
from flume.control.session import Command, State
from flume.errors import FlumeError, LoginError, NetworkError
from flume.settings import ClientSettings, Transport

LOGIN_REQUIRED = "login_required"

FINAL_CODES = frozenset({"source_ended"})
"""Codes of ends after which connecting again is pointless."""

DesiredState = Literal["active", "interrupted", "closed"]


class Recovery:
    """The desired state of one client, and the steps that bring the session there.

    Commands set the desired state with :meth:`desire`. What ends a session is noted with :meth:`note_closed` and
    :meth:`note_failure`. The supervisor's thread asks :attr:`is_needed`, and takes a step with :meth:`recover`.
    """

    def __init__(
        self, settings: ClientSettings, session: ControlSession, windows: WindowTracker, reporter: Reporter
    ) -> None:
        """Recover *session*; *windows* knows when datagrams came, *reporter* gets what a person should know."""
        self._settings = settings
        self._session, self._windows, self._reporter = session, windows, reporter
        self._fallback = Fallback(settings)
        self._desired: DesiredState = "closed"
        self._is_final = False
        self._is_over = False
        self._local_host: str | None = None
        """This host's end of the latest control connection."""
        self._is_shut_out = False
        """Whether the server refused the login, and would do so again."""
        self.reconnects = 0
        """Sessions that were begun without a command, after one that was lost."""

    # -- what is desired, and what has failed --------------------------------------------------------------------

    @property
    def desired(self) -> DesiredState:
        """What the last command asked for."""
        return self._desired

    def desire(self, state: DesiredState) -> None:
        """A command asks for *state*: earlier ends and failures count no more."""
        with self._session.changed:
            self._desired = state
            self._is_final = self._is_over = self._is_shut_out = False
            self._session.changed.notify_all()

    def leave(self) -> None:
        """End the session, if there is one, and ask for nothing until the next command."""
        with self._session.command_lock:
            self.desire("closed")
            if self._session.state is not State.CLOSED:
                with contextlib.suppress(NetworkError):
                    self._session.request(messages.Disconnect())

    def begin(self) -> None:
        """A person asks to connect without a session: try the preferred transport again."""
        self._fallback.begin()

    def note_failure(self) -> None:
        """A request failed, or the connection was lost."""
        if self._desired != "closed" and not self.will_retry:
            self._is_over = True

    def note_closed(self, event: messages.Closed) -> None:
        """The server ended the session."""
        self._is_final = event.code in FINAL_CODES
        self._fallback.note_end(event.code, has_flowed=self._windows.has_flowed)
        self.note_failure()

    @property
    def will_retry(self) -> bool:
        """Whether the session is begun again without a command."""
        return self._settings.reconnect and not (self._is_final or self._is_shut_out) and self._desired != "closed"

    @property
    def outlook(self) -> str:
        """What happens next, to be put behind a failure's message; empty for nothing."""
        return "; trying to connect again" if self.will_retry else ""

    @property
    def is_over(self) -> bool:
        """Whether the session ended, or never began, and no further attempt will be made."""
        return self._is_over

    @property
    def was_played_out(self) -> bool:
        """Whether the server said that its video has ended."""
        return self._is_final

    # -- the steps -----------------------------------------------------------------------------------------------

    @property
    def is_needed(self) -> bool:
        """Whether the session is not in the desired state, and a step may bring it there."""
        if not self.will_retry:
            return False
        state = self._session.state
        return state is State.CLOSED or (self._desired == "interrupted" and state is State.ACTIVE)

    def recover(self) -> bool:
        """Take one step towards the desired state; ``False``: it failed, wait longer before the next one."""
        with self._session.command_lock:
            if not self.is_needed:
                return True
            try:
                if self._session.state is State.ACTIVE:
                    return not isinstance(self._session.request(messages.Interrupt()), messages.Refused)
                self._note_network()
                if self._fallback.has_failed and self._fallback.may_change:
                    self._change_to_tcp()
                reply = self.connect()
            except LoginError as error:
                self._is_shut_out = error.is_final
                self._reporter.error(str(error), code=error.code)
                self.note_failure()
                return False
            except FlumeError as error:
                self._reporter.last_error = str(error)
                return False
            if isinstance(reply, messages.Refused):
                self._on_refused(reply)
                return False
            if self._windows.sessions > 1:
                self.reconnects += 1
        # Consent decides whether the path is open: without it the next attempt waits longer.
        patience_s = self._fallback.connecting_patience_s(self._settings.connect_timeout_s)
        return self._session.wait_until_state(State.ACTIVE, timeout_s=patience_s)

    def connect(self, *, asked_s: float | None = None) -> messages.Reply:
        """Ask for the stream over the present transport; raises :class:`NetworkError`.

        *asked_s*: since when the stream is waited for, monotonic seconds; ``None``: from now on.
        """
        self._windows.note_asked(Command.CONNECT, asked_s or time.monotonic())
        try:
            self._note_network()
            reply = self._session.ask(self._fallback.request())
        except LoginError as error:
            self._is_shut_out = error.is_final
            raise
        self._is_shut_out = isinstance(reply, messages.Refused) and reply.code == LOGIN_REQUIRED
        return self._fallback.explain(reply)

    def _note_network(self) -> None:
        """Try the preferred transport again from another address of this host: another network blocks other things."""
        local_host = self._session.reach().local_host
        if self._local_host not in {None, local_host}:
            self._fallback.begin()
        self._local_host = local_host

    def _on_refused(self, reply: messages.Refused) -> None:
        self._reporter.error(reply.message, code=reply.code)
        self.note_failure()
        if reply.code == NO_TCP:
            self._fallback.give_up()

    # -- where UDP does not come through -------------------------------------------------------------------------

    @property
    def transport(self) -> Transport:
        """What carries the media, or will with the next session."""
        return self._fallback.transport

    def check_udp(self, state: State, silence_s: float) -> bool:
        """Change to TCP where UDP does not come through, and return whether that was so.

        Call it from time to time with the session's *state* and with the time for which no datagram has come.
        """
        finding = self._fallback.observe(state, silence_s, has_flowed=self._windows.has_flowed)
        if finding == "ask":
            self._fallback.take_count(self._ask_for_count())
        if finding == "blocked":
            self._fall_back()
        return finding == "blocked"

    def _ask_for_count(self) -> int | None:
        """Return how many datagrams the server has sent in this session, ``None`` without an answer."""
        try:
            with self._session.command_lock:
                reply = self._session.ask(messages.StatusQuery())
        except NetworkError:  # the loss of the control connection is reported where it is noticed
            return None
        return reply.session.datagrams if isinstance(reply, messages.Status) else None

    def _change_to_tcp(self) -> None:
        self._fallback.change()
        self._reporter.notice(UDP_BLOCKED.format(host=self._settings.host), code="udp_blocked")

    def _fall_back(self) -> None:
        """End the session over UDP and begin one over TCP; after a failure :meth:`recover` does the rest."""
        with self._session.command_lock:
            if self._desired != "active" or self._session.link is None:
                return
            self._change_to_tcp()
            try:
                self._session.request(messages.Disconnect())
                reply = self.connect(asked_s=self._windows.asked_s(Command.CONNECT))
            except NetworkError as error:
                self._reporter.last_error = str(error)
                return
            if isinstance(reply, messages.Refused):
                self._on_refused(reply)
