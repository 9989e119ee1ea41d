"""The runs of the matrix: one lab each, with all players at once. Needs Docker."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from flume.lab.containers.engine import Engine
from support.paths import ROOT

PLAYERS = ("flume", "vlc", "ffplay", "mpv", "gstreamer")

LAB = "players"
RESTART_S = 30.0
"""How long players are watched after the server has come back."""


class Trial(NamedTuple):
    """One run. Every client plays the same *commands*."""

    name: str
    commands: str
    duration_s: int
    transport: str = "udp"
    profile: str = "clean"
    quick: bool = False
    """With settings by which each player joins sooner."""


PAUSE = "connect; wait 9; interrupt; wait {pause_s}; continue; wait 9; disconnect; wait 1"

TRIALS = (
    Trial("pause 2 s", PAUSE.format(pause_s=2), 21),
    Trial("joining soon", "connect; wait 6; disconnect; wait 1", 7, quick=True),
    Trial("TCP", "connect; wait 11; disconnect; wait 1", 12, transport="tcp"),
    Trial("lossy-1", "connect; wait 11; disconnect; wait 1", 12, profile="lossy-1"),
    Trial("pause 120 s", PAUSE.format(pause_s=120), 139),
)


def run(trial: Trial, folder: Path, *, lab: str = LAB) -> Mapping[str, Any]:
    """Carry *trial* out, with its artefacts in *folder*; return the report."""
    folder.mkdir(parents=True, exist_ok=True)
    scenario = folder / "scenario.toml"
    scenario.write_text(
        f'description = "{trial.name}"\nduration_s = {trial.duration_s}\n'
        f'[[part]]\nname = "all"\ncommands = "{trial.commands}"\n'
    )
    suffix = (":tcp" if trial.transport == "tcp" else "") + (":quick" if trial.quick else "")
    programs = [name if name == "flume" else name + suffix for name in PLAYERS]
    command = [sys.executable, "-m", "flume.cli", "lab", "run", "--lab", lab, "--clients", str(len(programs))]
    command += ["--players", ",".join(programs), "--scenario", str(scenario), "--profile", trial.profile]
    command += ["--artifacts", str(folder), "--frames-min", "40"]
    latest = folder / "latest"
    before = latest.resolve()
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, text=True, capture_output=True, check=False)
    path = latest / "report.json"
    if latest.resolve() == before or not path.exists():  # an earlier run's report says nothing of this one
        raise SystemExit(f"{trial.name}: no report\n{done.stdout}{done.stderr}")
    print(f"{trial.name}: status {done.returncode}\n{done.stdout}", file=sys.stderr)
    report: Mapping[str, Any] = json.loads(path.read_text())
    return report


def events(log: str) -> Iterator[Mapping[str, Any]]:
    """Yield the events in the log of a client."""
    for line in log.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "event" in event:
            yield event


def restart_server(*, lab: str = LAB) -> dict[str, list[Mapping[str, Any]]]:
    """Start the server of a running *lab* again while its clients play; return each program's events after that."""
    with Engine.connect() as engine:
        server = engine.find(lab=lab, role="server")[0]
        clients = engine.find(lab=lab, role="client")
        before = [len(list(events(client.logs()))) for client in clients]
        server.stop(timeout_s=5)
        server.start()
        time.sleep(RESTART_S)
        return {
            client.program: list(events(client.logs()))[count:] for client, count in zip(clients, before, strict=True)
        }


def remove(*, lab: str = LAB) -> None:
    """Remove the lab."""
    with Engine.connect() as engine:
        engine.remove_lab(lab)
