"""One player's process: its lines out, its end. Starts processes and threads."""

import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence

END_S = 3.0
"""How long a player may take to end after it was told to, before it is killed."""


class Child:
    """A process whose output is read by a thread, line by line; a carriage return ends a line too."""

    def __init__(
        self,
        command: Sequence[str],
        on_line: Callable[[str], None],
        *,
        environment: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Start *command*. *on_line* takes each line of standard output and error, in that thread."""
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=pass_fds,
            text=True,
            errors="replace",
            bufsize=1,
        )
        self._on_line = on_line
        self._thread = threading.Thread(target=self._read, name=command[0], daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._process.stdout or ():  # text mode: "\r" has become "\n"
            self._on_line(line.rstrip("\n"))

    def write(self, line: str) -> None:
        """Write *line* to its standard input. Raises :class:`OSError` if it has ended."""
        if self._process.stdin is None:
            raise OSError("its standard input is closed")
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.poll()

    def wait(self, timeout_s: float) -> bool:
        """Return whether it ended within *timeout_s*."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self) -> None:
        """Ask it to end (SIGTERM), and kill it after :data:`END_S`."""
        self._process.terminate()
        if not self.wait(END_S):
            self._process.kill()
            self._process.wait()
