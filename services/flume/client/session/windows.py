"""What the server says about delivery, carried out on the receiver: sessions and windows begin and end."""

import time

from flume.client.reception.receiver import Receiver, StreamSession
from flume.client.session.control_link import ControlLink, Message
from flume.client.session.first_frame import FirstFrames
from flume.control import messages as m
from flume.control.session import Command


class Delivery:
    """Give it every message in the order in which they come, from one thread."""

    def __init__(self, receiver: Receiver, first_frames: FirstFrames) -> None:
        """Steer *receiver*, and tell *first_frames* which command was granted."""
        self._receiver = receiver
        self._first_frames = first_frames
        self._delivering = False
        self.connects = 0
        """Sessions that the server granted."""
        self.asked_s: dict[Command, float] = {}
        """When each command was last sent, monotonic seconds; written by whoever sends it."""
        self.began_s = 0.0
        """When the latest window began, or the session, before its first one."""

    def take(self, message: Message, link: ControlLink) -> None:
        """Carry out what *message*, which came on *link*, means; raises :class:`~flume.errors.NetworkError`."""
        match message:
            case m.Connected():
                self._begin_session(message, link)
            case m.Continued():
                self._expect_frame(Command.CONTINUE)
                self._begin_window(message.first_sequence)
            case m.Active():
                self._begin_window(message.first_sequence)
            case m.Interrupted():
                self._end_window(message.last_sequence, message.datagrams)
            case m.Disconnected():
                self._end_window(message.last_sequence, message.datagrams)
                self._receiver.end_session()
            case m.Closed(last_sequence=None):
                self.lose()
            case m.Closed():
                self._receiver.end_session()
                self._end_window(message.last_sequence, 1)
            case _:
                pass

    def lose(self) -> None:
        """The session ended, and nobody said with which datagram."""
        self._receiver.end_session()
        if self._delivering:
            self._delivering = False
            self._receiver.abandon_window()

    def silence_s(self, now_s: float) -> float:
        """Return for how long no datagram has come in the present window, or session, before its first one."""
        return now_s - max(self.began_s, self._receiver.last_datagram_s or 0.0)

    def first_datagram_ms(self) -> float | None:
        """Return how long the latest connect command took to its first datagram."""
        first_s, asked_s = self._receiver.first_datagram_s, self.asked_s.get(Command.CONNECT)
        return round((first_s - asked_s) * 1000, 1) if first_s and asked_s else None

    def _begin_session(self, reply: m.Connected, link: ControlLink) -> None:
        self._expect_frame(Command.CONNECT)
        self.connects += 1
        self.began_s = time.monotonic()
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
            )
        )

    def _expect_frame(self, command: Command) -> None:
        self._first_frames.expect(command, self.asked_s.get(command, time.monotonic()))

    def _begin_window(self, first_sequence: int | None) -> None:
        self._delivering = True
        self.began_s = time.monotonic()
        self._receiver.begin_window(first_sequence)

    def _end_window(self, last_sequence: int | None, datagrams: int) -> None:
        # Disconnecting while interrupted repeats the numbers of the window that has already ended.
        if self._delivering:
            self._delivering = False
            self._receiver.end_window(last_sequence, datagrams)
