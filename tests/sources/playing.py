"""Plays one entry through a whole server to a client that keeps everything."""

import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from sources.entry import Entry
from support.clients.recorder import Recorder
from support.paths import ROOT

START_S = 30.0
"""How long a server may take to listen: a dozen start at the same time."""

SILENCE_S = 12.0
"""A server that sends nothing for this long sends nothing more."""


class NoServerError(Exception):
    """The server ended, or does not listen. The text is what it said."""


@dataclasses.dataclass
class Played:
    """What a server sent to its first client and to the one that joined late, and what it said."""

    recorder: Recorder | None = None
    late: Recorder | None = None
    log: str = ""
    exit_status: int | None = None
    ended: dict = dataclasses.field(default_factory=dict)
    problems: list[str] = dataclasses.field(default_factory=list)
    peak_mib: float = 0.0


class Server:
    """``flume serve`` of *sources* on loopback; its log goes to a file, so that it can never wait for its reader."""

    def __init__(self, folder: Path, sources: Sequence[str | bytes], *options: str, cwd: Path | None = None) -> None:
        command: list[str | bytes] = [sys.executable, "-m", "flume.cli", "serve", "--host", "127.0.0.1", "--json"]
        command += ["--port", "0", *options, "--", *sources]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "services")}
        self._log = folder / "log"
        self._out = folder / "out"
        with self._log.open("wb") as log, self._out.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=log, env=environment, cwd=cwd)

    def port(self, *, timeout_s: float = START_S) -> int:
        """Wait until it listens, and return the port."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            for event in self.events():
                if event["event"] == "listening":
                    return event["port"]
            if self.process.poll() is not None:
                raise NoServerError(f"the server ended with {self.process.returncode}: {self.last_line()}")
            time.sleep(0.05)
        raise NoServerError(f"the server does not listen after {timeout_s:g} s: {self.last_line()}")

    def events(self) -> list[dict]:
        lines = self._out.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def last_line(self) -> str:
        return (self.log().strip().splitlines() or ["(nothing)"])[-1]

    def children(self) -> list[int]:
        """Return the processes that read for it, the one in use first."""
        found = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        numbers: set[int] = set()
        for path in found:
            with contextlib.suppress(OSError):
                numbers |= {int(number) for number in path.read_text().split()}
        return sorted(number for number in numbers if b"flume.reader" in command_line(number))

    def peak_mib(self) -> float:
        """Return the most memory that it has used, and its readers."""
        return sum(map(_peak_mib, (self.process.pid, *self.children())))

    def end(self, *, timeout_s: float = 10.0) -> int | str:
        """End it as an operator does; return its status, or how long it did not end."""
        begun_s = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
            return f"does not end within {time.monotonic() - begun_s:.0f} s of SIGTERM"


def command_line(number: int) -> bytes:
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes()
    except OSError:
        return b""


def _peak_mib(number: int) -> float:
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{number}/status").read_text())
        return int(found[1]) / 1024 if found else 0.0
    return 0.0


@contextlib.contextmanager
def server_of(sources: Sequence[str | bytes], *options: str, cwd: Path | None = None) -> Iterator[Server]:
    """Run a server, and end it whatever happens."""
    with tempfile.TemporaryDirectory(prefix="flume-sources-") as name:
        server = Server(Path(name), sources, *options, cwd=cwd)
        try:
            yield server
        finally:
            if server.process.poll() is None:
                server.process.kill()
            server.process.wait(10)


def play(entry: Entry, folder: Path, *, seconds: float) -> Played:
    """Play *entry*, whose recipe filled *folder*; one loop lasts *seconds*."""
    played = Played()
    with contextlib.ExitStack() as stack:
        sources: Sequence[str | bytes] = (
            stack.enter_context(entry.serving(folder)) if entry.serving is not None else entry.play
        )
        once = ("--once",) if entry.loops == 1 else ()
        server = stack.enter_context(server_of(sources, *once, *entry.options, cwd=folder))
        try:
            port = server.port()
            _record(entry, server, port, played, seconds)
        except NoServerError as error:
            played.problems.append(str(error))
        _end(entry, server, played)
    return played


def _record(entry: Entry, server: Server, port: int, played: Played, seconds: float) -> None:
    with Recorder(port) as recorder:
        played.recorder = recorder
        try:
            recorder.connect()
        except (AssertionError, OSError) as error:
            played.problems.append(f"the client cannot connect: {error}")
            return
        late = threading.Thread(target=_join_late, args=(entry, port, played, recorder, seconds), daemon=True)
        late.start()
        wanted_s = seconds * entry.loops

        def done(recorder: Recorder) -> bool:
            last_s = recorder.times_s[-1] if recorder.times_s else recorder.ended_s
            silent = time.monotonic() - last_s > SILENCE_S
            return silent or (entry.loops > 1 and recorder.stream_s > wanted_s * 1.03 + 2.0)

        recorder.ended_s = time.monotonic()
        recorder.run(for_s=wanted_s + START_S, until=done)
        if entry.loops == 1 and not recorder.closed:
            played.problems.append(
                f"it has not ended after {recorder.ended_s - recorder.times_s[0]:.0f} s"
                if recorder.times_s
                else "nothing was sent"
            )
        played.peak_mib = server.peak_mib()
        late.join(10)


def _join_late(entry: Entry, port: int, played: Played, first: Recorder, seconds: float) -> None:
    if entry.late is None:
        return
    while not first.times_s and not first.closed:
        time.sleep(0.02)
    if first.closed:
        return
    time.sleep(entry.late.at_s)
    with contextlib.suppress(AssertionError, OSError), Recorder(port) as late:
        played.late = late.connect()
        late.run(
            for_s=seconds * entry.loops + 5,
            until=lambda _: (
                first.closed
                or bool(entry.loops > 1 and time.monotonic() - first.times_s[0] > seconds * entry.loops + 2)
            ),
        )


def _end(entry: Entry, server: Server, played: Played) -> None:
    if entry.loops == 1 and server.process.poll() is None and not played.problems:
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.process.wait(5)
    if server.process.poll() is None:
        status = server.end()
        if isinstance(status, str):
            played.problems.append(status)
        elif status != 0 and entry.exit_status == 0:
            played.problems.append(f"it ends with status {status}: {server.last_line()}")
        if entry.loops == 1 and not played.problems:
            played.problems.append("it does not end by itself after the last item")
    elif server.process.returncode != entry.exit_status:
        played.problems.append(f"it ended with status {server.process.returncode}: {server.last_line()}")
    played.exit_status = server.process.returncode
    played.log = server.log()
    if "Traceback" in played.log:
        played.problems.append(f"a traceback: {server.last_line()}")
    played.ended = next((event for event in server.events() if event["event"] == "ended"), {})
