"""``flume serve`` as a program: signals, exit statuses, and one line for each error."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from flume.lab import testcard
from support.clients.wire_client import WireClient
from support.paths import ROOT
from support.servers.serving import port_of, serving

pytestmark = pytest.mark.vlc


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return testcard.generate(
        tmp_path_factory.mktemp("serve") / "clip.ts", duration_s=2, width=320, height=180, bitrate_kbit=500
    )


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_however_often_ends_it_in_order(clip, number):
    with serving("--json", "--port", 0, clip) as process, WireClient(port_of(process)) as client:
        client.connect()
        assert client.receive(for_s=5, at_least=10)
        for _ in range(3):
            process.send_signal(number)
        assert client.event("closed")["code"] == "shutdown"
        out, err = process.communicate(timeout=20)
        assert process.returncode == 0, err
        assert json.loads(out) == {"event": "ended", "reason": "asked to stop"}
        assert "Traceback" not in err


def test_a_second_server_on_the_port_says_so_in_one_line(clip):
    with serving("--json", "--port", 0, clip) as first:
        port = port_of(first)
        with serving("--port", port, clip) as second:
            _, err = second.communicate(timeout=20)
        assert second.returncode == 1
        assert last_line(err).startswith(f"flume: cannot listen on TCP 127.0.0.1 port {port}: another program has it")
        assert "Traceback" not in err
        with WireClient(port) as client:
            assert client.connect()["state"] == "active", "the first server continues"


def test_a_file_that_vanishes_while_it_plays_is_played_to_its_end_and_is_then_an_error(clip, tmp_path):
    file = tmp_path / "file.ts"
    file.write_bytes(clip.read_bytes())
    with serving("--json", "--port", 0, tmp_path) as process, WireClient(port_of(process)) as client:
        client.connect()
        file.unlink()
        # No token is repeated, but the file of 2 s ends before the consent does after 7 s.
        closed = client.event("closed", timeout_s=6)
        assert closed["code"] == "source_ended"
        assert len(client.receive(for_s=1.0)) > 60
        _, err = process.communicate(timeout=20)
        assert process.returncode == 1
        assert re.search(r"^flume: no item can be played: .*file.ts.*left out: .*", last_line(err)), err


def test_once_ends_well_when_all_was_played(clip):
    with serving("--json", "--once", "--port", 0, clip) as process, WireClient(port_of(process)) as client:
        client.connect()
        assert client.event("closed", timeout_s=6)["code"] == "source_ended"
        out, err = process.communicate(timeout=20)
        assert process.returncode == 0, err
        assert json.loads(out)["reason"].startswith("everything was played")


@pytest.mark.parametrize(
    ("arguments", "code", "names"),
    [
        (("--port", "5004", "/no/such/film.mp4"), 1, "/no/such/film.mp4"),
        (("--tick", "0", "CLIP"), 2, "tick_ms=0"),
        (("--host", "nowhere", "CLIP"), 2, "host='nowhere'"),
        (("--host", "203.0.113.1", "CLIP"), 1, "this machine has no such address"),
    ],
)
def test_what_cannot_be_is_one_line_and_an_exit_status(clip, arguments, code, names):
    with serving(*(clip if argument == "CLIP" else argument for argument in arguments)) as process:
        _, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert last_line(err).startswith("flume: ")
    assert names in last_line(err)
    assert "Traceback" not in err


def test_more_sessions_than_open_files_are_reported(clip):
    command = f"ulimit -n 256; exec {sys.executable} -m flume.cli serve --host 127.0.0.1 --port 0 --json {clip}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "services")}
    process = subprocess.Popen(
        ("sh", "-c", command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    with process:
        with socket.create_connection(("127.0.0.1", port_of(process))):
            process.terminate()
        _, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "256 open files are allowed" in err
    assert "about 64 of 1000 sessions" in err
