"""ffplay, steered by keys in its window: p pauses and resumes (RTSP's PAUSE and PLAY), q ends it.

ffplay does not say how many frames it displayed, but which time of the stream it displays.
"""

import os
import subprocess
import time

from players.child import Child
from players.contract import Seen
from players.keyboard import Keyboard
from players.readings import ffplay_error, ffplay_position_s

_QUIT_S = 2.0
_WINDOW_S = 15.0
"""How long a key waits for the window, which comes with the first frame: a person does not press it before either."""

_QUICK = ["-analyzeduration", "200000"]
"""Microseconds of the stream to find out what is in it; by default up to 5 s."""


def version() -> str:
    """Return ffplay's version in one line."""
    done = subprocess.run(["ffplay", "-version"], capture_output=True, text=True, check=False)
    return " ".join((done.stdout.splitlines() or ["ffplay"])[0].split()[:3])


class Ffplay:
    """One ffplay for each stream, on one screen."""

    def __init__(self, url: str, transport: str, *, quick: bool = False) -> None:
        """Start the screen; *quick*: ffplay examines the stream for less long.

        ``media over UDP`` is asked for without the fall-back to TCP that ``461`` leads to."""
        self._url, self._transport, self._quick = url, transport, quick
        self._keyboard = Keyboard()
        self._child: Child | None = None
        self._position_s: float | None = None
        self._reason = ""

    def play(self) -> None:
        """Start ffplay."""
        self._position_s, self._reason = None, ""
        environment = {**os.environ, "DISPLAY": self._keyboard.display, "SDL_AUDIODRIVER": "dummy"}
        options = ["-hide_banner", "-rtsp_transport", self._transport, "-x", "320", "-y", "180"]
        options += _QUICK if self._quick else []
        self._child = Child(["ffplay", *options, self._url], self._on_line, environment=environment)

    def pause(self) -> None:
        """Press p."""
        self._press("p")

    def resume(self) -> None:
        """Press p again."""
        self._press("p")

    def _press(self, key: str) -> None:
        deadline = time.monotonic() + _WINDOW_S
        while self._position_s is None and self._child is not None and self._child.status is None:
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        self._keyboard.press(key)

    def stop(self) -> None:
        """Press q; end an ffplay that does not obey."""
        self._press("q")
        if self._child is not None and not self._child.wait(_QUIT_S):
            self._child.end()
        self._child = None

    def poll(self) -> Seen:
        """Return what it displays."""
        child = self._child
        ended = None
        if child is not None and child.status is not None:
            ended = self._reason or f"ffplay ended with status {child.status}"
            self._child = None
        return Seen(None, self._position_s, self._position_s is not None, ended)

    def close(self) -> None:
        """End it and the screen."""
        if self._child is not None:
            self.stop()
        self._keyboard.close()

    def _on_line(self, line: str) -> None:
        if (position_s := ffplay_position_s(line)) is not None:
            self._position_s = position_s
        self._reason = ffplay_error(line) or self._reason
