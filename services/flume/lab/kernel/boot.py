"""Start, find and stop the lab kernel: a User Mode Linux kernel with netem and a Docker engine, one ordinary process.

What belongs to it is found by its place: a user id and a network interface of its own, a folder, a record. So it is
cleaned up after ``kill -9`` of anybody, and a process that took over a number is left alone.
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
from flume.lab.kernel.instance import PORT, Place, Running, boot_command, memory_mib, processor, tap_commands
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
"""Program → Debian package of what it needs besides a Docker engine."""

SCRIPTS = Path(__file__).parent
_START_TIMEOUT_S = 120.0
"""An idle machine takes 5 to 8 s, a shared one 17."""
_STOP_TIMEOUT_S = 15.0


@contextlib.contextmanager
def locked(place: Place) -> Iterator[None]:
    """Hold the place's lock; whoever comes second waits, and finds what the first has done."""
    place.lock.parent.mkdir(parents=True, exist_ok=True)
    with place.lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def running(place: Place) -> Running | None:
    """Return the kernel that runs at *place*, whether or not its engine answers."""
    try:
        found = msgspec.json.decode(place.record.read_bytes(), type=Running)
    except (OSError, msgspec.DecodeError):
        return None
    return found if start_ticks(found.pid) == found.start_ticks else None


def answers(place: Place, *, timeout_s: float = 3.0) -> bool:
    """Return whether the engine in the kernel answers."""
    return dockerd.answers_on(http.client.HTTPConnection(place.guest_address, PORT, timeout=timeout_s))


def start(place: Place, disk: Path, say: Say, *, interactive: bool = False) -> Running:
    """Boot a kernel with *disk*, copy-on-write, and return when its engine answers; call with the place locked.

    Whatever an earlier one left is removed first. Raises :class:`SetupError` with its last words.
    """
    clean_up(place)
    say(f"Starting the lab kernel (User Mode Linux with netem and a Docker engine; log in {place.log}).")
    state = place.folder / "state"
    state.mkdir(parents=True)
    os.chown(state, place.user, place.user)
    try:
        for command in tap_commands(place):
            _run(command, "make the link to the lab kernel")
        pid = _boot(place, disk)
        ticks = start_ticks(pid)
        if ticks is None:
            raise SetupError(f"the lab kernel ended at once: {last_words(place)}")
        found = Running(pid, ticks, str(disk))
        place.record.write_bytes(msgspec.json.encode(found))
        with progress.task("lab kernel", interactive=interactive):
            _wait_until_engine_answers(place, found)
    except BaseException:
        clean_up(place)
        raise
    return found


def _boot(place: Place, disk: Path) -> int:
    """Start the process and return its number."""
    allowed = os.sched_getaffinity(0)
    command = boot_command(
        place, disk, memory_mib=memory_mib(_total_kib()), processor=processor(place, allowed), scripts=SCRIPTS
    )
    place.log.parent.mkdir(parents=True, exist_ok=True)
    with place.log.open("wb") as log:
        return Daemon(command, log, environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}).pid


def _total_kib() -> int:
    line = Path("/proc/meminfo").read_text().splitlines()[0]  # MemTotal:  24648688 kB
    return int(line.split()[1])


def _wait_until_engine_answers(place: Place, started: Running) -> None:
    def alive() -> bool:
        if running(place) != started:
            raise SetupError(f"the lab kernel ended while it started: {last_words(place)}; see {place.log}")
        return answers(place, timeout_s=1.0)

    if not wait_until(alive, timeout_s=_START_TIMEOUT_S):
        raise SetupError(
            f"the engine in the lab kernel did not answer within {_START_TIMEOUT_S:g} s of its start; see {place.log}"
        )


def last_words(place: Place) -> str:
    """Return the line of the log that says why it ended."""
    try:
        lines = place.log.read_text(errors="replace").splitlines()
    except OSError:
        return "no log"
    told = [line.strip() for line in lines if "panic" in line or "failed" in line or ": cannot" in line]
    return (told or [line.strip() for line in lines if line.strip()] or ["no message"])[-1][:300]


def clean_up(place: Place) -> bool:
    """End the kernel and remove everything of its place; return whether there was anything. Never fails half-way."""
    found = bool(_end_processes(place))
    if Path("/sys/class/net", place.tap).exists():
        found = True
        _run(["ip", "link", "delete", place.tap], "remove the link to the lab kernel")
    if place.folder.exists():
        found = True
        shutil.rmtree(place.folder)
    place.record.unlink(missing_ok=True)
    return found


def _end_processes(place: Place) -> list[int]:
    """Kill the recorded process, and all that have the place's user id; return when they are gone."""
    recorded = running(place)
    first = ([recorded.pid] if recorded is not None else []) + processes_of(place.user)
    for pid in first:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if first and not wait_until(
        lambda: not processes_of(place.user) and running(place) is None, timeout_s=_STOP_TIMEOUT_S
    ):
        raise SetupError(f"the lab kernel (processes {processes_of(place.user)}) did not end within 15 s")
    if recorded is not None:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(recorded.pid, 0)  # only where it was started by this very process
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
