"""The session as the server last described it, and the control connection on which it is steered."""

import threading
from collections.abc import Callable

from flume.client.session.control_link import AccessChoice, ControlLink, Credentials, Message, OnPackets
from flume.control import messages
from flume.control.session import State
from flume.errors import NetworkError
from flume.settings import ClientSettings


class ControlSession:
    """The session of one client with one server; the connection is opened when a request needs one.

    *on_message* gets every message of the server before the reply to a request is returned, and *on_lost* the reason
    for which the connection ended. Both are called from the thread that reads the connection.
    """

    def __init__(
        self,
        settings: ClientSettings,
        *,
        on_message: Callable[[Message], None],
        on_lost: Callable[[str], None],
        on_packets: OnPackets,
    ) -> None:
        """Begin closed and without a connection; *on_packets* takes media that come over the connection."""
        self._settings = settings
        self._on_message, self._on_lost, self._on_packets = on_message, on_lost, on_packets
        self.command_lock = threading.RLock()
        """Held by whatever thread carries out a command, from its first request to its last: one command at a time."""
        self.changed = threading.Condition()
        """Notified when the session's state, or the desired one, has changed, and when the client closes."""
        self._link: ControlLink | None = None
        self._state = State.CLOSED
        self._is_closing = False

    # -- requests ------------------------------------------------------------------------------------------------

    def ask(self, request: messages.Request) -> messages.Reply:
        """Send *request* on a connection that is opened if there is none, and return its reply.

        Raises :class:`NetworkError` without a connection or a reply.
        """
        link, timeout_s = self._open_link(), self._settings.connect_timeout_s
        reply = link.request(request, timeout_s=timeout_s)
        if isinstance(reply, messages.Refused) and reply.code == messages.IDLE:
            # The goodbye to a connection without a session crossed our request: the server never read the request.
            link.close()
            reply = self._open_link().request(request, timeout_s=timeout_s)
        return reply

    def request(self, request: messages.Request) -> messages.Reply:
        """Send *request* on the connection there is, and return its reply; raises :class:`NetworkError`."""
        link = self._link
        if link is None:
            raise NetworkError("there is no connection to the server")
        return link.request(request, timeout_s=self._settings.connect_timeout_s)

    def reach(self) -> ControlLink:
        """Return the connection, opened if there is none; raises :class:`NetworkError`."""
        return self._open_link()

    def _open_link(self) -> ControlLink:
        if self._link is None or not self._link.is_open:
            self._link = ControlLink.open(
                self._settings.host,
                self._settings.port,
                timeout_s=self._settings.connect_timeout_s,
                on_message=self._on_message,
                on_lost=self._on_link_lost,
                on_packets=self._on_packets,
                access=_access(self._settings),
            )
        return self._link

    def _on_link_lost(self, link: ControlLink, reason: str) -> None:
        if link is self._link:
            self._on_lost(reason)

    @property
    def link(self) -> ControlLink | None:
        """The latest connection, open or not; ``None`` before the first one."""
        return self._link

    @property
    def is_linked(self) -> bool:
        """Whether a control connection is open."""
        return self._link is not None and self._link.is_open

    @property
    def server(self) -> str:
        """The server's end of the connection, for people; its name as given while there is no connection."""
        link = self._link
        if link is None or not link.is_open:
            return self._settings.host
        address, port = link.peer
        return f"{address} port {port}"

    # -- the state -----------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The session's state as the server last reported it; closed without a connection."""
        return self._state

    def enter(self, state: State) -> bool:
        """Take *state* from the server's message, and return whether that changed anything."""
        if self._link is not None:
            self._link.expects_alive = state is not State.CLOSED
        with self.changed:
            has_changed = state is not self._state
            self._state = state
            self.changed.notify_all()
        return has_changed

    def wait_until_state(self, state: State, *, timeout_s: float) -> bool:
        """Wait for *state*; ``False``: the session did not enter it in time."""
        with self.changed:
            return self.changed.wait_for(lambda: self._state is state or self._is_closing, timeout_s)

    # -- the end -------------------------------------------------------------------------------------------------

    @property
    def is_closing(self) -> bool:
        """Whether the client is closing: waits end, and no step to recover begins any more."""
        return self._is_closing

    def begin_closing(self) -> bool:
        """End all waits; ``False``: closing had begun before."""
        with self.changed:
            was_closing, self._is_closing = self._is_closing, True
            self.changed.notify_all()
        return not was_closing

    def close(self) -> None:
        """Close the connection."""
        if self._link is not None:
            self._link.close()


def _access(settings: ClientSettings) -> AccessChoice:
    has_login = settings.user is not None and settings.secret is not None
    credentials = Credentials(settings.user, settings.secret) if has_login else None  # type: ignore[arg-type]
    return AccessChoice(tls=settings.tls, ca=settings.ca, credentials=credentials)
