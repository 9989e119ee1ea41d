"""mpv, steered by its JSON IPC.

mpv asks for no PAUSE: it halts what it displays, reads ahead for a second, and leaves further datagrams in the socket.
The frames that it displayed are counted in what ``--dump-stats`` writes.
"""

import contextlib
import json
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

from players.child import Child
from players.contract import Seen
from players.readings import mpv_displayed, mpv_message

_START_S = 10.0
"""Until its socket is there: 0.3 s on an idle computer."""

_QUICK = ("--demuxer-lavf-analyzeduration=0.1",)
"""Seconds. Its own low-latency profile is slower: it throws away what it examined, and with that the keyframe."""


def version() -> str:
    """Return mpv's version in one line."""
    done = subprocess.run(["mpv", "--version"], capture_output=True, text=True, check=False)
    return " ".join((done.stdout.splitlines() or ["mpv"])[0].split()[:2])


class Mpv:
    """One mpv, which lives as long as the driver."""

    def __init__(
        self,
        url: str,
        transport: str,
        *,
        quick: bool = False,
        folder: Path = Path("/tmp"),  # noqa: S108 - its HOME
    ) -> None:
        """Start it without a stream; *quick*: it examines the stream for less long.

        *folder* is for its socket and its statistics.
        """
        self._url = url
        self._frames = 0
        self._since = 0
        """Frames that were displayed before the present stream."""
        self._displays = False
        self._ended: str | None = None
        self._position_s: float | None = None
        path, statistics = folder / f"mpv-{os.getpid()}", folder / f"mpv-frames-{os.getpid()}"
        os.mkfifo(statistics)
        threading.Thread(target=self._count, args=(statistics,), name="mpv-frames", daemon=True).start()
        self._child = Child(
            [
                *("mpv", "--idle", "--no-config", "--no-terminal", "--vo=null", "--ao=null"),
                *(_QUICK if quick else ()),
                *(f"--input-ipc-server={path}", f"--rtsp-transport={transport}", f"--dump-stats={statistics}"),
            ],
            lambda _line: None,
        )
        self._socket = _connected(path)
        self._send("observe_property", 1, "time-pos")
        threading.Thread(target=self._read, name="mpv-messages", daemon=True).start()

    def play(self) -> None:
        """Open the stream."""
        self._ended, self._position_s, self._since, self._displays = None, None, self._frames, False
        self._send("set_property", "pause", False)
        self._send("loadfile", self._url)

    def pause(self) -> None:
        """Press pause."""
        self._send("set_property", "pause", True)

    def resume(self) -> None:
        """Press pause again."""
        self._send("set_property", "pause", False)

    def stop(self) -> None:
        """Press stop."""
        self._send("stop")

    def poll(self) -> Seen:
        """Return what it displays."""
        ended = self._ended
        if self._child.status is not None:
            ended = f"mpv ended with status {self._child.status}"
        return Seen(self._frames, self._position_s, self._displays or self._frames > self._since, ended)

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self._send("quit")
        if not self._child.wait(2.0):
            self._child.end()
        self._socket.close()

    def _send(self, *command: object) -> None:
        self._socket.sendall(json.dumps({"command": command}).encode() + b"\n")

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError), self._socket.makefile(errors="replace") as lines:
            for line in lines:
                message = mpv_message(line)
                if message.get("event") == "playback-restart":
                    self._displays = True  # the first frame is out; the statistics say so half a second later
                elif message.get("event") == "property-change":
                    self._position_s = message.get("data")
                elif message.get("event") == "end-file" and message.get("reason") in {"eof", "error"}:
                    self._ended = str(message.get("file_error") or message["reason"])

    def _count(self, path: Path) -> None:
        with path.open(errors="replace") as lines:
            for line in lines:
                self._frames += mpv_displayed(line)


def _connected(path: Path) -> socket.socket:
    """Return a connection to the Unix socket *path*, which comes to be. Raises :class:`OSError` where it does not."""
    deadline = time.monotonic() + _START_S
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(path))
        except OSError:
            connection.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return connection
