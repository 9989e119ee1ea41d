"""The interactive view: events scroll by, one status line stays at the bottom. Owns rich."""

import time
from types import TracebackType

from rich.console import Console as RichConsole
from rich.live import Live
from rich.text import Text

from flume.client.events import ClientEvent
from flume.client.statistics import ClientStatistics
from flume.client.terminal.views import TextView, state_label, summary
from flume.control import messages
from flume.control.session import Command
from flume.errors import FlumeError

HELP = "keys: i interrupt, c continue, d disconnect, k connect, s status, q quit"
_COLOURS = {"active": "green", "interrupted": "yellow", "connecting": "cyan", "closed": "blue", "no session": "red"}


class Console:
    """A :class:`~flume.client.terminal.watching.View` on a terminal."""

    def __init__(self, opening: str, console: RichConsole | None = None) -> None:
        """Begin with the line *opening*; draw on *console*, or on the terminal."""
        self._opening = opening
        self._console = console or RichConsole(highlight=False)
        self._live = Live(Text(""), console=self._console, auto_refresh=False, transient=False)
        self._lines = TextView(self._print, interval_s=float("inf"))
        self._is_ending = False
        self._bytes = 0
        self._taken_s = time.monotonic()

    def __enter__(self) -> "Console":
        """Take over the bottom line."""
        self._print(self._opening)
        self._print(HELP)
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""
        self._live.stop()

    def _print(self, line: str) -> None:
        self._console.print(f"{time.strftime('%H:%M:%S')} {line}", markup=False)

    def command(self, command: Command, reply: messages.Reply | FlumeError) -> None:
        """Print its line."""
        self._lines.command(command, reply)

    def event(self, event: ClientEvent) -> None:
        """Print its line."""
        self._lines.event(event)

    def refuse(self, message: str) -> None:
        """Print it."""
        self._print(message)

    def ending(self) -> None:
        """Show in the bottom line that the client is ending."""
        self._live.update(Text(" ending ", "black on white"), refresh=True)
        self._is_ending = True

    def statistics(self, statistics: ClientStatistics, *, final: bool) -> None:
        """Update the status line; at the end, print the last statistics."""
        if final:
            self._live.update(Text(""), refresh=True)
            self._print(summary(statistics))
            return
        if not self._is_ending:
            self._live.update(self._status_line(statistics), refresh=True)

    def _status_line(self, statistics: ClientStatistics) -> Text:
        now_s = time.monotonic()
        elapsed_s = max(now_s - self._taken_s, 0.001)
        rate = max(0, statistics.bytes - self._bytes) * 8e-6 / elapsed_s
        self._bytes, self._taken_s = statistics.bytes, now_s
        state = state_label(statistics)
        rest = summary(statistics).removeprefix(f"{state}, ")
        line = Text.assemble(
            (f" {state} ", f"black on {_COLOURS.get(state, 'white')}"),
            f" {rate:.1f} Mbit/s, {rest}  ",
            ("q quits", "dim"),
            no_wrap=True,
            overflow="ellipsis",
        )
        line.truncate(self._console.width)
        return line
