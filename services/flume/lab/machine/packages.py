"""Debian packages: which are missing, and their installation.

Each message says what is about to be installed, and why, before it is done. The only file that installs packages.
"""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from flume.errors import SetupError
from flume.lab import progress
from flume.lab.progress import Say


def test_packages() -> Mapping[str, str]:
    """Return program or library → package for the tests; the path of libvlc depends on the CPU architecture."""
    triplet = f"{os.uname().machine}-linux-gnu"
    library = f"/usr/lib/{triplet}/libvlc.so.5"
    plugins = f"/usr/lib/{triplet}/vlc/plugins/codec/libavcodec_plugin.so"
    windows = f"/usr/lib/{triplet}/vlc/plugins/video_output/libxcb_window_plugin.so"
    cache = f"/usr/lib/{triplet}/vlc/vlc-cache-gen"
    programs = {
        "tcpdump": "tcpdump",
        "ip": "iproute2",
        "sysctl": "procps",
        "ping": "iputils-ping",
        "nc": "netcat-openbsd",
        "ethtool": "ethtool",
        "docker-compose": "docker-compose",
        "Xvfb": "xvfb",
        "nft": "nftables",
        "chromium": "chromium",
        "chromedriver": "chromium-driver",
        "gcc": "gcc",
        "/usr/include/stdio.h": "libc6-dev",
        "tshark": "tshark",
        "ssh-keygen": "openssh-client",
        "tsreport": "tstools",
    }
    libraries = {library: "libvlc5", plugins: "vlc-plugin-base", windows: "vlc-plugin-video-output"}
    return {**programs, **libraries, cache: "libvlc-bin", **docker_command()}


def docker_command(release: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """Return the program ``docker`` → its package on this Debian, or on that of *release* (``/etc/os-release``).

    From Debian 13 on it is in a package of its own, which the engine's only recommends. People look into containers
    with it, and some tests do.

    >>> docker_command({"ID": "debian", "VERSION_ID": "12"}), docker_command({"ID": "debian", "VERSION_ID": "13"})
    ({'docker': 'docker.io'}, {'docker': 'docker-cli'})
    """
    if release is None:
        try:
            release = platform.freedesktop_os_release()
        except OSError:
            release = {}
    version = release.get("VERSION_ID", "")
    is_older = release.get("ID") != "debian" or (version.isdigit() and int(version) < 13)
    return {"docker": "docker.io" if is_older else "docker-cli"}


def missing(programs: Mapping[str, str]) -> list[str]:
    """Return the packages whose *programs* (names or absolute paths) are missing here, each once.

    >>> missing({"sh": "dash", "/no/such/library.so": "libexample1"})
    ['libexample1']
    """
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    absent = (
        package
        for program, package in programs.items()
        if not (Path(program).exists() if program.startswith("/") else shutil.which(program, path=path))
    )
    return list(dict.fromkeys(absent))


def install(programs: Mapping[str, str], why: str, say: Say, interactive: bool) -> None:  # noqa: FBT001 - passed through
    """Install the packages that are missing; *why* is the reason for the person at the terminal.

    Raises :class:`SetupError` with the command to run by hand.
    """
    packages = missing(programs)
    if not packages:
        return
    by_hand = f"apt-get install --no-install-recommends {' '.join(packages)}"
    require_root(f"{', '.join(packages)} missing ({why})", by_hand)
    if shutil.which("apt-get") is None:
        raise SetupError(f"{', '.join(packages)} missing ({why}) and this is not Debian: install the equivalents")
    say(f"Installing the Debian packages {', '.join(packages)}: {why}.")
    with progress.task("Debian packages", total=100, interactive=interactive) as bar:
        if not _apt(["install", "--no-install-recommends", *packages], bar):
            # A new system has no package lists, an old one lists versions that the mirror no longer has.
            _apt(["update"], bar)
            _apt(["install", "--no-install-recommends", *packages], bar, final=by_hand)


def require_root(what: str, command: str) -> None:
    """Raise :class:`SetupError` unless we are root."""
    if os.geteuid() != 0:
        raise SetupError(f"{what}, and only root can change that: run `sudo {command}`, then try again")


def _apt(arguments: list[str], bar: progress.Task, *, final: str | None = None) -> bool:
    """Run apt-get and show its percentage; return whether it succeeded.

    *final* is the command to run by hand: with it a failure raises :class:`SetupError`.
    """
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    # Debian starts a service when it is installed. Without systemd that prints errors; we start the engine ourselves.
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
    """Move *bar* by apt's status lines (``pmstatus:package:percent:text``); return the last error line."""
    error = ""
    for line in lines:
        parts = line.rstrip("\n").split(":", 3)
        if parts[0] in {"dlstatus", "pmstatus"} and len(parts) == 4:
            bar.update(completed=float(parts[2]), text=parts[3].strip()[:60])
        elif parts[0] == "E":
            error = line.strip()
    return error
