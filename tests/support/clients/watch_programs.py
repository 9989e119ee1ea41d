"""``flume watch`` as a program in the client's namespace of a pair, with what it said and when."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from support.clients.terminal import watch_environment
from support.namespaces import SERVER_ADDRESS, WirePair
from support.paths import ROOT
from support.servers.plain_server import PORT

Event = dict[str, Any]


class WatchProgram:
    """One program; :attr:`events` grows by itself."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.events: list[tuple[float, Event]] = []
        """Each with the monotonic time at which it came."""
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, name="watch-program", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.events.append((time.monotonic(), json.loads(line)))
                self._changed.notify_all()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def wait_for(
        self, what: str, is_it: Callable[[Event], object], *, since_s: float = 0.0, timeout_s: float = 60.0
    ) -> tuple[float, Event]:
        """Return the first event after *since_s* that *is_it*, and when it came. Each event is asked about once."""
        seen, deadline_s = 0, time.monotonic() + timeout_s
        with self._changed:
            while True:
                for at_s, event in self.events[seen:]:
                    seen += 1
                    if at_s > since_s and is_it(event):
                        return at_s, event
                left_s = deadline_s - time.monotonic()
                assert left_s > 0, f"not {what} in {timeout_s} s: {self.events[-4:]}"
                self._changed.wait(left_s)

    def wait_until_flowing(self, *, since_s: float = 0.0, timeout_s: float = 60.0) -> tuple[float, Event]:
        """Return the second statistics in a row, after *since_s*, of a stream that flows.

        The first may be of datagrams that waited in the socket while the program stood still.
        """
        before: Event | None = None

        def flows(event: Event) -> bool:
            nonlocal before
            if event["event"] != "statistics":
                return False
            age_s, earlier = event["last_datagram_age_s"], before
            if event["state"] != "active" or age_s is None or age_s > 0.5:
                before = None
            elif earlier is None:
                before = event
            elif event["time_s"] > earlier["time_s"] + 0.5:  # a program that was stopped makes up for what it missed
                before = event
                return event["datagrams"] > earlier["datagrams"] + 10
            return False

        return self.wait_for("flowing", flows, since_s=since_s, timeout_s=timeout_s)

    def said(self, kind: str, *, since_s: float = 0.0) -> list[Event]:
        return [event for at_s, event in self.events if at_s > since_s and event["event"] == kind]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextlib.contextmanager
def watch_programs(
    pair: WirePair, *options: Sequence[str], patience_s: float | None = None, port: int = PORT
) -> Iterator[list[WatchProgram]]:
    """One program for each of *options*, without a player; all of them receive when the body begins.

    *patience_s*: how long a program believes in a silent server; None: as long as every client does.
    """
    module = ["flume.cli"] if patience_s is None else ["support.clients.impatient_watch", str(patience_s)]
    command = [sys.executable, "-m", *module, "watch", SERVER_ADDRESS, "--port", str(port)]
    environment = {**watch_environment(), "PYTHONPATH": f"{ROOT / 'services'}:{ROOT / 'tests'}"}
    programs: list[WatchProgram] = []
    try:
        for words in options:
            whole = pair.inside(pair.client, *command, "--json", "--player", "none", *words)
            process = subprocess.Popen(
                whole, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=environment
            )
            programs.append(WatchProgram(process))
        for program in programs:
            program.wait_until_flowing()
        yield programs
    finally:
        for program in programs:
            program.close()
