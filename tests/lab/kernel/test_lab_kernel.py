"""The lab kernel has netem, changes nothing on this machine, and leaves nothing behind. The tests run in this order."""

import contextlib
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from flume.lab.containers import topology
from flume.lab.containers.container import Container
from flume.lab.containers.engine import Engine, Start
from flume.lab.engines import choice, locate
from flume.lab.kernel import boot, lab_kernel
from flume.lab.kernel.instance import KernelInstance, Running
from flume.lab.machine.process import start_ticks, wait_until
from flume.settings import ClientSettings

pytestmark = [pytest.mark.docker, pytest.mark.wire]

ROOT_INSIDE = """
services:
  root:
    image: flumelab/probe
    command: [sleep, infinity]
    pid: host
    network_mode: host
    init: true
    cap_add: [ALL]
    security_opt: ["apparmor:unconfined", "seccomp:unconfined"]
"""


def _quiet(_line: str) -> None:
    return


@pytest.fixture
def kernel(engine: Engine, instance: KernelInstance) -> Iterator[Engine]:
    """The engine in the running kernel."""
    if boot.running(instance) is None:
        lab_kernel.prepare(engine, _quiet, instance=instance).close()
    with lab_kernel.connect(instance) as inside:
        yield inside


@pytest.fixture(scope="module")
def lab() -> str:
    """The name of the one lab in it."""
    return f"test-{secrets.token_hex(4)}"


def _root_inside(engine: Engine, lab: str) -> Container:
    """Return a container whose root has every right of the kernel's root; the first call starts it."""
    found = engine.find(lab=lab, role="probe")
    if found:
        return found[0]
    return engine.start_service(lab, "run", topology.load(ROOT_INSIDE), Start(service="root", role="probe"))


def _as_init(container: Container, script: str) -> tuple[int, str]:
    """Run *script* among the kernel's own mounts; return its status and output."""
    result = container.exec(["nsenter", "--target", "1", "--mount", "--", "sh", "-c", script])
    return result.code, result.stdout + result.stderr


def test_two_starts_at_once_are_one_kernel(engine: Engine, instance: KernelInstance) -> None:
    """The second start waits for the first, then finds its kernel running."""

    def start() -> Running | None:
        with lab_kernel.prepare(engine, _quiet, instance=instance) as inside:
            assert inside.info.endpoint == instance.endpoint
        return boot.running(instance)

    with ThreadPoolExecutor(2) as pool:
        first, second = (future.result() for future in [pool.submit(start), pool.submit(start)])
    assert first is not None
    assert first == second


def test_it_runs_apart_from_the_process_that_started_it(kernel: Engine, instance: KernelInstance) -> None:
    """It has a session of its own and only its log of our files, so a closed terminal or pipe does not reach it."""
    found = boot.running(instance)
    assert found is not None
    assert os.getsid(found.pid) == found.pid
    files = {file.name: str(file.readlink()) for file in Path(f"/proc/{found.pid}/fd").iterdir()}
    assert [files[number] for number in "012"] == ["/dev/null", str(instance.log), str(instance.log)]
    ours = {str(file.readlink()) for file in Path("/proc/self/fd").iterdir() if file.is_symlink()}
    assert not (set(files.values()) - {"/dev/null"}) & ours
    processes = boot.processes_of(instance.user)
    assert processes
    for pid in processes:
        status = Path(f"/proc/{pid}/status").read_text()
        assert "CapBnd:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status


def test_all_its_processes_stay_on_one_cpu(kernel: Engine, instance: KernelInstance) -> None:
    """There a container starts four times as fast as where its processes wake each other across two CPUs."""
    allowed: set[int] = set()
    for pid in boot.processes_of(instance.user):
        with contextlib.suppress(ProcessLookupError):  # programs inside come and go
            allowed |= os.sched_getaffinity(pid)
    assert len(allowed) == 1


def test_a_client_in_it_gets_the_receive_buffer_that_it_asks_for(
    kernel: Engine, lab: str, instance: KernelInstance
) -> None:
    """A container cannot raise the limit itself, and with one CPU clients wait longer than the default buffer lasts."""
    _, output = _as_init(_root_inside(kernel, lab), "cat /proc/sys/net/core/rmem_max")
    assert int(output) == ClientSettings(host="server").receive_buffer_bytes


def test_its_kernel_has_netem_and_a_container_can_use_it(kernel: Engine) -> None:
    """Tried as for any engine that does not run on this machine's kernel: in a container."""
    assert choice.engine_has_netem(kernel)


def test_root_inside_cannot_write_to_this_machine(kernel: Engine, lab: str, instance: KernelInstance) -> None:
    """Not through the file system that it booted from, not after mounting that again, not through its disks."""
    root = _root_inside(kernel, lab)
    program = Path("/usr/bin/linux.uml")
    before = program.stat()
    attempts = {
        "a new file": "echo x > /usr/bin/flumelab-was-here",
        "a changed file": "echo x >> /usr/bin/linux.uml",
        "a removed file": "rm -f /usr/bin/linux.uml",
        "mounted for writing": "mount -o remount,rw / && echo x >> /usr/bin/linux.uml",
        "mounted again": "mkdir -p /run/h && mount -t hostfs -o /usr none /run/h && echo x > /run/h/flumelab-was-here",
        "the disk it shares": "echo x >> /disk/base",
        "a secret": "cat /etc/shadow",
        "the host's way out": "cat /old/etc/passwd /proc/1/root/root/.bashrc",
    }
    for what, script in attempts.items():
        status, output = _as_init(root, script)
        assert status != 0, f"{what}: {output}"
    assert (program.stat().st_mtime_ns, program.stat().st_size) == (before.st_mtime_ns, before.st_size)
    assert not Path("/usr/bin/flumelab-was-here").exists()
    assert not Path("/usr/flumelab-was-here").exists()
    # The positive control: the same root writes where it may.
    assert _as_init(root, "echo x > /var/lib/docker/proof && cat /var/lib/docker/proof") == (0, "x\n")


def test_its_engine_listens_on_the_link_only(kernel: Engine, lab: str, instance: KernelInstance) -> None:
    """It has no route by which it could answer any address but this machine's end of the link."""
    root = _root_inside(kernel, lab)
    sockets = root.run_checked(["cat", "/proc/net/tcp", "/proc/net/tcp6"]).splitlines()
    listening = [line.split()[1] for line in sockets if line.split()[3:4] == ["0A"]]
    octets = bytes(int(part) for part in instance.guest_address.split("."))
    assert listening == [f"{octets[::-1].hex().upper()}:{2375:04X}"]
    assert "default" not in root.run_checked(["ip", "route"])


def test_it_starts_again_after_kill_9(kernel: Engine, engine: Engine, instance: KernelInstance) -> None:
    """When one of its processes is killed the others end, and the next start succeeds."""
    first = boot.running(instance)
    assert first is not None
    _shell, kernel_itself, *_ = sorted(boot.processes_of(instance.user))
    assert Path(f"/proc/{kernel_itself}/comm").read_text().startswith("linux")
    os.kill(kernel_itself, signal.SIGKILL)
    assert wait_until(lambda: not boot.processes_of(instance.user), timeout_s=10)
    assert boot.running(instance) is None
    assert instance.folder.exists()  # left behind, for the next start to remove
    with lab_kernel.prepare(engine, _quiet, instance=instance) as inside:
        assert inside.objects() == []
    second = boot.running(instance)
    assert second is not None
    assert second != first


def test_the_end_of_the_last_lab_is_the_end_of_the_kernel(kernel: Engine, instance: KernelInstance) -> None:
    """Removing the first of two labs removes nothing else; the second takes kernel, disk copy and link with it."""
    labs = [f"test-{secrets.token_hex(4)}" for _ in range(2)]
    description = topology.Network()
    for name in labs:
        kernel.ensure_network(name, "run", description=description)
    with locate.engine_with(labs[1], instance=instance) as found:
        assert found.info.endpoint != instance.endpoint  # a lab without a container is not located there
    removed = locate.remove_lab(labs[0], _quiet, instance=instance)
    assert removed == [f"network flumelab-{labs[0]}-network"]
    assert (instance.folder / "state" / "cow").exists()
    assert f"network flumelab-{labs[1]}-network" in locate.remove_lab(labs[1], _quiet, instance=instance)
    assert boot.running(instance) is None
    assert boot.processes_of(instance.user) == []
    assert not instance.folder.exists()
    assert not Path("/sys/class/net", instance.tap_device).exists()


def test_what_a_dead_kernel_left_is_removed_and_another_process_is_not_killed(free_instance: KernelInstance) -> None:
    """What is left: a record whose process number was reused, an interface, a folder."""
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        ticks = start_ticks(sleeper.pid)
        assert ticks is not None
        free_instance.record.write_bytes(msgspec.json.encode(Running(sleeper.pid, ticks - 1, "disk")))
        subprocess.run(["ip", "tuntap", "add", "dev", free_instance.tap_device, "mode", "tap"], check=True)
        (free_instance.folder / "state").mkdir(parents=True)
        assert boot.running(free_instance) is None
        assert boot.clean_up(free_instance)
        assert not boot.clean_up(free_instance)
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()
    assert not Path("/sys/class/net", free_instance.tap_device).exists()
    assert not free_instance.folder.exists()
    assert not free_instance.record.exists()
