"""What happens by itself, passed on as events with the session's state at the time."""

from collections.abc import Callable

from flume.client.events import ClientEvent
from flume.client.session.control_session import ControlSession
from flume.client.session.first_frame import FirstFrame


class Reporter:
    """May be called from any thread; so is the function that takes the events."""

    def __init__(self, session: ControlSession, on_event: Callable[[ClientEvent], None] | None) -> None:
        """Pass events on to *on_event*, if there is one."""
        self._session = session
        self._on_event = on_event or (lambda _event: None)
        self.last_error: str | None = None
        """The last failure, reported or not."""

    def state(self) -> None:
        """The session's state has changed."""
        self._on_event(ClientEvent(event="state", state=self._session.state))

    def first_frame(self, frame: FirstFrame) -> None:
        """The first frame after a command was displayed."""
        self._on_event(
            ClientEvent(
                event="first_frame",
                state=self._session.state,
                command=str(frame.command),
                milliseconds=frame.milliseconds,
            )
        )

    def notice(self, message: str, *, code: str) -> None:
        """Something that a person should know; nothing has failed."""
        self._on_event(ClientEvent(event="notice", state=self._session.state, message=message, code=code))

    def error(self, message: str, *, code: str | None = None) -> None:
        """Something has failed, or the session has ended."""
        self.last_error = message
        self._on_event(ClientEvent(event="error", state=self._session.state, message=message, code=code))
