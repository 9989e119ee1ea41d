"""The program: ``player NAME URL [--transport udp|tcp]`` steers one player by the lines of standard input.

The end of the input changes nothing; SIGTERM stops the stream and ends the program.
"""

import argparse
import importlib
import queue
import signal
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any, Protocol

from players.contract import Account, Seen, UnsupportedStep, event

PLAYERS = {"vlc": "Vlc", "ffplay": "Ffplay", "mpv": "Mpv", "gstreamer": "Gstreamer"}
"""Name of the player and its module → the class in it."""

POLL_S = 0.1
STATISTICS_S = 1.0


class Player(Protocol):
    """What each player's module has. A command may raise :class:`UnsupportedStep`."""

    def play(self) -> None:
        """Begin the stream."""

    def pause(self) -> None:
        """Do what a person does to pause."""

    def resume(self) -> None:
        """Do what a person does to go on."""

    def stop(self) -> None:
        """End the stream."""

    def poll(self) -> Seen:
        """Return what it shows now."""

    def close(self) -> None:
        """End the player."""


class _Ended(Exception):  # noqa: N818 - no error
    """SIGTERM came."""


class Driver:
    """Carries out commands one after the other, and says what the player shows meanwhile."""

    def __init__(self, player: Player, account: Account) -> None:
        """Steer *player*; *account* keeps its counts."""
        self._player = player
        self._account = account
        self._commands: queue.SimpleQueue[str] = queue.SimpleQueue()

    def run(self) -> None:
        """Carry out what comes on standard input, until SIGTERM."""
        threading.Thread(target=self._read, name="commands", daemon=True).start()
        next_s = 0.0
        while True:
            if (now_s := time.monotonic()) >= next_s:
                next_s = now_s + STATISTICS_S
                self._say_statistics()
            try:
                command = self._commands.get(timeout=POLL_S)
            except queue.Empty:
                self._look()
                continue
            self.command(command)

    def _read(self) -> None:
        for line in sys.stdin:
            if line.strip():
                self._commands.put(line.strip())

    def command(self, command: str) -> None:
        """Carry out one command; every failure becomes an event."""
        self._look()
        if (refusal := self._account.refusal(command)) is not None:
            say(event("error", message=refusal))
            return
        asked_s = time.monotonic()
        try:
            getattr(self._player, command)()
        except UnsupportedStep as error:
            self._account.cannot(command, str(error))
            say(event("unsupported", command=command, reason=str(error)))
        except OSError as error:
            say(event("error", message=f"{command}: {error}"))
        else:
            self._account.done(command, time_s=asked_s)
            say(event("command", command=command))
        self._say_statistics()

    def _look(self) -> None:
        seen = self._player.poll()
        if self._account.see(seen, time_s=time.monotonic()):
            say(event("first_frame", join_ms=self._account.join_ms, time_s=round(time.time(), 3)))
        if seen.ended is not None and self._account.state != "closed":
            self._account.ended()
            say(event("end", reason=seen.ended))
            self._say_statistics()

    def _say_statistics(self) -> None:
        say(self._account.statistics(time_s=time.time()))


def say(line: str) -> None:
    """Print one event."""
    print(line, flush=True)  # noqa: T201 - this is the contract


def _end(_number: int, _frame: FrameType | None) -> None:
    raise _Ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit status."""
    parser = argparse.ArgumentParser(prog="player", description="Steer a player by lines on standard input.")
    parser.add_argument("player", choices=PLAYERS)
    parser.add_argument("url")
    parser.add_argument("--transport", choices=("udp", "tcp"), default="udp")
    parser.add_argument("--quick", action="store_true", help="join sooner, by settings that a person can give")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _end)
    module: Any = importlib.import_module(f"players.{options.player}")
    player: Player = getattr(module, PLAYERS[options.player])(options.url, options.transport, quick=options.quick)
    try:
        say(event("ready", player=options.player, version=module.version()))
        Driver(player, Account(options.player, options.transport)).run()
    except _Ended:
        player.close()
        say(event("ended", reason="SIGTERM"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
