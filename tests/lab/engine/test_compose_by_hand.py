"""docker compose starts the same description by hand: the server serves, a client displays the video."""

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from flume.lab import testcard
from flume.lab.containers.engine import Engine
from flume.lab.machine.process import wait_until
from support.paths import LAB_YAML

pytestmark = [pytest.mark.docker, pytest.mark.timeout(120)]


CLIENT = "client[_-]"
"""docker-compose 1, of Debian 12, joins the parts of a name by an underscore; version 2, of Debian 13, by a dash."""


class ByHand:
    """Runs docker-compose as compose/README.md says, under a project name of its own."""

    def __init__(self, media: Path) -> None:
        self.project = f"flumelab-test-{os.getpid()}"
        self.environment = {**os.environ, "FLUME_MEDIA": str(media)}

    def compose(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = ["docker-compose", "--project-name", self.project, "--file", str(LAB_YAML), *arguments]
        return self._run(command)

    @contextlib.contextmanager
    def attached(self, container: str) -> "Iterator[subprocess.Popen[str]]":
        """Attach to a container as a person does, and detach afterwards; *container* matches the end of its name."""
        names = self._run(["docker", "ps", "--format", "{{.Names}}", "--filter", f"name={self.project}"]).stdout.split()
        [name] = [each for each in names if re.search(container, each)]
        command = ["docker", "attach", "--sig-proxy=false", name]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    def _run(self, command: list[str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def by_hand(engine: Engine, tmp_path: Path) -> Iterator[ByHand]:
    """A project that is removed afterwards. *engine* builds the images."""
    hand = ByHand(tmp_path / "media")
    yield hand
    removed = hand.compose("down", "--volumes", "--timeout", "3")
    assert removed.returncode == 0, removed.stderr


def test_compose_starts_the_same_lab(by_hand: ByHand, tmp_path: Path) -> None:
    """The server is healthy; of two clients the one that gets ``connect`` displays frames; the probe is not started."""
    (tmp_path / "media").mkdir()
    testcard.generate(tmp_path / "media" / "card.mp4", duration_s=3, width=320, height=180, bitrate_kbit=500)
    started = by_hand.compose("up", "--detach", "--scale", "client=2")
    assert started.returncode == 0, started.stderr
    assert len(by_hand.compose("ps", "--quiet").stdout.split()) == 3

    def healthy() -> bool:
        return by_hand.compose("exec", "-T", "server", "flume", "health", "server", "127.0.0.1").returncode == 0

    assert wait_until(healthy, timeout_s=20), by_hand.compose("logs", "server").stdout
    with by_hand.attached(f"{CLIENT}1$") as client:
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write("connect\n")
        client.stdin.flush()
        assert any('"first_frame"' in line for line in client.stdout), "the client ended without a picture"
    others = by_hand.compose("logs", "--no-color", "client").stdout.splitlines()
    of_the_other = [line for line in others if re.match(rf"\S*{CLIENT}2\b", line)]
    assert of_the_other
    assert not [line for line in of_the_other if '"first_frame"' in line]
