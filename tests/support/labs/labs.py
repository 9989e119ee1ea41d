"""Runs ``flume lab`` and ``make`` for tests, as a person does."""

import contextlib
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flume.lab.containers.engine import Engine
from flume.lab.engines.lock import remove_left_over
from flume.lab.trial.checks.frame_sums import CAUSES
from support.paths import ROOT
from support.residue.docker_objects import LabWatch


def one_line(text: str) -> str:
    """Return the only line of *text* that is not empty; fail if there are several."""
    lines = [line for line in text.splitlines() if line.strip()]
    assert len(lines) == 1, text
    return lines[0]


@contextlib.contextmanager
def new_lab(engine: Engine, artifacts: Path) -> Iterator["LabUnderTest"]:
    """A lab with a name of its own for the body; whatever is left of it then is removed from *engine*."""
    name = f"test-{secrets.token_hex(4)}"
    with LabWatch(engine, name) as watch:
        lab = LabUnderTest(name, artifacts, watch)
        try:
            yield lab
        finally:
            lab.close()
            engine.remove_lab(lab.name)
            remove_left_over(engine, lab.name)


class LabUnderTest:
    """A lab with a name and a folder of artefacts of its own, steered by ``flume lab`` and ``make``."""

    def __init__(self, name: str, artifacts: Path, watch: LabWatch) -> None:
        self.name = name
        self.artifacts = artifacts
        self.assert_nothing_left = watch.assert_nothing_left
        self._started: list[subprocess.Popen[str]] = []

    def close(self) -> None:
        """End the processes that a failed test has left running."""
        for process in self._started:
            process.kill()  # no effect on a process that has ended
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "FLUME_LAB": self.name, "PYTHONUNBUFFERED": "1"}

    def start(self, *arguments: object) -> "subprocess.Popen[str]":
        """Start ``flume lab run`` with *arguments*; the caller waits or kills."""
        return self._start("flume.cli", *arguments, stdin=subprocess.DEVNULL)

    def start_held(self, *arguments: object) -> "subprocess.Popen[str]":
        """Start a run of two clients that stream until ``communicate()`` closes its standard input."""
        options = ("--clients", 2, "--players", 0, "--scenario", "steady", "--duration", 1)
        return self._start("support.labs.held_run", *options, *arguments, stdin=subprocess.PIPE)

    def _start(self, module: str, *arguments: object, stdin: int) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", module, "lab", "run", "--artifacts", str(self.artifacts)]
        # Other load on the computer costs frames. Only test_steady.py is about the share of displayed frames.
        command += ["--frames-min", "40"]
        process = subprocess.Popen(
            [*command, *map(str, arguments)],
            cwd=ROOT,
            env={**self.environment, "PYTHONPATH": f"{ROOT / 'services'}:{ROOT / 'tests'}"},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def run(self, *arguments: object, timeout_s: float = 180) -> "subprocess.CompletedProcess[str]":
        with self.start(*arguments) as process:
            stdout, stderr = process.communicate(timeout=timeout_s)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def flume(self, *arguments: object, timeout_s: float = 60) -> "subprocess.CompletedProcess[str]":
        """Run ``flume`` with *arguments*."""
        return self._finished([sys.executable, "-m", "flume.cli", *map(str, arguments)], timeout_s)

    def make(self, *arguments: str, timeout_s: float = 300) -> "subprocess.CompletedProcess[str]":
        """Run ``make`` with *arguments*."""
        return self._finished(["make", "--no-print-directory", f"LAB={self.name}", *arguments], timeout_s)

    def _finished(self, command: list[str], timeout_s: float) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def report(self) -> dict[str, Any]:
        """Return the report of the latest run, in which each missing frame has one cause."""
        report: dict[str, Any] = json.loads((self.artifacts / "latest" / "report.json").read_text())
        for client in report["clients"]:
            if (attribution := client["measures"]["attribution"]) is not None:
                assert sum(attribution[cause] for cause in CAUSES) == attribution["missing"], client["name"]
        wrong = [check for check in report["checks"] if check["name"] == "attribution" and check["verdict"] != "PASS"]
        assert not wrong, wrong
        return report
