"""What the server's messages say about delivery, carried out on the receiver: sessions and delivery windows."""

import time

from flume.client.reception.receiver import Receiver, StreamSession
from flume.client.session.control_link import ControlLink, Message
from flume.client.session.first_frame import FirstFrames
from flume.control import messages
from flume.control.session import Command


class WindowTracker:
    """Give it every message in the order in which they come, from one thread."""

    def __init__(self, receiver: Receiver, first_frames: FirstFrames) -> None:
        """Steer *receiver*, and let *first_frames* know which command was granted."""
        self._receiver = receiver
        self._first_frames = first_frames
        self._is_open = False
        self._asked_s: dict[Command, float] = {}
        self._began_s = 0.0
        """When the latest window began, or the session, before its first window."""
        self.sessions = 0
        """Sessions that the server granted."""

    # -- messages ------------------------------------------------------------------------------------------------

    def note_asked(self, command: Command, now_s: float) -> None:
        """*command* is sent at *now_s* (monotonic seconds); from any thread."""
        self._asked_s[command] = now_s

    def take(self, message: Message, link: ControlLink) -> None:
        """Carry out what *message*, which came on *link*, means; raises :class:`~flume.errors.NetworkError`."""
        match message:
            case messages.Connected():
                self._begin_session(message, link)
            case messages.Continued():
                self._expect_frame(Command.CONTINUE)
                self._begin_window(message.first_sequence)
            case messages.Active():
                self._begin_window(message.first_sequence)
            case messages.Interrupted():
                self._end_window(message.last_sequence, message.datagrams)
            case messages.Disconnected():
                self._end_window(message.last_sequence, message.datagrams)
                self._receiver.end_session()
            case messages.Closed(last_sequence=None):
                self.lose()
            case messages.Closed():
                self._receiver.end_session()
                self._end_window(message.last_sequence, 1)
            case messages.Notice(code=messages.TOKEN_LATE):
                self._receiver.repeat_token()
            case _:
                pass

    def lose(self) -> None:
        """The session ended, and the server did not say with which datagram."""
        self._receiver.end_session()
        if self._is_open:
            self._is_open = False
            self._receiver.abandon_window()

    def _begin_session(self, reply: messages.Connected, link: ControlLink) -> None:
        self._expect_frame(Command.CONNECT)
        self.sessions += 1
        self._began_s = time.monotonic()
        host, _ = link.peer
        self._receiver.begin_session(
            StreamSession(
                server=(host, reply.port),
                family=link.family,
                token=reply.token,
                token_interval_s=reply.token_interval_ms / 1000,
                payload=reply.payload,
                ssrc=reply.ssrc,
                transport=reply.transport,
                local_host=link.local_host,
            )
        )

    def _expect_frame(self, command: Command) -> None:
        self._first_frames.expect(command, self._asked_s.get(command, time.monotonic()))

    def _begin_window(self, first_sequence: int | None) -> None:
        self._is_open = True
        self._began_s = time.monotonic()
        self._receiver.begin_window(first_sequence)

    def _end_window(self, last_sequence: int | None, datagrams: int) -> None:
        # The reply to disconnect while interrupted repeats the numbers of the window that has already ended.
        if self._is_open:
            self._is_open = False
            self._receiver.end_window(last_sequence, datagrams)

    # -- times ---------------------------------------------------------------------------------------------------

    def asked_s(self, command: Command) -> float | None:
        """Return when *command* was last sent, monotonic seconds."""
        return self._asked_s.get(command)

    @property
    def has_flowed(self) -> bool:
        """Whether a datagram has come in this session."""
        return self._receiver.first_datagram_s is not None

    def silence_s(self, now_s: float) -> float:
        """Return for how long no datagram has come in this window, or in the session, before its first window."""
        return now_s - max(self._began_s, self._receiver.last_datagram_s or 0.0)

    def first_datagram_ms(self) -> float | None:
        """Return the time from the latest connect command to the session's first datagram."""
        first_s, asked_s = self._receiver.first_datagram_s, self._asked_s.get(Command.CONNECT)
        return round((first_s - asked_s) * 1000, 1) if first_s and asked_s else None
