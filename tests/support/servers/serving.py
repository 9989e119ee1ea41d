"""A server as a program: ``flume serve``, or a server of a synthetic source."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator

from support.paths import ROOT
from support.ports import free_port
from support.servers.program import running


@contextlib.contextmanager
def serving(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """``flume serve`` on loopback with *arguments*."""
    command = (sys.executable, "-m", "flume.cli", "serve", "--host", "127.0.0.1", *map(str, arguments))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "services")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=20)


def port_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    said = json.loads(process.stdout.readline())
    assert said["event"] == "listening"
    return said["port"]


@contextlib.contextmanager
def synthetic_server(kind: str = "honest") -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a server of a synthetic source as a program, with consent_timeout_s 1.5; it must end with status 0."""
    port = free_port()
    command = (sys.executable, "-m", "support.servers.broken_server", kind, "127.0.0.1", str(port))
    with running(command, stderr=subprocess.PIPE) as process:
        yield process, port
