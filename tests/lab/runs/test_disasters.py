"""Full disks, killed containers and interrupts during a run: one line each, and no half-made lab."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flume.lab.commands import status
from flume.lab.containers.container import Container
from flume.lab.containers.topology import Network
from flume.lab.engines.netem import find_netem
from flume.lab.hosts.site import Site
from flume.lab.machine.process import wait_until
from support.labs.labs import one_line
from support.labs.tcp_proxy import engine_on_tcp
from support.labs.trial import topology
from support.privileges import need_root

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Yield a file system that has *size*."""
    need_root("mounts")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_for_captures_is_one_line_and_leaves_nothing(lab, engine, tmp_path):
    small = {"driver_opts": {"type": "tmpfs", "device": "tmpfs", "o": "size=400k"}}
    services = topology(tmp_path / "lab.yaml", volumes__captures=small)
    run = lab.run("--clients", 1, "--duration", 2, "--scenario", "steady", "--topology", services)
    assert (run.returncode, run.stdout) == (3, "")
    line = one_line(run.stderr)
    assert line.startswith("flume: the disk for captures is full, and ")
    assert "server" in line
    assert "make room" in line
    lab.assert_nothing_left()
    assert not (lab.artifacts / "latest").exists()


def test_a_full_disk_for_artefacts_is_one_line_and_leaves_no_lab(lab, engine, tmp_path):
    with small_disk(tmp_path / "small", "300k") as folder:
        run = lab.run("--clients", 1, "--duration", 2, "--artifacts", folder)
    assert (run.returncode, run.stdout) == (3, "")
    line = one_line(run.stderr)
    assert str(folder) in line
    assert "No space left on device" in line
    lab.assert_nothing_left()


def test_artefacts_that_cannot_be_written_are_reported_before_anything_is_changed(lab, engine, tmp_path):
    (tmp_path / "file").write_text("in the way")
    network = engine.networks.ensure(lab.name, "a-run", description=Network())
    run = lab.run("--clients", 1, "--artifacts", tmp_path / "file" / "artifacts", timeout_s=30)
    assert run.returncode == 3
    assert f"the artefacts cannot be written to {tmp_path}/file/artifacts/" in one_line(run.stderr)
    assert [found.name for found in engine.objects(lab=lab.name)] == [network.name], "the last lab is still there"


def plays(lab, engine) -> bool:
    """Whether client 1 has an active session."""
    return any(row.number == 1 and row.state == "active" for row in status.rows(Site.of(engine), lab.name))


@pytest.mark.needs_root("signals to processes in containers")
@pytest.mark.parametrize(
    ("role", "name"), [("server", "server"), ("client", "client-1"), ("probe", "the probe")], ids=str
)
def test_a_container_killed_during_the_run_is_named_and_the_lab_removed(lab, engine, role, name):
    process = lab.start("--clients", 1, "--duration", 60, "--scenario", "steady")
    assert wait_until(lambda: plays(lab, engine), timeout_s=60)
    victim = engine.find(lab=lab.name, role=role)[0]
    assert engine.info.endpoint.startswith("unix:"), "this test kills by the engine's own process numbers"
    os.kill(victim.pid, signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (3, "")
    line = one_line(stderr)
    assert line.startswith(f"flume: {name} ended during the run (status 137, killed)")
    lab.assert_nothing_left()


def is_shaped(lab, engine) -> bool:
    """Whether the link of client 1 has been set."""
    return 1 in status.link_names(Site.of(engine), lab.name)


@pytest.mark.needs_root("signals to processes in containers")
@pytest.mark.parametrize("reached", [is_shaped, plays])
def test_a_wire_killed_during_the_run_is_named_and_its_links_go_with_it(lab, engine, reached):
    if find_netem(engine).place != "wire":
        pytest.skip("the engine's kernel has netem, so links need no wire")
    process = lab.start("--clients", 2, "--profile", "lan", "--duration", 60, "--scenario", "steady")
    assert wait_until(lambda: reached(lab, engine), timeout_s=60, interval_s=0.02)
    (wire,) = engine.find(lab=lab.name, role="wire")
    assert ports_of(wire)
    os.kill(wire.pid, signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (3, "")
    assert one_line(stderr).startswith("flume: wire-1 ended during the run (status 137, killed)")
    lab.assert_nothing_left()
    assert not ports_of(wire)


def ports_of(wire: Container) -> list[Path]:
    """Return the interfaces of this machine that are ends of a wire's links."""
    return list(Path("/sys/class/net").glob(f"fw{wire.pid}-*"))


def starts(lab, engine) -> bool:
    return any(found.kind == "network" for found in engine.objects(lab=lab.name))


def rests(lab, engine) -> bool:
    """Whether the scenario has ended and its last frames are still displayed, which takes two seconds and more."""
    return any(
        '"command":"interrupt"' in one.logs().replace(" ", "") for one in engine.find(lab=lab.name, role="client")
    )


@pytest.mark.parametrize(
    ("reached", "numbers"),
    [(starts, [signal.SIGINT, signal.SIGTERM]), (plays, [signal.SIGTERM]), (rests, [signal.SIGINT, signal.SIGTERM])],
)
def test_a_run_that_is_interrupted_removes_its_lab(lab, engine, reached, numbers):
    """Also where another signal follows at once, while the lab is being removed."""
    process = lab.start("--clients", 1, "--duration", 1 if reached is rests else 60)
    is_reached = wait_until(lambda: reached(lab, engine) or process.poll() is not None, timeout_s=60, interval_s=0.01)
    assert is_reached and process.poll() is None, process.communicate(timeout=60) if is_reached else "not within 60 s"  # noqa: PT018
    for number in numbers:
        process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (130, "")
    assert f"Removing lab {lab.name!r}." in stderr
    assert stderr.count("flume: still ") == len(numbers) - 1
    assert stderr.splitlines()[-2:] == [f"Lab {lab.name!r} is removed.", "flume: interrupted"]
    assert "Traceback" not in stderr
    lab.assert_nothing_left()


def test_the_whole_lab_works_on_an_engine_that_is_reached_by_tcp(lab, engine, monkeypatch):
    """With a link that netem shapes: what the engine's kernel has is found out by a container."""
    with engine_on_tcp() as (docker_host, connections):
        monkeypatch.setenv("DOCKER_HOST", docker_host)
        run = lab.run("--clients", 1, "--duration", 2, "--profile", "lan")
        assert run.returncode == 0, run.stdout + run.stderr
        assert lab.report()["network"]["profile"] == "lan"
        assert lab.report()["engine"]["endpoint"] == docker_host
        assert lab.flume("lab", "send", 1, "interrupt").returncode == 0
        interrupted = wait_until(
            lambda: '"state":"interrupted"' in lab.flume("lab", "status", "--json").stdout, timeout_s=10
        )
        assert interrupted, engine.find(lab=lab.name, role="client")[0].logs(tail=40)
        assert lab.make("down").returncode == 0
    assert len(connections) > 10
    lab.assert_nothing_left()
