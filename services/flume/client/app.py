"""The client put together: a library to steer one session, receive its stream and show it."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

import msgspec

from flume.client.events import ClientEvent
from flume.client.playback.player import Player
from flume.client.reception.receiver import Receiver
from flume.client.session.control_link import ControlLink, Message
from flume.client.session.fallback import NO_TCP, UDP_BLOCKED, Fallback
from flume.client.session.first_frame import FirstFrame, FirstFrames
from flume.client.session.player_monitor import PlayerMonitor
from flume.client.session.supervisor import Supervisor
from flume.client.session.watchdog import Lookout
from flume.client.session.windows import Delivery
from flume.client.statistics import ClientStatistics
from flume.control import messages as m
from flume.control.endpoint import endpoint
from flume.control.session import Command, State
from flume.errors import FlumeError, NetworkError
from flume.settings import ClientSettings

MAX_COMMANDS_KEPT = 64
DRAIN_S = 3.0
"""Longest wait at the end for buffered frames: one group of pictures behind the live edge, and libvlc's buffer."""

FINAL_CODES = frozenset({"source_ended"})
"""Ends after which connecting again is pointless."""

Wish = Literal["active", "interrupted", "closed"]
_WISHES: dict[Command, Wish] = {
    Command.CONNECT: "active",
    Command.CONTINUE: "active",
    Command.INTERRUPT: "interrupted",
    Command.DISCONNECT: "closed",
}


class Client:
    """One client. Call :meth:`start` first and :meth:`close` last; the rest in between, from any thread.

    Commands return the server's reply, which may be :class:`~flume.control.messages.Refused`, and raise
    :class:`NetworkError` when there is no connection to send them on.
    """

    def __init__(
        self,
        settings: ClientSettings,
        player: Player,
        *,
        on_event: Callable[[ClientEvent], None] | None = None,
    ) -> None:
        """Show what the server of *settings* sends on *player*; *on_event* is called from several threads."""
        self.settings = settings
        self._player = player
        self._on_event = on_event or (lambda _event: None)
        self._receiver = Receiver(settings, player)
        self._turn = threading.RLock()  # one command at a time
        self._changed = threading.Condition()  # guards what follows
        self._link: ControlLink | None = None
        self._state = State.CLOSED
        self._wish: Wish = "closed"
        self._final = False
        self._over = False
        self._closing = False
        self._commands: deque[str] = deque(maxlen=MAX_COMMANDS_KEPT)
        self._reconnects = 0
        self._first_frames = FirstFrames(player)
        self._monitor = PlayerMonitor(player, self._first_frames, self._on_first_frame)
        self._fallback = Fallback(settings)
        self._delivery = Delivery(self._receiver, self._first_frames)
        self._lookout = Lookout(
            *(self._fallback, self._delivery, self._receiver),
            report=self._report,
            server=self._name_server,
            sent=self._ask_what_was_sent,
            fall_back=self._fall_back,
        )
        self._last_error: str | None = None
        self._started_s = time.monotonic()
        self._supervisor = Supervisor(
            self._changed,
            is_off_course=self._is_off_course,
            restore=self._restore,
            look=lambda: self._lookout.look(self._state),
            longest_pause_s=settings.reconnect_max_s,
        )

    def start(self) -> "Client":
        """Open the player and start the threads; raises :class:`~flume.errors.PlayerError`."""
        try:
            self._player.start()
        except FlumeError:
            self._receiver.close()
            self._player.close()
            raise
        self._receiver.start()
        self._monitor.start()
        self._supervisor.start()
        return self

    def __enter__(self) -> "Client":
        """Start."""
        return self.start()

    def __exit__(self, *_exception: object) -> None:
        """Close."""
        self.close()

    # -- commands --------------------------------------------------------------------------------------------

    def connect(self) -> m.Reply:
        """Ask for the stream; it flows once :meth:`wait_until_state` sees ``active``."""
        with self._turn:
            self._wish_for("active")
            if self._state is State.CLOSED:
                self._fallback.begin()
            try:
                reply = self._connect()
            except NetworkError as error:
                raise NetworkError(f"{error}{self._prospect()}") from error
            if isinstance(reply, m.Refused) and not self.settings.reconnect:
                self._over = True  # never back to False: what came since the reply may have ended the session
            return reply

    def interrupt(self) -> m.Reply:
        """Stop the datagrams and keep the session."""
        return self._command(m.Interrupt())

    def continue_(self) -> m.Reply:
        """Let the datagrams flow again."""
        return self._command(m.Continue())

    def disconnect(self) -> m.Reply:
        """End the session."""
        return self._command(m.Disconnect())

    def status(self) -> m.Reply:
        """Ask the server how it is; opens a control connection if there is none."""
        with self._turn:
            return self._ask(m.StatusQuery())

    def send(self, command: Command) -> m.Reply:
        """Carry out *command* by name."""
        actions = {
            Command.CONNECT: self.connect,
            Command.INTERRUPT: self.interrupt,
            Command.CONTINUE: self.continue_,
            Command.DISCONNECT: self.disconnect,
            Command.STATUS: self.status,
        }
        return actions[command]()

    def _command(self, request: m.Request) -> m.Reply:
        command = request.command
        with self._turn:
            link = self._link
            if link is None or not link.is_open:
                if command is Command.DISCONNECT:
                    self._wish_for("closed")
                raise NetworkError(f"{command} was not sent: there is no connection to the server{self._prospect()}")
            self._delivery.asked_s[command] = time.monotonic()
            reply = link.request(request, timeout_s=self.settings.connect_timeout_s)
            if not isinstance(reply, m.Refused):
                self._wish_for(_WISHES[command])
            return reply

    def _connect(self, *, asked_s: float | None = None) -> m.Reply:
        """Ask for the stream; *asked_s*: since when it is waited for, now if not told."""
        self._delivery.asked_s[Command.CONNECT] = asked_s or time.monotonic()
        return self._fallback.explain(self._ask(self._fallback.request()))

    def _ask(self, request: m.Request) -> m.Reply:
        """Send *request* on a connection that is opened if there is none, and return its reply."""
        link, timeout_s = self._open_link(), self.settings.connect_timeout_s
        reply = link.request(request, timeout_s=timeout_s)
        if isinstance(reply, m.Refused) and reply.code == m.IDLE:
            # The goodbye to a connection without a session crossed our request, so nobody has heard it yet.
            link.close()
            reply = self._open_link().request(request, timeout_s=timeout_s)
        return reply

    def _open_link(self) -> ControlLink:
        if self._link is None or not self._link.is_open:
            self._link = ControlLink.open(
                self.settings.host,
                self.settings.port,
                timeout_s=self.settings.connect_timeout_s,
                on_message=self._on_message,
                on_lost=self._on_lost,
                on_packets=self._receiver.take_packets,
            )
        return self._link

    def _wish_for(self, wish: Wish) -> None:
        with self._changed:
            self._wish = wish
            self._final = self._over = False
            self._changed.notify_all()

    def _prospect(self) -> str:
        """Say what happens after a failure, and note whether anything does."""
        trying = self.settings.reconnect and not self._final and self._wish != "closed"
        self._over = not trying and self._wish != "closed"
        return "; trying to connect again" if trying else ""

    # -- what the server says (the link's thread) --------------------------------------------------------------

    def _on_message(self, message: Message) -> None:
        link = self._link
        if link is not None:
            try:
                self._delivery.take(message, link)
            except NetworkError as error:
                self._report("error", message=str(error))
        if isinstance(message, m.Closed):
            self._on_closed(message)
        elif isinstance(message, m.Notice):
            self._report("notice", message=message.message, code=message.code)
        elif isinstance(message, m.Reply) and not isinstance(message, m.Refused | m.Status):
            self._commands.append(str(message.command))
        self._enter(message.state)

    def _on_closed(self, event: m.Closed) -> None:
        self._final = event.code in FINAL_CODES
        self._fallback.note_end(event.code, has_flowed=self._receiver.first_datagram_s is not None)
        self._report("error", message=event.message + self._prospect(), code=event.code)

    def _on_lost(self, link: ControlLink, reason: str) -> None:
        if link is not self._link:
            return
        had_session = self._state is not State.CLOSED
        self._delivery.lose()
        if had_session or self._wish != "closed":
            message = f"the control connection ended: {reason}{self._prospect()}"
            self._report("error", message=message, code="link_lost")
        self._enter(State.CLOSED)

    def _enter(self, state: State) -> None:
        link = self._link
        if link is not None:
            link.expects_alive = state is not State.CLOSED
        with self._changed:
            changed = state is not self._state
            self._state = state
            self._changed.notify_all()
        if changed:
            self._report("state")

    def _report(self, event: str, **fields: object) -> None:
        if event == "error":
            self._last_error = str(fields.get("message"))
        self._on_event(msgspec.convert({"event": event, "state": str(self._state), **fields}, ClientEvent))

    # -- restoring what was wished -----------------------------------------------------------------------------

    def _is_off_course(self) -> bool:
        return (
            self.settings.reconnect
            and not self._final
            and (
                (self._wish != "closed" and self._state is State.CLOSED)
                or (self._wish == "interrupted" and self._state is State.ACTIVE)
            )
        )

    def _restore(self) -> bool:
        """Take one step towards what was wished; ``False``: it failed, wait longer before the next."""
        with self._turn:
            if not self._is_off_course():
                return True
            try:
                if self._state is State.ACTIVE:
                    return not isinstance(self._command(m.Interrupt()), m.Refused)
                if self._fallback.has_failed and self._fallback.may_change:
                    self._change_to_tcp()
                reply = self._connect()
            except FlumeError as error:
                self._last_error = str(error)
                return False
            if isinstance(reply, m.Refused):
                self._on_refused(reply)
                return False
            if self._delivery.connects > 1:
                self._reconnects += 1
        # Consent decides whether the path is open: without it the next attempt waits longer.
        patience_s = self._fallback.connecting_patience_s(self.settings.connect_timeout_s)
        return self.wait_until_state(State.ACTIVE, timeout_s=patience_s)

    def _on_refused(self, reply: m.Refused) -> None:
        self._report("error", message=reply.message, code=reply.code)
        if reply.code == NO_TCP:
            self._fallback.give_up()

    # -- where UDP does not come through -----------------------------------------------------------------------

    def _ask_what_was_sent(self) -> int | None:
        with contextlib.suppress(NetworkError):  # the control connection's own trouble, which others tell of
            reply = self.status()
            return reply.session.datagrams if isinstance(reply, m.Status) else None
        return None

    def _change_to_tcp(self) -> None:
        self._fallback.change()
        self._report("notice", message=UDP_BLOCKED.format(host=self.settings.host), code="udp_blocked")

    def _fall_back(self) -> None:
        """End the session over UDP and begin one over TCP; what fails on the way is left to the supervisor."""
        with self._turn:
            link = self._link
            if self._wish != "active" or link is None:
                return
            self._change_to_tcp()
            try:
                link.request(m.Disconnect(), timeout_s=self.settings.connect_timeout_s)
                reply = self._connect(asked_s=self._delivery.asked_s.get(Command.CONNECT))
            except NetworkError as error:
                self._last_error = str(error)
                return
            if isinstance(reply, m.Refused):
                self._on_refused(reply)

    def _name_server(self) -> str:
        link = self._link
        return "{} port {}".format(*link.peer) if link is not None and link.is_open else self.settings.host

    # -- out -----------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The session's state as last heard."""
        return self._state

    def wait_until_state(self, state: State, *, timeout_s: float) -> bool:
        """Wait for *state*; ``False`` when it did not come in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._state is state or self._closing, timeout_s)

    @property
    def is_over(self) -> bool:
        """Whether the session ended, or never began, and no further attempt will be made."""
        return self._over

    @property
    def was_played_out(self) -> bool:
        """Whether the server said that its video has ended."""
        return self._final

    def _on_first_frame(self, seen: FirstFrame) -> None:
        self._report("first_frame", command=str(seen.command), milliseconds=seen.milliseconds)

    def statistics(self) -> ClientStatistics:
        """Return a snapshot."""
        link = self._link
        host, port = self._receiver.local_address() or (None, None)
        return ClientStatistics(
            **msgspec.structs.asdict(self._receiver.statistics()),
            time_s=time.time(),
            uptime_s=round(time.monotonic() - self._started_s, 3),
            server=endpoint(self.settings.host, self.settings.port),
            state=str(self._state),
            wished=self._wish,
            linked=link is not None and link.is_open,
            address=host,
            media_port=port,
            commands=tuple(self._commands),
            reconnects=self._reconnects,
            join_ms=self._first_frames.latest_ms(Command.CONNECT),
            resume_ms=self._first_frames.latest_ms(Command.CONTINUE),
            first_datagram_ms=self._delivery.first_datagram_ms(),
            player=self._player.statistics(),
            last_error=self._last_error,
        )

    def wait_until_drained(self, *, timeout_s: float = DRAIN_S) -> bool:
        """Wait until the player has shown what was received; ``False`` when it still had something to show."""
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while (now_s := time.monotonic()) < deadline_s:
                last_s = self._player.statistics().last_frame_s
                if self._receiver.is_drained and (last_s is None or now_s - last_s > self._player.drained_after_s):
                    return True
                self._changed.wait(0.05)
        return False

    def close(self) -> None:
        """Disconnect, let the player finish, and release everything; a second call does nothing."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify_all()
        with contextlib.suppress(FlumeError):
            if self._state is not State.CLOSED:
                self.disconnect()
        self._supervisor.stop()
        if self._link is not None:
            self._link.close()
        if self._delivery.connects:
            self.wait_until_drained()
        self._monitor.stop()
        self._receiver.close()
        self._player.close()
