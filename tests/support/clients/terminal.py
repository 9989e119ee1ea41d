"""``flume watch`` as a person starts it: on a terminal, or without one."""

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Sequence

from support.paths import SERVICES

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def watch_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "flume.cli", "watch", *arguments]


def watch_environment() -> dict[str, str]:
    """Without a display, with this tree's package."""
    kept = {key: value for key, value in os.environ.items() if key not in {"DISPLAY", "WAYLAND_DISPLAY", "COLUMNS"}}
    return {**kept, "PYTHONPATH": str(SERVICES), "TERM": "xterm"}


def run_watch(*arguments: str, timeout_s: float = 30.0) -> subprocess.CompletedProcess[str]:
    """Run it to its end with nothing on standard input."""
    return subprocess.run(
        watch_command(*arguments),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=watch_environment(),
        timeout=timeout_s,
        check=False,
    )


class Terminal:
    """A pseudo-terminal of 100 columns with ``flume watch`` in it, started by the program *through*, if any."""

    def __init__(self, *arguments: str, through: Sequence[str] = ()) -> None:
        self._master, self._slave = pty.openpty()
        termios.tcsetwinsize(self._slave, (24, 100))
        self.before = termios.tcgetattr(self._slave)
        self.process = subprocess.Popen(
            [*through, *watch_command(*arguments)],
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env=watch_environment(),
            start_new_session=True,
        )
        self._seen = ""

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    @property
    def lines(self) -> list[str]:
        """What was written so far, without colours and cursor movements; each renewal of a line is a line."""
        return [line for line in re.split(r"[\r\n]+", _CONTROL.sub("\r", self._seen)) if line.strip()]

    def words(self) -> str:
        """Return what was written so far with its lines joined, as wrapped text is read."""
        self._read(0.05)
        return " ".join(line.strip() for line in self.lines)

    def until(self, text: str, *, timeout_s: float = 10.0) -> str:
        """Read until a line contains *text*, and return that line."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            for line in self.lines:
                if text in line:
                    return line
            left_s = deadline_s - time.monotonic()
            assert left_s > 0, f"not on the terminal within {timeout_s:g} s: {text}\n" + "\n".join(self.lines[-20:])
            self._read(left_s)

    def read_to_end(self, *, timeout_s: float = 10.0) -> int:
        """Return the exit status."""
        deadline_s = time.monotonic() + timeout_s
        while self.process.poll() is None:
            assert time.monotonic() < deadline_s, "it did not end:\n" + "\n".join(self.lines[-20:])
            self._read(0.05)
        self._read(0.05)
        return self.process.returncode

    def is_as_before(self) -> bool:
        """Whether the terminal's settings are what they were."""
        return termios.tcgetattr(self._slave) == self.before

    def _read(self, timeout_s: float) -> None:
        ready, _, _ = select.select([self._master], [], [], timeout_s)
        if ready:
            with contextlib.suppress(OSError):
                self._seen += os.read(self._master, 65_536).decode("utf-8", "replace")
