"""All players at once at one server on loopback, in a namespace of their own. Needs root.

The players are those of this machine, not of the lab's image: Debian's ``vlc``, ``ffmpeg``, ``xvfb``, ``mpv``,
``python3-gi`` and ``gstreamer1.0-plugins-good``, ``-bad``, ``gstreamer1.0-libav``.
"""

import contextlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from flume.lab import testcard
from flume.lab.evidence.capture import read_tap
from flume.lab.evidence.facts import Evidence, Expectations, Subject, TapFacts
from flume.lab.trial.judge import judge
from flume.lab.trial.sessions import reconstruct
from flume.lab.trial.verdict import RunFacts
from support.namespaces import Tcpdump, WirePair
from support.paths import ROOT

PLAYERS = ("vlc", "ffplay", "mpv", "gstreamer")
PROGRAMS = ("vlc", "ffplay", "Xvfb", "mpv", "gst-inspect-1.0", "runuser")
PROCESSES = {"python3": "gstreamer"}
"""A process's name, where it is not the player's."""
HOST, PORT = "127.0.0.1", 5004
URL = f"rtsp://{HOST}:{PORT}/"
READY_S, WATCH_S = 10.0, 12.0


def is_here() -> bool:
    """Whether this machine has the players."""
    return all(map(shutil.which, PROGRAMS))


@contextlib.contextmanager
def _server(pair: WirePair, film: Path) -> Iterator[None]:
    command = (sys.executable, "-m", "flume.cli", "serve", "--json", "--host", HOST, "--port", str(PORT), str(film))
    with subprocess.Popen(pair.inside(pair.server, *command), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as one:
        assert one.stdout is not None
        assert b'"listening"' in one.stdout.readline()
        try:
            yield
        finally:
            one.terminate()


def start_driver(inside: Sequence[str], name: str, url: str, home: str, log: Path) -> subprocess.Popen[str]:
    """Start the driver of the player *name* by the words *inside*, as a user: VLC refuses root."""
    settings = (f"HOME={home}", f"PYTHONPATH={ROOT / 'services'}", "PYTHONDONTWRITEBYTECODE=1")
    command = ("runuser", "-u", "nobody", "--", "env", *settings)
    player = ("/usr/bin/python3", "-m", "players.driver", name, url, "--quick")
    with log.open("w") as output:
        return subprocess.Popen(
            [*inside, *command, *player],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.DEVNULL,
            text=True,
        )


def tell(drivers: Sequence[subprocess.Popen[str]], command: str) -> None:
    """Give *command* to all *drivers*."""
    for driver in drivers:
        assert driver.stdin is not None
        driver.stdin.write(f"{command}\n")
        driver.stdin.flush()


def end(drivers: Sequence[subprocess.Popen[str]]) -> None:
    """End all *drivers*."""
    for driver in drivers:
        driver.terminate()
    for driver in drivers:
        driver.wait(10)


class Played(NamedTuple):
    """One player: when it displayed its first frame, in epoch seconds, and the port of its control connection."""

    first_frame_s: float | None
    control_port: int | None


def _play(pair: WirePair, folder: Path) -> dict[str, Played]:
    """Let all players play at once."""
    logs = {name: folder / f"{name}.log" for name in PLAYERS}
    with tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o777)
        drivers = [start_driver(pair.inside(pair.server), name, URL, home, log) for name, log in logs.items()]
        try:
            deadline_s = time.monotonic() + READY_S
            while not all("statistics" in log.read_text() for log in logs.values()):
                assert time.monotonic() < deadline_s, "a driver does not start"
                time.sleep(0.1)
            tell(drivers, "play")
            time.sleep(WATCH_S)
            ports = _control_ports(pair)
            tell(drivers, "stop")
            time.sleep(1)
        finally:
            end(drivers)
    return {name: Played(_first_frame_s(log.read_text()), ports.get(name)) for name, log in logs.items()}


def _control_ports(pair: WirePair) -> dict[str, int]:
    """Return player to the local port of its connection to the server, by the names of the processes."""
    listed = subprocess.run(
        pair.inside(pair.server, "ss", "-tnpH", f"dport = :{PORT}"), capture_output=True, text=True, check=True
    )
    found = re.findall(rf':(\d+)\s+\S+:{PORT}\s+users:\(\("([^"]+)"', listed.stdout)
    return {PROCESSES.get(process, process): int(port) for port, process in found}


def _first_frame_s(log: str) -> float | None:
    events = (json.loads(line) for line in log.splitlines() if line.startswith("{"))
    return next((event["time_s"] for event in events if event["event"] == "first_frame"), None)


def _joined_ms(facts: TapFacts, played: Mapping[str, Played]) -> dict[str, float | None]:
    """Return for each player the time from its SETUP to its first frame; None: it displayed none."""
    setup_s = {one.control[1]: one.time_s for one in reconstruct(facts).commands if one.command == "connect"}
    return {
        name: None
        if one.first_frame_s is None or one.control_port is None
        else 1000 * (one.first_frame_s - setup_s[one.control_port])
        for name, one in played.items()
    }


def _first_datagrams_ms(facts: TapFacts) -> list[float]:
    """Return for each session the time from its SETUP to its first datagram."""
    sessions = reconstruct(facts)
    asked_s = {one.control: one.time_s for one in sessions.commands if one.command == "connect"}
    found = []
    for window in sessions.windows:
        first_s = min((one.time_s for one in facts.media if one.destination == window.media), default=None)
        if first_s is not None and window.control in asked_s:
            found.append(1000 * (first_s - asked_s[window.control]))
    return found


def run(folder: Path) -> Mapping[str, Any]:
    """Return when each player joined, and what the judge found."""
    folder.mkdir(parents=True, exist_ok=True)
    began_s = time.time()
    film = testcard.generate(folder / "card.mp4", duration_s=20)
    with (
        WirePair(clients=1, segmentation=True) as pair,
        _server(pair, film),
        Tcpdump(pair, pair.server, folder / "loopback.pcap", interface="lo") as tap,
    ):
        played = _play(pair, folder)
    facts = read_tap(folder / "loopback.pcap", name="server", log_text=tap.log, port=PORT)
    evidence = Evidence(began_s, "server", (facts,), (Subject(name="all", address=HOST),), Expectations())
    (client,) = judge(evidence, RunFacts(run="loopback")).clients
    return {
        "first_frame_ms": _joined_ms(facts, played),
        "first_datagram_ms": _first_datagrams_ms(facts),
        "datagrams": client.datagrams_active + client.datagrams_leaked,
        "leaked": client.datagrams_leaked,
    }
