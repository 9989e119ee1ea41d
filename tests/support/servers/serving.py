"""``flume serve`` as a program."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator

from support.paths import ROOT


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
