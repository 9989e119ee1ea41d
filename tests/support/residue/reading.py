"""Takes the snapshot of this machine: reads /proc, /sys and folders, and asks ip, tc, nft and iptables."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from support.privileges import is_root
from support.residue import parsing
from support.residue.values import Snapshot, Thing

FOLDERS = {
    tempfile.gettempdir(): 1,
    "/tmp": 1,  # noqa: S108 - it is only read
    "/dev/shm": 1,  # noqa: S108 - it is only read
    "/run": 6,  # /run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/ID
    "/var/log": 1,
    "/var/lib/flumelab": 2,
    "/var/lib/docker/containers": 1,
    "/var/lib/docker/volumes": 1,
}
"""Folder → how deep it is read. Programs keep there what outlives them."""

PASSED_OVER = frozenset({"rootfs", "netns"})
"""Folders that are not read into: the file systems of containers, and the places at which namespaces are mounted. The
mounts are looked at by themselves. Docker removes the empty file of one that it has unmounted up to a minute later."""

ROOTS_OWN = "only root is shown them"
"""Why the rules of the firewall are not read for other users, nor missed: what depends on them says so itself."""

Reader = Callable[[], Iterable[Thing]]


class UnreadError(Exception):
    """Something could not be read; the message says why."""


def take(more: dict[str, Reader] | None = None) -> Snapshot:
    """Return what is on this machine now, without this process; *more*: further readers, by what they read.

    For another user than root it has no rules of the firewall, no environments of other users' processes, and nothing
    of folders that only root may read.
    """
    readers = {**READERS, **(more or {})}
    things: list[Thing] = []
    unread = {}
    if not is_root():
        del readers["rules"]
        unread["rules"] = ROOTS_OWN
    for what, read in readers.items():
        try:
            things.extend(read())
        except (UnreadError, OSError) as error:
            unread[what] = str(error)
    return Snapshot(parsing.unique(things), unread)


def processes() -> Iterator[Thing]:
    """Yield the processes that run, without this one."""
    for folder in Path("/proc").glob("[0-9]*"):
        if folder.name == str(os.getpid()):
            continue
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            texts = [(folder / name).read_bytes() for name in ("stat", "cmdline", "cgroup")]
            environment = b""
            with contextlib.suppress(PermissionError):  # of another user; its command line is public
                environment = (folder / "environ").read_bytes()
            stat, command, cgroup = texts
            found = parsing.process(
                folder.name, stat.decode(errors="replace"), command, cgroup.decode(errors="replace"), environment
            )
            if found is not None:
                yield found


def interfaces() -> Iterator[Thing]:
    """Yield the network interfaces, each with its bridge."""
    for path in Path("/sys/class/net").iterdir():
        with contextlib.suppress(FileNotFoundError):
            master = path / "master"
            yield Thing("interface", path.name, f"of {master.resolve().name}" if master.exists() else "")


def routes() -> Iterator[Thing]:
    """Yield routes of all tables, and the rules that choose among the tables."""
    for family in ("-4", "-6"):
        yield from parsing.routes(_output("ip", "-o", family, "route", "show", "table", "all"))
        yield from parsing.policies(_output("ip", "-o", family, "rule", "show"))


def qdiscs() -> list[Thing]:
    """Return the queueing disciplines."""
    return parsing.qdiscs(_output("tc", "qdisc", "show"))


def rules() -> Iterator[Thing]:
    """Yield the rules of the firewall: what nft shows, and what iptables shows."""
    programs = [name for name in ("nft", "iptables-save", "ip6tables-save") if shutil.which(name)]
    if not programs:
        raise UnreadError("neither nft nor iptables-save is installed")
    if "nft" in programs:
        yield from parsing.nft_rules(_output("nft", "-s", "list", "ruleset"))
    for family, name in (("ip", "iptables-save"), ("ip6", "ip6tables-save")):
        if name in programs:
            yield from parsing.iptables_rules(_output(name), family)


def mounts() -> list[Thing]:
    """Return the mount points."""
    return parsing.mounts(Path("/proc/self/mountinfo").read_text())


def cgroups() -> Iterator[Thing]:
    """Yield the control groups."""
    root = "/sys/fs/cgroup"
    for folder, _, _ in os.walk(root):
        yield Thing("cgroup", folder)


def sockets() -> Iterator[Thing]:
    """Yield the sockets that listen, that take datagrams or packets, each with its process."""
    owners = _owners()
    net = Path("/proc/net")
    for protocol in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
        if (net / protocol).exists():  # not without IPv6
            yield from parsing.inet_sockets((net / protocol).read_text(), protocol, owners)
    yield from parsing.packet_sockets((net / "packet").read_text(), owners)
    yield from parsing.unix_sockets((net / "unix").read_text(), owners)


def files() -> Iterator[Thing]:
    """Yield what is in :data:`FOLDERS`, links and folders too."""
    for folder, depth in FOLDERS.items():
        yield from _files(Path(folder), depth)


READERS: dict[str, Reader] = {
    "processes": processes,
    "interfaces": interfaces,
    "routes": routes,
    "qdiscs": qdiscs,
    "rules": rules,
    "mounts": mounts,
    "control groups": cgroups,
    "sockets": sockets,
    "files": files,
}


def _files(folder: Path, depth: int) -> Iterator[Thing]:
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, PermissionError, NotADirectoryError):  # absent, private, or gone meanwhile
        return
    for entry in entries:
        yield Thing("file", entry.path)
        if depth > 1 and entry.is_dir(follow_symlinks=False) and entry.name not in PASSED_OVER:
            yield from _files(Path(entry.path), depth - 1)


def _owners() -> dict[str, str]:
    """Return inode of a socket → "process NUMBER ..." of one that has it open, for all that may be looked at."""
    found: dict[str, str] = {}
    about = {one.name.partition(" ")[0]: one.about for one in processes()}
    for number, words in about.items():
        with contextlib.suppress(OSError):
            for entry in os.scandir(f"/proc/{number}/fd"):
                with contextlib.suppress(OSError):
                    target = Path(entry.path).readlink().name
                    if target.startswith("socket:["):
                        found.setdefault(target[8:-1], f"process {number} {words}")
    return found


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnreadError(f"{command[0]}: {error}") from error
    if done.returncode:
        raise UnreadError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
