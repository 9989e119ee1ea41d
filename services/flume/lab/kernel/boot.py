"""Start, find and stop the lab kernel: a User Mode Linux kernel with netem and a Docker engine, one ordinary process.

Everything that belongs to a kernel is found through its instance: a user id and a TAP device of its own, a folder, a
record. So the clean-up works after ``kill -9`` of any process, and never hits a process that got a reused number.
"""

import contextlib
import fcntl
import http.client
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec

from flume.errors import SetupError
from flume.lab import progress
from flume.lab.kernel.instance import (
    PORT,
    KernelInstance,
    Running,
    boot_command,
    cpu_for,
    memory_mib,
    tap_device_commands,
)
from flume.lab.machine import dockerd
from flume.lab.machine.process import Daemon, start_ticks, wait_until
from flume.lab.progress import Say

PACKAGES = {
    "linux.uml": "user-mode-linux",
    "modprobe": "kmod",
    "ip": "iproute2",
    "crun": "crun",
    "mke2fs": "e2fsprogs",
    "setpriv": "util-linux",
    "taskset": "util-linux",
}
"""Program → Debian package: what the lab kernel needs besides a Docker engine."""

SCRIPTS = Path(__file__).parent
_START_TIMEOUT_S = 120.0
"""5 to 8 s on an idle computer, 17 s on a shared one."""
_STOP_TIMEOUT_S = 15.0


@contextlib.contextmanager
def locked(instance: KernelInstance) -> Iterator[None]:
    """Hold the instance's lock in the body. A second process waits, then finds the kernel that the first started."""
    instance.lock.parent.mkdir(parents=True, exist_ok=True)
    with instance.lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def running(instance: KernelInstance) -> Running | None:
    """Return the running kernel of *instance*, whether or not its engine answers."""
    try:
        found = msgspec.json.decode(instance.record.read_bytes(), type=Running)
    except (OSError, msgspec.DecodeError):
        return None
    return found if start_ticks(found.pid) == found.start_ticks else None


def answers(instance: KernelInstance, *, timeout_s: float = 3.0) -> bool:
    """Return whether the engine in the kernel answers."""
    return dockerd.answers_on(http.client.HTTPConnection(instance.guest_address, PORT, timeout=timeout_s))


def start(instance: KernelInstance, disk: Path, say: Say, *, interactive: bool = False) -> Running:
    """Boot a kernel with *disk*, copy-on-write, and return when its engine answers. The caller holds the lock.

    What an earlier kernel left is removed first. Raises :class:`SetupError` with the kernel's last output.
    """
    clean_up(instance)
    say(f"Starting the lab kernel (User Mode Linux with netem and a Docker engine; log in {instance.log}).")
    state = instance.folder / "state"
    state.mkdir(parents=True)
    os.chown(state, instance.user, instance.user)
    try:
        for command in tap_device_commands(instance):
            _run(command, "make the link to the lab kernel")
        pid = _boot(instance, disk)
        ticks = start_ticks(pid)
        if ticks is None:
            raise SetupError(f"the lab kernel ended at once: {last_output(instance)}")
        found = Running(pid, ticks, str(disk))
        instance.record.write_bytes(msgspec.json.encode(found))
        with progress.task("lab kernel", interactive=interactive):
            _wait_until_engine_answers(instance, found)
    except BaseException:
        clean_up(instance)
        raise
    return found


def _boot(instance: KernelInstance, disk: Path) -> int:
    """Start the kernel; return its process number."""
    allowed = os.sched_getaffinity(0)
    command = boot_command(
        instance, disk, memory_mib=memory_mib(_total_kib()), cpu=cpu_for(instance, allowed), scripts=SCRIPTS
    )
    instance.log.parent.mkdir(parents=True, exist_ok=True)
    with instance.log.open("wb") as log:
        return Daemon(command, log, environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}).pid


def _total_kib() -> int:
    line = Path("/proc/meminfo").read_text().splitlines()[0]  # MemTotal:  24648688 kB
    return int(line.split()[1])


def _wait_until_engine_answers(instance: KernelInstance, started: Running) -> None:
    def alive() -> bool:
        if running(instance) != started:
            raise SetupError(f"the lab kernel ended while it started: {last_output(instance)}; see {instance.log}")
        return answers(instance, timeout_s=1.0)

    if not wait_until(alive, timeout_s=_START_TIMEOUT_S):
        raise SetupError(
            f"the engine in the lab kernel did not answer within {_START_TIMEOUT_S:g} s of its start; "
            f"see {instance.log}"
        )


def last_output(instance: KernelInstance) -> str:
    """Return the line of the log that gives the reason for its end."""
    try:
        lines = instance.log.read_text(errors="replace").splitlines()
    except OSError:
        return "no log"
    reasons = [line.strip() for line in lines if "panic" in line or "failed" in line or ": cannot" in line]
    return (reasons or [line.strip() for line in lines if line.strip()] or ["no message"])[-1][:300]


def clean_up(instance: KernelInstance) -> bool:
    """End the kernel and remove everything of its instance; return whether there was anything to remove."""
    found = bool(_end_processes(instance))
    if Path("/sys/class/net", instance.tap_device).exists():
        found = True
        _run(["ip", "link", "delete", instance.tap_device], "remove the link to the lab kernel")
    if instance.folder.exists():
        found = True
        shutil.rmtree(instance.folder)
    instance.record.unlink(missing_ok=True)
    return found


def _end_processes(instance: KernelInstance) -> list[int]:
    """Kill the recorded process and all with the instance's user id; return their numbers when they have ended."""
    recorded = running(instance)
    first = ([recorded.pid] if recorded is not None else []) + processes_of(instance.user)
    for pid in first:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if first and not wait_until(
        lambda: not processes_of(instance.user) and running(instance) is None, timeout_s=_STOP_TIMEOUT_S
    ):
        raise SetupError(f"the lab kernel (processes {processes_of(instance.user)}) did not end within 15 s")
    if recorded is not None:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(recorded.pid, 0)  # succeeds only where this process started it
    return first


def processes_of(user: int) -> list[int]:
    """Return the living processes whose user id is *user*."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                if folder.stat().st_uid == user and start_ticks(int(folder.name)) is not None:
                    found.append(int(folder.name))
    return found


def _run(command: list[str], what: str) -> None:
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=30)
    if result.returncode:
        raise SetupError(f"could not {what} (`{' '.join(command)}`): {result.stderr.strip() or 'no message'}")
