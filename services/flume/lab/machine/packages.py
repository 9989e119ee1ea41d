"""Prepare this machine for the lab: Debian packages, and a Docker engine that answers.

Says what it is about to do, and why, before it does it. The only file that installs packages or starts an engine.
An engine named by ``DOCKER_HOST``, or one that answers already, is used as it is and never stopped by us.
"""

import http.client
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from flume.errors import SetupError
from flume.lab import progress
from flume.lab.progress import Say

SOCKET = Path("/var/run/docker.sock")
LOG = Path("/var/log/flumelab-dockerd.log")
RECORD = Path("/run/flumelab/engine.json")
"""The engine that we started; gone after a reboot, as the engine is."""

ENGINE_PACKAGES = {"dockerd": "docker.io", "iptables": "iptables"}
"""Program → Debian package: the engine, and what it writes its network rules with."""

BASE_IMAGE_PACKAGES = {"mmdebstrap": "mmdebstrap"}
"""Only where no image registry answers."""

_START_TIMEOUT_S = 60.0
"""A first start creates the data directory and its bridge: 2 to 5 s here."""

_PING_TIMEOUT_S = 3.0


class StartedEngine(msgspec.Struct, frozen=True):
    """A dockerd of ours. Its start time tells it from a later process with the same number."""

    pid: int
    start_ticks: int


def prepare(say: Say, *, interactive: bool = False, tests: bool = False) -> None:
    """Install what is missing and leave an engine answering on this machine, or on ``DOCKER_HOST``.

    With *tests* also what only the tests need. Raises :class:`SetupError` that says what a person has to do.
    """
    if tests:
        install(
            test_packages(),
            "the tests capture packets, play video outside containers, compile the benchmark and start the lab by hand",
            say,
            interactive,
        )
    endpoint = os.environ.get("DOCKER_HOST")
    if endpoint:
        return  # somebody else's engine: whether it answers is for Engine.connect() to say
    if answers():
        return
    install(ENGINE_PACKAGES, "the lab runs its server and clients in Docker containers", say, interactive)
    start_engine(say, interactive=interactive)


def test_packages() -> Mapping[str, str]:
    """Return program or library → package for the tests; libvlc's path depends on the processor."""
    triplet = f"{os.uname().machine}-linux-gnu"
    library = f"/usr/lib/{triplet}/libvlc.so.5"
    plugins = f"/usr/lib/{triplet}/vlc/plugins/codec/libavcodec_plugin.so"
    windows = f"/usr/lib/{triplet}/vlc/plugins/video_output/libxcb_window_plugin.so"
    cache = f"/usr/lib/{triplet}/vlc/vlc-cache-gen"
    programs = {
        "tcpdump": "tcpdump",
        "ip": "iproute2",
        "nc": "netcat-openbsd",
        "ethtool": "ethtool",
        "docker-compose": "docker-compose",
        "Xvfb": "xvfb",
        "nft": "nftables",
        "gcc": "gcc",
        "/usr/include/stdio.h": "libc6-dev",
    }
    libraries = {library: "libvlc5", plugins: "vlc-plugin-base", windows: "vlc-plugin-video-output"}
    return programs | libraries | {cache: "libvlc-bin"}


def answers(*, timeout_s: float = _PING_TIMEOUT_S, path: Path | None = None) -> bool:
    """Return whether a Docker engine answers on the local socket, or on that at *path*.

    Asked with two lines of HTTP: importing the Docker SDK for it would take longer than all of a second run.
    """
    connection = http.client.HTTPConnection("localhost")
    try:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(timeout_s)
        connection.sock.connect(str(path or SOCKET))
        connection.request("GET", "/_ping")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def missing(programs: Mapping[str, str]) -> list[str]:
    """Return the packages of those *programs* (names or absolute paths) that are not here, without repeats."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    absent = (
        package
        for program, package in programs.items()
        if not (Path(program).exists() if program.startswith("/") else shutil.which(program, path=path))
    )
    return list(dict.fromkeys(absent))


def install(programs: Mapping[str, str], why: str, say: Say, interactive: bool) -> None:  # noqa: FBT001 - passed through
    """Install the packages that are missing, because of *why*. Raises :class:`SetupError` with the command to run."""
    packages = missing(programs)
    if not packages:
        return
    by_hand = f"apt-get install --no-install-recommends {' '.join(packages)}"
    _require_root(f"{', '.join(packages)} missing ({why})", by_hand)
    if shutil.which("apt-get") is None:
        raise SetupError(f"{', '.join(packages)} missing ({why}) and this is not Debian: install the equivalents")
    say(f"Installing the Debian packages {', '.join(packages)}: {why}.")
    with progress.task("Debian packages", total=100, interactive=interactive) as bar:
        if not _apt(["install", "--no-install-recommends", *packages], bar):
            # A fresh machine has no package lists, an old one lists versions that the mirror no longer has.
            _apt(["update"], bar)
            _apt(["install", "--no-install-recommends", *packages], bar, final=by_hand)


def _require_root(what: str, command: str) -> None:
    """Raise :class:`SetupError` unless we are root."""
    if os.geteuid() != 0:
        raise SetupError(f"{what}, and only root can change that: run `sudo {command}`, then try again")


def _apt(arguments: list[str], bar: progress.Task, *, final: str | None = None) -> bool:
    """Run apt-get and show its percentage; return whether it succeeded, or raise when this was the *final* try."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    # Debian starts a service when it is installed; without systemd that prints errors, and we start it ourselves.
    command = ["apt-get", "-y", "-q", "-o", "APT::Status-Fd=1", "-o", "DPkg::Lock::Timeout=120", *arguments]
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        last = _follow_apt(process.stdout or (), bar)
    if process.returncode and final is not None:
        raise SetupError(f"apt-get {arguments[0]} failed: {last or 'no message'}; run `{final}` to see all of it")
    return process.returncode == 0


def _follow_apt(lines: Iterable[str], bar: progress.Task) -> str:
    """Move *bar* along apt's status lines (``pmstatus:package:percent:text``); return the last error line."""
    error = ""
    for line in lines:
        parts = line.rstrip("\n").split(":", 3)
        if parts[0] in {"dlstatus", "pmstatus"} and len(parts) == 4:
            bar.update(completed=float(parts[2]), text=parts[3].strip()[:60])
        elif parts[0] == "E":
            error = line.strip()
    return error


def start_engine(say: Say, *, interactive: bool = False) -> None:
    """Start Docker's engine and wait until it answers. Raises :class:`SetupError` with the engine's own last words."""
    _require_root("no Docker engine answers", "systemctl start docker")
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
    """Ask systemd for the service."""
    command = ["systemctl", "start", "docker"]
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if result.returncode:
        raise SetupError(f"`{' '.join(command)}` failed: {last_line(result.stderr)}; see `journalctl -u docker`")


class Daemon(subprocess.Popen[bytes]):
    """A process that outlives us: a session of its own, and nothing of ours but its log. So no terminal reaches it."""

    def __init__(self, command: Sequence[str], log: BinaryIO, *, environment: Mapping[str, str]) -> None:
        """Start *command*, which says everything in *log*."""
        super().__init__(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=environment,
            start_new_session=True,
        )

    def __del__(self) -> None:
        """Forget it: Popen would warn of that while it runs, as it shall."""


def _start_by_ourselves() -> Daemon:
    for pid_file in (Path("/var/run/docker.pid"), Path("/var/run/docker/containerd/containerd.pid")):
        _remove_stale(pid_file)
    LOG.parent.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    with LOG.open("ab") as log:
        dockerd = shutil.which("dockerd", path=path) or "/usr/sbin/dockerd"
        process = Daemon([dockerd, *_mtu_option()], log, environment={**os.environ, "PATH": path})
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    RECORD.write_bytes(msgspec.json.encode(StartedEngine(process.pid, start_ticks(process.pid) or 0)))
    return process


def _remove_stale(pid_file: Path) -> None:
    """Remove *pid_file* unless the process it names runs that program.

    A killed dockerd leaves its file; the next one refuses to start when *any* process has that number by now.
    """
    try:
        pid = int(pid_file.read_text())
        # A zombie has a name too: where nobody collects orphans, dockerd would wait for a dead containerd.
        running = "" if start_ticks(pid) is None else Path(f"/proc/{pid}/comm").read_text().strip()
    except (OSError, ValueError):
        running = ""
    if running not in {"dockerd", "containerd"}:
        pid_file.unlink(missing_ok=True)


def _mtu_option(net: Path = Path("/sys/class/net"), routes: Path = Path("/proc/net/route")) -> list[str]:
    """Return ``--mtu`` where the default route carries less than Ethernet's 1500 bytes (tunnels, cloud machines).

    Docker's bridge would otherwise let containers send packets that vanish on the way, and package downloads in
    image builds hang.
    """
    for line in routes.read_text().splitlines()[1:]:
        interface, destination = line.split()[:2]
        if destination == "00000000":
            mtu = int((net / interface / "mtu").read_text())
            return ["--mtu", str(mtu)] if mtu < 1500 else []
    return []


def _wait_until_engine_answers(process: Daemon | None, *, timeout_s: float) -> None:
    """Poll the engine; raise :class:`SetupError` as soon as it has died, or after *timeout_s*."""
    where = f"see {LOG}" if process is not None else "see `journalctl -u docker`"

    def alive() -> bool:
        if process is not None and process.poll() is not None:
            raise SetupError(f"dockerd ended with status {process.returncode}: {last_line(tail(LOG))}; {where}")
        return answers(timeout_s=1.0)

    if not wait_until(alive, timeout_s=timeout_s):
        raise SetupError(f"the Docker engine did not answer within {timeout_s:g} s of its start; {where}")


def wait_until(condition: Callable[[], bool], *, timeout_s: float, interval_s: float = 0.1) -> bool:
    """Return whether *condition* came true within *timeout_s*; the one place of this module that sleeps."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(interval_s)
    return True


def stop_engine(say: Say, *, timeout_s: float = 30.0) -> bool:
    """Stop the dockerd that we started, if it still runs; return whether there was one to stop."""
    try:
        ours = msgspec.json.decode(RECORD.read_bytes(), type=StartedEngine)
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


def start_ticks(pid: int) -> int | None:
    """Return when process *pid* started, in clock ticks since boot; ``None`` when there is none, or only a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before may contain spaces and parentheses
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def tail(path: Path, size: int = 4096) -> str:
    """Return the end of a text file; empty when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - size))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def last_line(text: str) -> str:
    """Return the last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no message")


def bootstrap_base(target: Path, say: Say, *, interactive: bool = False, architecture: str | None = None) -> None:
    """Build Debian's base system as the tar archive *target*, for machines where no image registry answers.

    Raises :class:`SetupError` with mmdebstrap's last line.
    """
    install(BASE_IMAGE_PACKAGES, "no image registry answers, so the base image is built here", say, interactive)
    say("Building a Debian base image with mmdebstrap (about a minute, once): no image registry answers.")
    command = ["mmdebstrap", "--variant=minbase", *_base_options(architecture), "bookworm", str(target)]
    with progress.task("Debian base image", total=len(_BASE_STEPS), interactive=interactive) as bar:
        last = "no message"
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            for step, line in enumerate(_meaningful(process.stderr or ())):
                last = line
                bar.update(completed=min(step, len(_BASE_STEPS)), text=f"Debian base image: {line[3:60]}")
    if process.returncode:
        target.unlink(missing_ok=True)
        raise SetupError(f"mmdebstrap failed: {last}; run `{' '.join(command)}` to see all of it")


_BASE_STEPS = ("mode", "chroot", "update", "download", "extract", "essential", "install", "clean", "tar", "done")
"""About as many lines as mmdebstrap prints."""


def _meaningful(lines: Iterable[str]) -> Iterator[str]:
    """Yield mmdebstrap's messages (``I:``, ``W:``, ``E:``) without its own progress bars."""
    return (line.strip() for line in lines if line[:2] in {"I:", "W:", "E:"})


def _base_options(architecture: str | None) -> list[str]:
    """Return what makes the base as small as Debian's own slim image: no manuals, no translations."""
    excluded = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
    options = ["--aptopt=APT::Install-Recommends false"]
    options += [f"--dpkgopt=path-exclude={pattern}" for pattern in excluded]
    options += ["--dpkgopt=path-include=/usr/share/doc/*/copyright"]
    return options + ([f"--architectures={architecture}"] if architecture else [])
