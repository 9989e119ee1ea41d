"""Logs, events and state files on a full disk: the stream goes on, and all is well again once there is room."""

import contextlib
import functools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from support.clients.numbers import assert_consecutive
from support.clients.players import wait_until
from support.clients.terminal import watch_command, watch_environment
from support.clients.wire_client import WireClient, sequences
from support.ports import free_port
from support.privileges import need_root
from support.servers.running_server import RunningServer, running_server

pytestmark = pytest.mark.wire


within_a_minute = functools.partial(wait_until, timeout_s=60)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    need_root("mounts")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(disk: Path) -> Path:
    """Leave no room on *disk*; return the file to remove."""
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return filler


def active(server: RunningServer) -> int:
    return sum(session.state == "active" for session in server.server.table._sessions)


@contextlib.contextmanager
def unheard(command: list[str], full: IO[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Run *command*, all of whose output goes to *full*."""
    null, environment = subprocess.DEVNULL, watch_environment()
    with subprocess.Popen(command, stdin=null, stdout=full, stderr=full, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()  # nothing happens to one that has ended


@pytest.mark.parametrize("options", [("--json",), ()], ids=["json", "text"])
def test_a_client_none_of_whose_output_can_be_written_watches_on_and_ends_in_order(options):
    with running_server() as server, Path("/dev/full").open("w") as full:
        command = watch_command("127.0.0.1", "--port", str(server.port), "--player", "none", *options)
        with unheard(command, full) as process:
            within_a_minute("it receives", lambda: active(server) or process.poll() is not None)
            time.sleep(1.5)  # its statistics come once a second
            assert process.poll() is None
            assert active(server) == 1
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0


def test_a_server_whose_log_cannot_be_written_serves_on_and_ends_in_order(card):
    port = free_port()
    options = ["--host", "127.0.0.1", "--port", str(port), "--json"]
    command = [sys.executable, "-m", "flume.cli", "serve", *options, str(card)]
    with (
        Path("/dev/full").open("w") as full,
        unheard(command, full) as process,
    ):

        def listens() -> bool:
            with contextlib.suppress(OSError), WireClient(port):
                return True
            return False

        within_a_minute("it listens", listens)
        with WireClient(port) as client:
            client.connect()
            numbers = sequences(client.receive(for_s=10, at_least=200))
        assert len(numbers) == 200
        assert_consecutive(numbers)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_events_and_state_file_come_again_once_there_is_room(tmp_path, record_property):
    with small_disk(tmp_path / "disk") as disk, running_server() as server, (disk / "events").open("w") as events:
        state = disk / "state.json"
        command = watch_command("127.0.0.1", "--port", str(server.port), "--player", "none", "--json")
        process = subprocess.Popen(
            [*command, "--state-file", str(state)],
            stdin=subprocess.DEVNULL,
            stdout=events,
            stderr=subprocess.PIPE,
            text=True,
            env=watch_environment(),
        )

        def statistics() -> list[dict]:
            lines = (disk / "events").read_text().splitlines(keepends=True)
            found = [json.loads(line) for line in lines if line.endswith("\n")]
            return [event for event in found if event["event"] == "statistics"]

        with process:
            try:
                within_a_minute("it receives", lambda: len(statistics()) > 1 and statistics()[-1]["state"] == "active")
                filler = fill(disk)
                seen = len(statistics())
                assert process.stderr is not None
                told = [process.stderr.readline() for _ in range(2)]
                filler.unlink()
                within_a_minute("events again", lambda: len(statistics()) > seen + 1)
                last = statistics()[-1]
                within_a_minute("the state again", lambda: json.loads(state.read_text())["time_s"] >= last["time_s"])
            finally:
                process.terminate()
                _, more = process.communicate(timeout=60)
        assert process.returncode == 0
        assert sorted(line.partition(" ")[0] for line in told) == ["WARNING", "WARNING"], told
        assert any("standard output cannot be written: No space left on device" in line for line in told)
        assert any(f"cannot write the state file {state}: No space left on device" in line for line in told)
        assert more == "", "each is said once"
        assert (last["state"], last["lost"], last["reconnects"]) == ("active", 0, 0)
        assert not (disk / "state.json.new").exists()
        record_property("measured", f"0 of {last['datagrams']:,} datagrams lost meanwhile")
