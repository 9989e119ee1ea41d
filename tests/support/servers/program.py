"""A server as a program that prints ``ready`` and serves until SIGTERM."""

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence

from support.paths import ROOT

ENVIRONMENT = {"PYTHONPATH": f"{ROOT / 'services'}:{ROOT / 'tests'}", "PATH": os.environ["PATH"]}


@contextlib.contextmanager
def running(command: Sequence[str], *, stderr: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run *command* for the body, which begins when it is ready; it must end with status 0."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, env=ENVIRONMENT)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.terminate()
        _, process.said = process.communicate(timeout=20)  # type: ignore[attr-defined]
    assert process.returncode == 0
