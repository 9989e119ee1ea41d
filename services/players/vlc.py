"""VLC, steered by its remote control (``-I oldrc``).

Debian's VLC has no live555: its SAT>IP module plays ``rtsp://``, over UDP alone, and asks for no PAUSE. So ``pause``
halts what VLC displays while the datagrams go on.
"""

import contextlib
import subprocess

from players.child import Child
from players.contract import Seen, UnsupportedStep
from players.readings import vlc_seen

_OPTIONS = (
    *("-I", "oldrc", "--rc-fake-tty", "--no-color", "--no-dbus", "--no-video-title-show"),
    *("--vout", "vdummy", "--aout", "adummy", "--no-playlist-enqueue"),
)
_QUIT_S = 3.0


def version() -> str:
    """Return VLC's version in one line."""
    done = subprocess.run(["vlc", "--version"], capture_output=True, text=True, check=False)
    return next((line for line in done.stdout.splitlines() if line.startswith("VLC version")), "VLC")


_QUICK = ("--network-caching=300",)
"""Milliseconds. By default 1000."""


class Vlc:
    """One VLC, which lives as long as the driver."""

    def __init__(self, url: str, transport: str, *, quick: bool = False) -> None:
        """Start it without a stream; *quick*: with a shorter buffer."""
        self._url, self._transport = url, transport
        self._seen = Seen()
        self._child = Child(["vlc", *_OPTIONS, *(_QUICK if quick else ())], self._on_line)

    def play(self) -> None:
        """Open the stream."""
        if self._transport != "udp":
            raise UnsupportedStep("its SAT>IP module takes media over UDP alone")
        self._seen = Seen()
        self._child.write("clear")
        self._child.write(f"add {self._url}")

    def pause(self) -> None:
        """Press pause."""
        self._child.write("pause")

    def resume(self) -> None:
        """Press pause again."""
        self._child.write("pause")

    def stop(self) -> None:
        """Press stop."""
        self._child.write("stop")

    def poll(self) -> Seen:
        """Return what it said last, and ask again."""
        if self._child.status is not None:
            return self._seen._replace(ended=f"VLC ended with status {self._child.status}")
        with contextlib.suppress(OSError):
            self._child.write("stats")
        return self._seen

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self._child.write("stop")
            self._child.write("quit")
        if not self._child.wait(_QUIT_S):
            self._child.end()

    def _on_line(self, line: str) -> None:
        if (seen := vlc_seen(line)) is not None:
            self._seen = seen
