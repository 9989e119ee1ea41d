"""The client put together: a library to steer one session, receive its stream and show it."""

import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial

import msgspec

from flume.client.events import ClientEvent
from flume.client.playback.player import Player
from flume.client.reception.receiver import Chain, Receiver, to_player
from flume.client.session.control_link import Message
from flume.client.session.control_session import ControlSession
from flume.client.session.first_frame import FirstFrames
from flume.client.session.player_monitor import PlayerMonitor
from flume.client.session.recovery import DesiredState, Recovery
from flume.client.session.reporter import Reporter
from flume.client.session.supervisor import Supervisor
from flume.client.session.watchdog import Watchdog
from flume.client.session.windows import WindowTracker
from flume.client.statistics import ClientStatistics, take_record
from flume.control import messages
from flume.control.endpoint import endpoint
from flume.control.session import Command, State
from flume.errors import FlumeError, LoginError, NetworkError
from flume.settings import ClientSettings
from flume.sockaddr import has_address

OnEvent = Callable[[ClientEvent], None]
MAX_COMMANDS_KEPT = 64
DRAIN_S = 3.0
"""Longest wait at the end for buffered frames: one group of pictures behind the live edge, and libvlc's buffer."""

_DESIRED: dict[Command, DesiredState] = {
    Command.CONTINUE: "active",
    Command.INTERRUPT: "interrupted",
    Command.DISCONNECT: "closed",
}


class Client:
    """One client of one server: it steers a session, receives the stream and writes it to a player.

    Commands return the server's reply, which may be :class:`~flume.control.messages.Refused`, and raise
    :class:`NetworkError` when there is no connection to send them on. They may be called from any thread between
    :meth:`start` and :meth:`close`, which the ``with`` statement calls::

        with Client(ClientSettings(host="localhost"), NullPlayer()) as client:
            client.connect()
            client.wait_until_state(State.ACTIVE, timeout_s=10)
            time.sleep(3)
            client.interrupt()
            print(client.statistics().datagrams)

    ``examples/watch_from_python.py`` is a whole program of this kind. The client begins a lost session again by itself,
    unless the settings say otherwise.

    Inside, commands go down: this class, the recovery, the control session, its connection. Messages come up in one
    place, :meth:`_on_message`, in the thread that reads the connection.
    """

    def __init__(
        self, settings: ClientSettings, player: Player, *, on_event: OnEvent | None = None, chain: Chain | None = None
    ) -> None:
        """Show what the server of *settings* sends on *player*, or give it to *chain*, which passes the player by.

        *on_event* is called from several threads of the client, and must not close it.
        """
        self.settings, self._player = settings, player
        self._started_s = time.monotonic()
        self._commands: deque[str] = deque(maxlen=MAX_COMMANDS_KEPT)
        self._receiver = Receiver(settings, chain or to_player(settings, player))
        self.take_record = partial(take_record, self._receiver, player)
        """What became of frames and datagrams since the last call; nothing unless the settings ask for a record."""
        self._first_frames = FirstFrames(player)
        self._windows = WindowTracker(self._receiver, self._first_frames)
        self._session = ControlSession(
            settings, on_message=self._on_message, on_lost=self._on_lost, on_packets=self._receiver.take_packets
        )
        self._reporter = Reporter(self._session, on_event)
        self._recovery = Recovery(settings, self._session, self._windows, self._reporter)
        self.leave = self._recovery.leave
        watchdog = Watchdog(self._session, self._recovery, self._windows, self._receiver, self._reporter)
        self._supervisor = Supervisor(self._session, self._recovery, watchdog, longest_pause_s=settings.reconnect_max_s)
        self._monitor = PlayerMonitor(player, self._first_frames, self._reporter.first_frame)

    def start(self) -> "Client":
        """Open the player and start the threads; raises :class:`~flume.errors.PlayerError`."""
        try:
            self._player.start()
        except BaseException:  # a signal's SystemExit too
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

    def connect(self) -> messages.Reply:
        """Ask for the stream; it flows once :meth:`wait_until_state` sees ``active``."""
        with self._session.command_lock:
            self._recovery.desire("active")
            if self._session.state is State.CLOSED:
                self._recovery.begin()
            try:
                reply = self._recovery.connect()
            except LoginError as error:
                self._recovery.note_failure()
                raise LoginError(error.code, f"{error}{self._recovery.outlook}") from error
            except NetworkError as error:
                self._recovery.note_failure()
                raise NetworkError(f"{error}{self._recovery.outlook}") from error
            if isinstance(reply, messages.Refused):
                self._recovery.note_failure()
            return reply

    def interrupt(self) -> messages.Reply:
        """Stop the datagrams and keep the session."""
        return self._command(messages.Interrupt())

    def continue_(self) -> messages.Reply:
        """Let the datagrams flow again."""
        return self._command(messages.Continue())

    def disconnect(self) -> messages.Reply:
        """End the session."""
        return self._command(messages.Disconnect())

    def status(self) -> messages.Reply:
        """Ask for the session's and the server's state; opens a control connection if there is none."""
        with self._session.command_lock:
            return self._session.ask(messages.StatusQuery())

    def send(self, command: Command) -> messages.Reply:
        """Carry out *command* by name."""
        return {
            Command.CONNECT: self.connect,
            Command.INTERRUPT: self.interrupt,
            Command.CONTINUE: self.continue_,
            Command.DISCONNECT: self.disconnect,
            Command.STATUS: self.status,
        }[command]()

    def _command(self, request: messages.Request) -> messages.Reply:
        command = request.command
        with self._session.command_lock:
            if not self._session.is_linked:
                if command is Command.DISCONNECT:
                    self._recovery.desire("closed")
                self._recovery.note_failure()
                outlook = self._recovery.outlook
                raise NetworkError(f"{command} was not sent: there is no connection to the server{outlook}")
            self._windows.note_asked(command, time.monotonic())
            reply = self._session.request(request)
            if not isinstance(reply, messages.Refused):
                self._recovery.desire(_DESIRED[command])
            return reply

    # -- messages of the server (in the thread that reads the control connection) --------------------------------

    def _on_message(self, message: Message) -> None:
        link = self._session.link
        if link is not None:
            try:
                self._windows.take(message, link)
            except NetworkError as error:
                if not has_address(link.local_host):  # over UDP no token would arrive, which would look like a firewall
                    link.lose(f"this host no longer has the address {link.local_host}")
                    return
                self._reporter.error(str(error))
        if isinstance(message, messages.Closed):
            self._recovery.note_closed(message)
            self._reporter.error(message.message + self._recovery.outlook, code=message.code)
        elif isinstance(message, messages.Notice) and message.code != messages.TOKEN_LATE:
            self._reporter.notice(message.message, code=message.code)
        elif isinstance(message, messages.Reply) and not isinstance(
            message, messages.Refused | messages.Status | messages.LoggedIn
        ):
            self._commands.append(str(message.command))
        self._enter(message.state)

    def _on_lost(self, reason: str) -> None:
        self._windows.lose()
        if self._session.state is not State.CLOSED or self._recovery.desired != "closed":
            self._recovery.note_failure()
            self._reporter.error(f"the control connection ended: {reason}{self._recovery.outlook}", code="link_lost")
        self._enter(State.CLOSED)

    def _enter(self, state: State) -> None:
        if self._session.enter(state):
            self._reporter.state()

    # -- what can be known ---------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The session's state as the server last reported it."""
        return self._session.state

    def wait_until_state(self, state: State, *, timeout_s: float) -> bool:
        """Wait for *state*; ``False``: the session did not enter it in time."""
        return self._session.wait_until_state(state, timeout_s=timeout_s)

    @property
    def is_over(self) -> bool:
        """Whether the session ended, or never began, and no further attempt will be made."""
        return self._recovery.is_over

    @property
    def was_played_out(self) -> bool:
        """Whether the server said that its video has ended."""
        return self._recovery.was_played_out

    def statistics(self) -> ClientStatistics:
        """Return a snapshot of all counters; it changes nothing and waits for nothing."""
        host, port = self._receiver.local_address() or (None, None)
        return ClientStatistics(
            **msgspec.structs.asdict(self._receiver.statistics()),
            time_s=time.time(),
            uptime_s=round(time.monotonic() - self._started_s, 3),
            server=endpoint(self.settings.host, self.settings.port),
            state=str(self._session.state),
            desired=self._recovery.desired,
            linked=self._session.is_linked,
            address=host,
            media_port=port,
            commands=tuple(self._commands),
            reconnects=self._recovery.reconnects,
            join_ms=self._first_frames.latest_ms(Command.CONNECT),
            resume_ms=self._first_frames.latest_ms(Command.CONTINUE),
            first_datagram_ms=self._windows.first_datagram_ms(),
            player=self._player.statistics(),
            last_error=self._reporter.last_error,
        )

    def wait_until_drained(self, *, timeout_s: float = DRAIN_S) -> bool:
        """Wait until the player has shown what was received; ``False``: it still had something to show."""
        deadline_s = time.monotonic() + timeout_s
        while (now_s := time.monotonic()) < deadline_s:
            last_s = self._player.statistics().last_frame_s
            if self._receiver.is_drained and (last_s is None or now_s - last_s > self._player.drained_after_s):
                return True
            time.sleep(0.05)
        return False

    @contextlib.contextmanager
    def _bounded_session(self, within_s: float | None) -> Iterator[None]:
        """Close the control connection after half of *within_s*: a request that waits for its reply then fails."""
        if within_s is None:
            yield
            return
        timer = threading.Timer(within_s / 2, self._session.close)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def close(self, *, within_s: float | None = None) -> None:
        """Disconnect, let the player finish, and release everything; a second call does nothing.

        *within_s* bounds all waits together: for the server's answer, for the threads and for the player. ``None``:
        each is waited for as long as it may take.
        """
        if not self._session.begin_closing():
            return
        deadline_s = time.monotonic() + (within_s if within_s is not None else math.inf)
        with self._bounded_session(within_s):
            with contextlib.suppress(FlumeError):
                if self._session.state is not State.CLOSED:
                    self.disconnect()
            self._supervisor.join(timeout_s=within_s)
            self._session.close()
        if self._windows.sessions:
            self.wait_until_drained(timeout_s=min(DRAIN_S, deadline_s - time.monotonic()))
        self._monitor.stop()
        self._receiver.close()
        self._player.close()
