"""Docker's engine on this machine: start it where none answers, and stop the one that we started.

The only file that starts an engine. One that ``DOCKER_HOST`` or a context names, or one that answers already, is used
as it is and never stopped by us. An engine is started only where none is there: one that may not be used, or is slow to
answer, is there.
"""

import http.client
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Literal

import msgspec

from flume.errors import SetupError
from flume.lab import progress
from flume.lab.machine import packages
from flume.lab.machine.endpoint import SOCKET, find_endpoint
from flume.lab.machine.process import Daemon, last_line, start_ticks, tail, wait_until
from flume.lab.progress import Say
from flume.untrusted_json import decode_untrusted

LOG = Path("/var/log/flumelab-dockerd.log")

RECORD = Path("/run/flumelab/engine.json")
"""The file that names the engine we started. A reboot removes it together with the engine."""

ENGINE_PACKAGES = {"dockerd": "docker.io", "iptables": "iptables"}
"""Program → Debian package: the engine, and the program with which it writes its network rules."""

_START_TIMEOUT_S = 60.0
"""A first start creates the data directory and the bridge: 2 to 5 s here."""

_PING_TIMEOUT_S = 3.0

_PATIENCE_S = 30.0
"""For an engine that accepts connections and is slow: it may just be starting, or the computer is busy."""

PID_FILE = Path("/var/run/docker.pid")

Reached = Literal["answers", "absent", "forbidden", "silent", "strange"]
"""What became of a question. Only ``absent`` means that no engine is there; ``strange``: no engine answers so."""


class StartedEngine(msgspec.Struct, frozen=True):
    """A dockerd that we started. Its start time distinguishes it from a later process with the same number."""

    pid: int
    start_ticks: int


def prepare(say: Say, *, interactive: bool = False, tests: bool = False) -> None:
    """Install what is missing, and start the engine of this machine if there is none.

    An engine that is named (:func:`find_endpoint`) is left to :meth:`Engine.connect`. *tests* also installs what only
    the tests need. Raises :class:`SetupError` that says what a person has to do.
    """
    if tests:
        packages.install(
            packages.test_packages(),
            "the tests capture packets, play video outside containers, compile the benchmark and start the lab by hand",
            say,
            interactive,
        )
    if find_endpoint(os.environ).named_by or not _is_absent(say):
        return
    wanted = {**ENGINE_PACKAGES, **packages.docker_command()}
    packages.install(wanted, "the lab runs its server and clients in Docker containers", say, interactive)
    start_engine(say, interactive=interactive)


def _is_absent(say: Say, *, patience_s: float | None = None) -> bool:
    """Return whether no engine is there, and False where one answers.

    Raises :class:`SetupError` where one is there and cannot be used: a second one would take its data and its networks.
    """
    patience_s = _PATIENCE_S if patience_s is None else patience_s
    reached = ask(timeout_s=_PING_TIMEOUT_S)
    if starting := reached == "absent" and _is_running(PID_FILE):
        say("A Docker engine is just starting here: waiting for it.")
        wait_until(answers, timeout_s=patience_s)
        reached = ask()
    elif reached == "silent":
        say(f"The Docker engine is slow to answer: waiting up to {patience_s:g} s.")
        reached = ask(timeout_s=patience_s)
    if reached == "forbidden":
        remedy = "run as root, or add yourself to the group docker (usermod -aG docker NAME, then log in again)"
        raise SetupError(f"the Docker engine at {SOCKET} may not be used by this user: {remedy}")
    if reached == "absent" and starting:
        raise SetupError(f"a dockerd runs ({PID_FILE}) and does not listen at {SOCKET}: set DOCKER_HOST, or end it")
    if reached in {"silent", "strange"}:
        how = f"not within {patience_s:g} s" if reached == "silent" else "not as an engine does"
        raise SetupError(
            f"the Docker engine at {SOCKET} is there and answers {how}: restart it (systemctl restart docker), "
            "then try again; no other one is started beside it"
        )
    return reached == "absent"


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over the Unix socket at a path."""

    def __init__(self, path: Path, *, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(*, timeout_s: float = _PING_TIMEOUT_S) -> Reached:
    """Ask the engine at the local socket whether it is there.

    Two lines of HTTP: importing the Docker SDK for this question would take longer than all of a second run.
    """
    connection = _UnixConnection(SOCKET, timeout_s=timeout_s)
    try:
        connection.request("GET", "/_ping")
        return "answers" if connection.getresponse().status == http.client.OK else "strange"
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        return "absent"
    except PermissionError:
        return "forbidden"
    except (TimeoutError, BlockingIOError):  # BlockingIOError: so many wait to be accepted that the kernel refuses more
        return "silent"
    except (OSError, http.client.HTTPException):
        return "strange"
    finally:
        connection.close()


def answers(*, timeout_s: float = _PING_TIMEOUT_S) -> bool:
    """Return whether a Docker engine answers on the local socket; False is no proof that there is none."""
    return ask(timeout_s=timeout_s) == "answers"


def start_engine(say: Say, *, interactive: bool = False) -> None:
    """Start Docker's engine and wait until it answers. Raises :class:`SetupError` with the engine's last output."""
    packages.require_root("no Docker engine answers", "systemctl start docker")
    if Path("/run/systemd/system").is_dir():
        say("Starting the Docker engine (systemctl start docker): none answers here.")
        _start_by_systemd()
        process = None
    else:
        say(f"Starting the Docker engine (dockerd, log in {LOG}): none answers here, and there is no systemd.")
        process = _start_by_ourselves()
    with progress.task("Docker engine", interactive=interactive):
        _wait_until_engine_answers(process, timeout_s=_START_TIMEOUT_S)


def _start_by_systemd() -> None:
    """Start the service by systemd."""
    command = ["systemctl", "start", "docker"]
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if result.returncode:
        raise SetupError(f"`{' '.join(command)}` failed: {last_line(result.stderr)}; see `journalctl -u docker`")


def _start_by_ourselves() -> Daemon:
    for pid_file in (PID_FILE, Path("/var/run/docker/containerd/containerd.pid")):
        remove_stale(pid_file)
    LOG.parent.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    with LOG.open("ab") as log:
        dockerd = shutil.which("dockerd", path=path) or "/usr/sbin/dockerd"
        process = Daemon([dockerd, *_mtu_option()], log, environment={**os.environ, "PATH": path})
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    RECORD.write_bytes(msgspec.json.encode(StartedEngine(process.pid, start_ticks(process.pid) or 0)))
    return process


def remove_stale(pid_file: Path) -> bool:
    """Remove *pid_file* unless its process is a dockerd or containerd; return whether it is not there any more.

    A killed dockerd leaves its file, and the next one refuses to start if *any* process has that number by then.
    """
    if not _is_running(pid_file):
        pid_file.unlink(missing_ok=True)
    return not pid_file.exists()


def _is_running(pid_file: Path) -> bool:
    """Return whether the process in *pid_file* is a dockerd or containerd that runs."""
    try:
        pid = int(pid_file.read_text())
        # A zombie has a name too. Where no init process reaps orphans, dockerd would wait for a dead containerd.
        running = "" if start_ticks(pid) is None else Path(f"/proc/{pid}/comm").read_text().strip()
    except (OSError, ValueError):
        return False
    return running in {"dockerd", "containerd"}


def _mtu_option(net: Path = Path("/sys/class/net"), routes: Path = Path("/proc/net/route")) -> list[str]:
    """Return ``--mtu`` where the default route carries less than Ethernet's 1500 bytes (tunnels, cloud machines).

    Without it containers send packets that such a path drops, and package downloads in image builds hang.
    """
    for line in routes.read_text().splitlines()[1:]:
        interface, destination = line.split()[:2]
        if destination == "00000000":
            mtu = int((net / interface / "mtu").read_text())
            return ["--mtu", str(mtu)] if mtu < 1500 else []
    return []


def _wait_until_engine_answers(process: Daemon | None, *, timeout_s: float) -> None:
    """Poll the engine; raise :class:`SetupError` as soon as it has ended, or after *timeout_s*."""
    where = f"see {LOG}" if process is not None else "see `journalctl -u docker`"

    def alive() -> bool:
        if process is not None and process.poll() is not None:
            raise SetupError(f"dockerd ended with status {process.returncode}: {last_line(tail(LOG))}; {where}")
        return answers(timeout_s=1.0)

    if not wait_until(alive, timeout_s=timeout_s):
        raise SetupError(f"the Docker engine did not answer within {timeout_s:g} s of its start; {where}")


def stop_engine(say: Say, *, timeout_s: float = 30.0) -> bool:
    """Stop the dockerd that we started, if it still runs; return whether it was stopped."""
    try:
        ours = decode_untrusted(RECORD.read_bytes(), StartedEngine)
    except (OSError, msgspec.DecodeError):
        return False
    RECORD.unlink(missing_ok=True)
    if start_ticks(ours.pid) != ours.start_ticks:
        return False
    say(f"Stopping the Docker engine that we started (process {ours.pid}).")
    os.kill(ours.pid, 15)
    if not wait_until(lambda: start_ticks(ours.pid) != ours.start_ticks, timeout_s=timeout_s):
        raise SetupError(f"dockerd (process {ours.pid}) did not end within {timeout_s:g} s; see {LOG}")
    return True
