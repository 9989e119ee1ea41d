"""The wall clock is set by hours under a server and its client: nobody's stream, session or health depends on it."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.children.clock_jump import WallClock
from support.clients.players import wait_until
from support.clients.terminal import watch_command, watch_environment
from support.ports import free_port

pytestmark = pytest.mark.vlc

JUMPS_H = ((7, -5), (-5, 7))
"""Of the server's clock and of the client's, at the same moment."""
FPS = 25


def start(*command: str, out: Path, clock: WallClock, first: str) -> "subprocess.Popen[bytes]":
    """Start *command*; return it once it has reported the event *first*."""
    with out.open("wb") as file:
        environment = {**watch_environment(), **clock.environment}
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment)
    try:
        wait_until(first, lambda: events(out, first) or process.poll() is not None, timeout_s=60)
    except BaseException:
        process.kill()
        raise
    return process


def events(out: Path, kind: str = "statistics") -> list[dict]:
    lines = out.read_text().splitlines(keepends=True)
    found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]
    return [event for event in found if event["event"] == kind]


def health(state: Path, clock: WallClock) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "flume.cli", "health", "client", str(state)]
    environment = {**watch_environment(), **clock.environment}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_a_wall_clock_that_jumps_by_hours_costs_no_datagram_no_picture_and_no_session(card, tmp_path, record_property):
    port, state = free_port(), tmp_path / "state.json"
    clocks = {name: WallClock(tmp_path / f"{name}-clock") for name in ("server", "client")}
    served, watched = tmp_path / "served", tmp_path / "watched"
    options = ("--host", "127.0.0.1", "--port", str(port), "--json")
    serve = (sys.executable, "-m", "flume.cli", "serve", *options, str(card))
    watch = watch_command(
        "127.0.0.1", "--port", str(port), "--player", "headless", "--json", "--state-file", str(state)
    )

    def frames() -> int:
        return events(watched)[-1]["player"]["frames_displayed"] if events(watched) else 0

    with (
        start(*serve, out=served, clock=clocks["server"], first="listening") as server,
        start(*watch, out=watched, clock=clocks["client"], first="statistics") as client,
    ):
        try:
            wait_until("pictures", lambda: frames() > 10, timeout_s=60)
            for server_h, client_h in JUMPS_H:
                clocks["server"].set_to(server_h)
                clocks["client"].set_to(client_h)
                before = frames()
                wait_until("more pictures", lambda before=before: frames() > before + FPS, timeout_s=60)  # type: ignore[misc]
                ahead_s = events(watched)[-1]["time_s"] - time.time()
                assert abs(ahead_s - client_h * 3600) < 60, "the clock did jump"
                wait_until("healthy", lambda: health(state, clocks["client"]).returncode == 0, timeout_s=60)
        finally:
            for process in (client, server):
                process.terminate()
                process.wait(20)
        assert (server.returncode, client.returncode) == (0, 0), served.read_text() + watched.read_text()
    last = events(watched)[-1]
    assert [last[name] for name in ("lost", "reconnects", "dropped_by_receiver")] == [0, 0, 0]
    assert events(watched, "error") == []
    assert last["player"]["restarts"] == 0
    record_property("measured", f"0 of {last['datagrams']:,} datagrams lost, 0 reconnects, 0 restarts of the player")
