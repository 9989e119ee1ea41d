"""One life of the process in which libvlc plays, seen from the client, with its deadlines.

An end of the process, an answer that does not come in time and memory beyond the bound are one error to the caller:
:class:`~flume.errors.PlayerError`. It then ends this life and may begin another.
"""

import resource
import time
from pathlib import Path

import msgspec

from flume.child_process import MESSAGE, ChildEndedError, ChildProcess, Frame
from flume.client.playback.process_messages import (
    Ask,
    Command,
    Event,
    Examine,
    Examined,
    Failed,
    Listening,
    Play,
    Report,
    decode_event_untrusted,
    encode,
)
from flume.errors import PlayerError

PROGRAM = "flume.client.playback.process"

MEMORY_BYTES = 4 << 30
"""Bound of the process's private memory. Measured: 0.1 GiB for 720p. 4K in H.265 with 10 bits and five references takes
0.8 GiB with one decoder thread, and 1.9 GiB with libvlc's most, sixteen. A driver of a graphics card adds to that."""

MEMORY_NEAR_BYTES = MEMORY_BYTES * 9 // 10
"""The process is ended here already: libvlc may go on without a picture when memory is refused to it."""

REPORT_INTERVAL_S = 0.2
"""At 20 reports a second both processes together take 1 % of a core for them, at 5 a fourth of that."""

MEMORY_INTERVAL_S = 1.0
"""How often its memory is looked at."""

START_TIMEOUT_S = 10.0
"""From the start until libvlc listens: 0.2 s, and seconds on a host with one busy core."""

ANSWER_TIMEOUT_S = 1.5
"""An answer comes within a millisecond, and within some tenths of a second on a busy host."""

LONGEST_STEP_S = 0.25
"""At most this much of the time between two looks counts as waiting: a client that was itself stopped, or got no CPU,
does not take that for a fault of the process."""


class VlcProcess:
    """One life: it plays from its start until :meth:`kill`. One thread looks; :meth:`send` is for any thread."""

    def __init__(self, play: Play) -> None:
        """Start it; raises :class:`PlayerError`."""
        self._child = _start()
        self.send(play)
        self.port: int | None = None
        """The UDP port of 127.0.0.1 at which libvlc listens, once it does."""
        self.report = Report()
        """The latest report."""
        self._shown: list[tuple[float, int | None]] = []
        self._has_asked, self._asked_s = False, 0.0
        self._looked_s = self.began_s = self._measured_s = time.monotonic()
        self._waited_s = 0.0

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._child.pid

    def send(self, command: Command) -> None:
        """Send *command*; never waits."""
        self._child.send(encode(command))

    def look(self, *, timeout_s: float, is_urgent: bool = False) -> None:
        """Take over what has come, and wait up to *timeout_s* for what is due; raises :class:`PlayerError`.

        A report is asked for every :data:`REPORT_INTERVAL_S`, and at once where *is_urgent*.
        """
        now_s = time.monotonic()
        is_due = is_urgent or now_s - self._asked_s >= REPORT_INTERVAL_S
        if self.port is not None and not self._has_asked and is_due:
            self.send(Ask())
            self._has_asked, self._asked_s = True, now_s
        if not self._is_waiting:
            timeout_s = 0.0
        while (frame := _receive(self._child, timeout_s)) is not None:
            self._take(_event(frame))
            timeout_s = 0.0
        self._check_time()
        self._check_memory()

    @property
    def _is_waiting(self) -> bool:
        return self.port is None or self._has_asked

    def _take(self, event: Event) -> None:
        self._waited_s = 0.0
        match event:
            case Listening():
                self.port = event.port
            case Report():
                self.report = event
                self._shown += event.shown
                self._has_asked = False
            case Failed():
                raise PlayerError(event.reason)

    def take_shown(self) -> list[tuple[float, int | None]]:
        """Return the recorded pictures of the reports since the last call, in their order."""
        shown, self._shown = self._shown, []
        return shown

    def _check_time(self) -> None:
        now_s = time.monotonic()
        if self._is_waiting:
            self._waited_s += min(now_s - self._looked_s, LONGEST_STEP_S)
        self._looked_s = now_s
        if self.port is None and self._waited_s > START_TIMEOUT_S:
            raise PlayerError(f"libvlc did not start within {START_TIMEOUT_S:g} s")
        if self.port is not None and self._waited_s > ANSWER_TIMEOUT_S:
            raise PlayerError(f"libvlc did not answer for {ANSWER_TIMEOUT_S:g} s")

    def _check_memory(self) -> None:
        if self._looked_s - self._measured_s < MEMORY_INTERVAL_S:
            return
        self._measured_s = self._looked_s
        held = private_bytes(self.pid)
        if held > MEMORY_NEAR_BYTES:
            raise PlayerError(f"libvlc has grown to {held / (1 << 30):.1f} GiB of memory")

    def kill(self) -> None:
        """End it at once."""
        self._child.kill()


def examine_window() -> str | None:
    """Return why libvlc can open no window here, with the remedy, or ``None``; raises :class:`PlayerError`.

    A process of its own finds it out: it loads libvlc and asks the X server, and each may hang.
    """
    child = _start()
    try:
        child.send(encode(Examine()))
        frame = _receive(child, START_TIMEOUT_S)
    finally:
        child.kill()
    event = _event(frame) if frame is not None else None
    if isinstance(event, Failed):
        raise PlayerError(event.reason)
    return event.obstacle if isinstance(event, Examined) else f"the display did not answer within {START_TIMEOUT_S:g} s"


def private_bytes(pid: int) -> int:
    """Return the memory of process *pid* that RLIMIT_DATA bounds, 0 where that cannot be known."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[5]) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        return 0


def _start() -> ChildProcess:
    try:
        return ChildProcess(PROGRAM, memory_bytes=MEMORY_BYTES)
    except OSError as error:
        raise PlayerError(f"libvlc got no process of its own: {error.strerror or error}") from error


def _receive(child: ChildProcess, timeout_s: float) -> Frame | None:
    try:
        return child.receive(timeout_s=timeout_s)
    except ChildEndedError as ended:
        raise PlayerError(f"libvlc {ended}") from ended


def _event(frame: Frame) -> Event:
    if frame.kind == MESSAGE:
        try:
            return decode_event_untrusted(frame.data)
        except msgspec.DecodeError:
            pass
    raise PlayerError("libvlc sent a message that cannot be read")
