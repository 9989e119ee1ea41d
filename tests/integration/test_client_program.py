"""The client as a program: commands in, JSON out, scripts, and the health of a server."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
from click.testing import CliRunner

from flume.client.cli import health
from flume.settings import ServerSettings
from support.clients.players import wait_until
from support.clients.watcher import Watcher
from support.media.camera import CameraSource, SyntheticCamera
from support.paths import SERVICES
from support.ports import free_port
from support.servers.running_server import RunningServer


class Process:
    """``flume watch`` as the lab runs it."""

    def __init__(self, port: int, *arguments: str) -> None:
        command = [sys.executable, "-m", "flume.cli", "watch", "127.0.0.1", "--port", str(port), "--player", "none"]
        services = str(SERVICES)
        self.process = subprocess.Popen(
            [*command, "--json", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": services},
        )
        self.seen: list[dict] = []

    def say(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def until(self, kind: str, **fields: object) -> dict:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event = json.loads(line)
            self.seen.append(event)
            if event["event"] == kind and all(event.get(key) == value for key, value in fields.items()):
                return event
        raise AssertionError(f"ended without {kind} {fields}: {self.seen[-3:]}")

    def saw(self, kind: str, **fields: object) -> dict:
        """The same, or already: what the server says by itself may come before the line about the command."""
        for event in self.seen:
            if event["event"] == kind and all(event.get(key) == value for key, value in fields.items()):
                return event
        return self.until(kind, **fields)

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


def test_the_lab_s_contract_commands_in_json_out(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    with RunningServer() as server, Process(server.port, "--commands", "-", "--state-file", str(state)) as watch:
        watch.until("statistics", state="closed")
        watch.say("connect")
        assert watch.until("command", command="connect")["reply"]["reply"] == "connect"
        watch.saw("state", state="active")
        wait_until("health is good", lambda: CliRunner().invoke(health, ["client", str(state)]).exit_code == 0)
        watch.say("sing")
        assert "unknown command 'sing'" in watch.until("error")["message"]
        watch.say("continue")
        assert watch.until("command", command="continue")["reply"]["code"] == "not_allowed_now"
        watch.say("interrupt")
        last = watch.until("command", command="interrupt")["reply"]
        seen = watch.until("statistics", state="interrupted")
        assert seen["datagrams"] <= last["datagrams"]
        assert watch.process.stdin is not None
        watch.process.stdin.close()  # the end of input goes on
        watch.until("statistics", state="interrupted", datagrams=last["datagrams"])
        watch.process.send_signal(signal.SIGTERM)
        final = watch.until("statistics", final=True)
        assert (final["state"], final["datagrams"], final["lost"]) == ("closed", last["datagrams"], 0)
        assert watch.process.wait(10) == 0
    gone = CliRunner().invoke(health, ["client", str(tmp_path / "none.json")])
    assert (gone.exit_code, "no state file" in gone.output) == (1, True)


def test_a_script_ends_by_itself() -> None:
    with RunningServer() as server, Process(server.port, "--script", "connect; wait 1; interrupt; wait 0.1") as watch:
        final = watch.until("statistics", final=True)
        assert watch.process.wait(10) == 0
        assert final["commands"] == ["connect", "interrupt", "disconnect"]
        assert final["datagrams"] > 50


def test_health_of_a_server() -> None:
    port = free_port()
    with RunningServer(settings=ServerSettings(host="127.0.0.1", port=port)):
        well = CliRunner().invoke(health, ["server", "127.0.0.1", "--port", str(port)])
        assert (well.exit_code, "answered in" in well.output) == (0, True)
    gone = CliRunner().invoke(health, ["server", "127.0.0.1", "--port", str(port)])
    assert gone.exit_code == 1


def test_health_of_a_server_reports_what_is_wrong_with_its_source() -> None:
    source = CameraSource(SyntheticCamera())
    with RunningServer(source) as server, Watcher(server.port) as watcher:
        watcher.connect()
        wait_until("datagrams come", lambda: len(watcher.player.payloads) > 50)
        source.stall(0.7, keep=False)

        def says_so() -> bool:
            well = CliRunner().invoke(health, ["server", "127.0.0.1", "--port", str(server.port)])
            return "the source: stalls" in well.output

        wait_until("health reports the stall", says_so)


def test_an_old_state_file_is_not_health(tmp_path: Path) -> None:
    with Watcher(1) as watcher:
        statistics = msgspec.structs.replace(watcher.client.statistics(), time_s=time.time() - 6)
    path = tmp_path / "state.json"
    path.write_bytes(msgspec.json.encode(statistics))
    result = CliRunner().invoke(health, ["client", str(path)])
    assert (result.exit_code, "has stopped writing" in result.output) == (1, True)
