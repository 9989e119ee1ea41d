"""Parts of a run stand still for a moment, or are asked to end: the verdict stays true, and nothing is left."""

import signal
import subprocess
from collections.abc import Sequence
from operator import gt
from pathlib import Path

import pytest

from flume.lab.commands import status
from flume.lab.containers.container import Container
from flume.lab.hosts.site import Site
from flume.lab.machine.process import wait_until
from support.labs.labs import one_line
from support.labs.tcp_proxy import EngineProxy
from support.processes import name_of

pytestmark = [pytest.mark.docker, pytest.mark.timeout(200)]

STOPPED_S = 1.0


def stop_for_a_moment(pids: Sequence[int]) -> None:
    """Stop *pids* and wake them, whatever becomes of this process meanwhile."""
    script = f"kill -STOP $@; sleep {STOPPED_S}; kill -CONT $@"
    subprocess.run(["sh", "-c", script, "sh", *map(str, pids)], check=True, start_new_session=True, timeout=60)


def plays(lab, engine) -> bool:
    """Whether every client has an active session."""
    rows = status.rows(Site.of(engine), lab.name)
    return len(rows) == 2 and all(row.state == "active" for row in rows)


def received(lab, engine) -> list[int]:
    """How many datagrams each client has reported."""
    return [row.datagrams or 0 for row in status.rows(Site.of(engine), lab.name)]


def outcome(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """Return what a run wrote that ended by itself: its scenario had not ended."""
    process.wait(60)
    return process.communicate()


def processes_in(container: Container, name: str) -> list[int]:
    """Return the processes called *name* in *container*, also those that the engine started there by exec."""
    found = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cgroup") if container.id in text_of(path)]
    return [pid for pid in found if text_of(Path(f"/proc/{pid}/comm")).strip() == name]


def text_of(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended meanwhile
        return ""


@pytest.mark.needs_root("signals to processes in containers")
def test_a_run_whose_captures_runner_and_engine_stand_still_in_turn_judges_as_ever(lab, engine, record_property):
    """What a capture, a pipe or the engine holds meanwhile is as much as they hold: nothing of it may be lost."""
    process = lab.start_held()
    assert wait_until(lambda: plays(lab, engine) or process.poll() is not None, timeout_s=60)
    (probe,) = engine.find(lab=lab.name, role="probe")
    captures = processes_in(probe, "tcpdump")
    assert len(captures) == 3, "server and two clients"
    dockerd = int(Path("/var/run/docker.pid").read_text())
    assert name_of(dockerd) == "dockerd"
    for pids in (captures, [process.pid], [dockerd]):
        before = received(lab, engine)
        stop_for_a_moment(pids)
        assert wait_until(lambda: all(map(gt, received(lab, engine), before)), timeout_s=60), "the streams go on"  # noqa: B023
        assert process.poll() is None
    stdout, stderr = process.communicate(timeout=90)
    assert process.returncode == 0, stdout + stderr
    report = lab.report()
    assert report["verdict"] == "PASS"
    balance = report["balance"]
    assert balance["sent"] == balance["received"] > 0
    assert lab.make("down").returncode == 0
    lab.assert_nothing_left()
    record_property("measured", f"each for {STOPPED_S:g} s: {balance['sent']:,} datagrams sent, as many captured")


def test_an_engine_that_dies_under_a_run_is_named_and_down_removes_the_lab_once_it_is_back(lab, engine, monkeypatch):
    with EngineProxy() as proxy:
        monkeypatch.setenv("DOCKER_HOST", proxy.url)
        process = lab.start_held()
        assert wait_until(lambda: plays(lab, engine) or process.poll() is not None, timeout_s=60)
        proxy.die()
        stdout, stderr = outcome(process)
        assert (process.returncode, stdout) == (3, "")
        assert f"no Docker engine at {proxy.url}" in stderr
        assert "Traceback" not in stderr
        down = lab.make("down")
        assert down.returncode != 0, "the engine is still away"
        assert f"no Docker engine at {proxy.url}" in down.stderr
    monkeypatch.delenv("DOCKER_HOST")
    down = lab.make("down")
    assert down.returncode == 0, down.stderr
    assert "removed container" in down.stdout
    lab.assert_nothing_left()


@pytest.mark.needs_root("signals to processes in containers")
@pytest.mark.parametrize(
    ("role", "name", "number"), [("server", "server", 0), ("client", "client-1", 0), ("probe", "the probe", 143)]
)
def test_a_container_that_is_asked_to_end_during_the_run_is_named_and_the_lab_removed(lab, engine, role, name, number):
    """Server and client end in order. The probe has nothing to do at its end, and dies of the signal."""
    process = lab.start_held()
    assert wait_until(lambda: plays(lab, engine) or process.poll() is not None, timeout_s=60)
    subprocess.run(["kill", f"-{signal.SIGTERM}", str(engine.find(lab=lab.name, role=role)[0].pid)], check=True)
    stdout, stderr = outcome(process)
    assert (process.returncode, stdout) == (3, "")
    assert one_line(stderr).startswith(f"flume: {name} ended during the run (status {number}")
    lab.assert_nothing_left()
