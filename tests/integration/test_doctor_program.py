"""The doctor as a program: at a terminal, with a wrong port, and without a host."""

import contextlib
import json
import os
import pty
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from flume.cli import flume
from flume.doctor.diagnosis import MACHINE_LEGS, PATH_LEGS
from support.servers.program import ENVIRONMENT

pytestmark = pytest.mark.wire


def on_terminal(*arguments: str, **environment: str) -> tuple[int, str]:
    """Run the doctor on a terminal; return its exit status and all of its output."""
    master, slave = pty.openpty()
    command = (sys.executable, "-m", "flume.cli", "doctor", *arguments)
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env={**ENVIRONMENT, "TERM": "xterm", **environment}
    )
    os.close(slave)
    shown = b""
    with contextlib.suppress(OSError):  # EIO: the program has ended
        while data := os.read(master, 4096):
            shown += data
    os.close(master)
    return process.wait(timeout=20), shown.decode()


def test_progress_and_colour_are_for_a_terminal_only():
    with socket.socket() as unused:  # bound and not listening: refused at once, and no other program can take it
        unused.bind(("127.0.0.1", 0))
        port = str(unused.getsockname()[1])
        status, shown = on_terminal("127.0.0.1", "--port", port)
        assert status == 1
        assert "... " in shown
        assert re.search(r"\x1b\[31m\x1b\[1mBLOCKED .*TCP to the server: rejected.* Fix: ", shown), shown
        _, plain = on_terminal("127.0.0.1", "--port", port, NO_COLOR="1")
        assert "BLOCKED" in plain
        assert "\x1b[" not in plain
        command = (sys.executable, "-m", "flume.cli", "doctor", "127.0.0.1", "--port", port)
        piped = subprocess.run(command, check=False, capture_output=True, text=True, env=ENVIRONMENT, timeout=20)
        assert (piped.returncode, piped.stderr) == (1, "")
        assert "\x1b" not in piped.stdout
        assert "\r" not in piped.stdout
        assert len(piped.stdout.splitlines()) == 1 + len(PATH_LEGS)


def test_an_impossible_port_is_refused():
    command = (sys.executable, "-m", "flume.cli", "doctor", "127.0.0.1", "--port", "70000")
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=ENVIRONMENT, timeout=20)
    assert (done.returncode, done.stdout) == (2, "")
    assert "port=70000 is not possible" in done.stderr


def test_without_a_host_the_machine_is_examined():
    command = (sys.executable, "-m", "flume.cli", "doctor", "--json")
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=ENVIRONMENT, timeout=60)
    findings = {finding["leg"]: finding for finding in map(json.loads, done.stdout.splitlines())}
    assert list(findings) == list(MACHINE_LEGS)
    assert findings["vlc"]["finding"] == "ok"
    assert findings["engine"]["detail"]
    assert findings["netem"]["finding"] in ("untested" if findings["engine"]["finding"] == "none" else "kernel wire")
    granted = int(Path("/proc/sys/net/core/rmem_max").read_text()) >= 4 << 20 or os.geteuid() == 0
    assert findings["receive_buffer"]["finding"] == ("ok" if granted else "small")
    assert done.returncode == 0, done.stdout


def test_without_the_lab_one_line_says_so_and_the_rest_is_examined(monkeypatch):
    monkeypatch.setitem(sys.modules, "flume.lab.engines.netem", None)
    said = CliRunner().invoke(flume, ["doctor"], catch_exceptions=False)
    assert said.exit_code == 0, said.output
    assert len(said.output.splitlines()) == 1 + len(MACHINE_LEGS)
    assert "Engine of the lab: untested. The lab is not installed here" in said.output
    assert "pip install 'flumelab[lab]'" in said.output
