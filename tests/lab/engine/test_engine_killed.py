"""An engine is killed under a run (SIGKILL): one of the test's own, so that no other lab is concerned."""

import json
import time
from pathlib import Path

import pytest

from flume.lab.commands import status
from flume.lab.containers.engine import Container, Engine
from flume.lab.hosts.site import Site
from flume.lab.machine.process import wait_until
from support.labs.labs import new_lab
from support.labs.own_engine import own_engine
from support.residue.reading import take
from support.residue.values import compare, named_by

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

NAMED_WITHIN_S = 15.0
"""What a busy machine needs; it takes 1 s."""


def state(client: Container) -> dict[str, object]:
    """Return the state file of *client*, past the engine."""
    found: dict[str, object] = json.loads(Path(f"/proc/{client.pid}/root/run/flume/state.json").read_text())
    return found


@pytest.mark.usefixtures("engine")
def test_a_killed_engine_is_named_the_streams_go_on_and_down_removes_the_lab_once_it_is_back(
    tmp_path, monkeypatch, record_property
):
    before = take()
    with own_engine() as own:
        own.load("flumelab/server", "flumelab/client", "flumelab/probe")
        monkeypatch.setenv("DOCKER_HOST", own.endpoint.url)
        with Engine.connect(own.endpoint) as there, new_lab(there, tmp_path / "artifacts") as lab:
            process = lab.start_held()
            rows = lambda: status.rows(Site.of(there), lab.name)  # noqa: E731
            playing = lambda: [row.state for row in rows()] == ["active"] * 2  # noqa: E731
            assert wait_until(lambda: playing() or process.poll() is not None, timeout_s=90)
            assert process.poll() is None, process.communicate()
            clients = there.find(lab=lab.name, role="client")
            containers = there.find(lab=lab.name)
            with own.killed():
                killed_s = time.monotonic()
                process.wait(60)
                took_s = time.monotonic() - killed_s
                stdout, stderr = process.communicate()
                assert (process.returncode, stdout) == (3, "")
                assert f"no Docker engine at {own.endpoint.url}" in stderr
                assert "Traceback" not in stderr
                earlier = [state(one) for one in clients]
                assert wait_until(lambda: all(map(has_more, clients, earlier)), timeout_s=30), "the streams go on"
                assert [state(one)["lost"] for one in clients] == [0, 0]
                down = lab.make("down")
                assert down.returncode != 0, "the engine is still away"
                assert f"no Docker engine at {own.endpoint.url}" in down.stderr
            down = lab.make("down")
            assert down.returncode == 0, down.stderr + own.log()
            assert there.objects(lab=lab.name) == []
            assert [one.pid for one in containers if Path(f"/proc/{one.pid}").exists()] == []
    marks = {str(own.folder), own.folder.name, lab.name, *(one.id for one in containers)}

    def left() -> list[str]:
        return [*map(str, named_by(marks, compare(before, take()).left))]

    assert wait_until(lambda: not left(), timeout_s=30), left()
    assert took_s < NAMED_WITHIN_S
    record_property("measured", f"named after {took_s:.1f} s; meanwhile 0 datagrams lost")


def has_more(client: Container, earlier: dict[str, object]) -> bool:
    """Whether *client* has received more than *earlier*."""
    return int(str(state(client)["datagrams"])) > int(str(earlier["datagrams"])) + 100
