"""A Debian in a folder, run as a system of its own: processes, mounts, network and Docker engine are apart from ours.

Packages come from where this machine's Debian packages and Python packages come from: the mirror that mmdebstrap knows,
and pip with this machine's settings and certificates. The network is a user-mode one (slirp4netns): no link, address
or rule of this machine changes, and no port is open to it.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from flume.lab.machine.process import wait_until
from support.paths import ROOT

RELEASES = {"12": "bookworm", "13": "trixie"}
README = ("ca-certificates", "git", "make", "python3")
"""What the README asks for, beside Debian's smallest system."""

INIT = Path(__file__).with_name("init.sh")
_OWN_SETTINGS = ("/etc/pip.conf", "/usr/local/share/ca-certificates", "/etc/ssl/certs/ca-certificates.crt")
_KEPT = ("PATH", "HOME", "LANG", "TERM")


def bootstrap(release: str, archive: Path) -> None:
    """Make the root file system of the Debian *release*, as a tar archive; raises CalledProcessError."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    unfinished = archive.with_name(f"unfinished-{os.getpid()}-{archive.name}")
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(README)}", RELEASES[release]]
    try:
        subprocess.run([*command, str(unfinished)], check=True, stdin=subprocess.DEVNULL)
        unfinished.rename(archive)
    finally:
        unfinished.unlink(missing_ok=True)


def unpack(archive: Path, root: Path) -> None:
    """Unpack *archive* into the new folder *root*, with this machine's pip settings and what is committed here."""
    root.mkdir(parents=True)
    subprocess.run(["tar", "--extract", f"--file={archive}", f"--directory={root}", "--numeric-owner"], check=True)
    for name in _OWN_SETTINGS:
        source, target = Path(name), root / name.lstrip("/")
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        elif source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    (root / "etc" / "resolv.conf").unlink(missing_ok=True)
    (root / "etc" / "resolv.conf").write_text("nameserver 10.0.2.3\n", encoding="utf-8")
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost fresh\n::1 localhost\n", encoding="utf-8")
    clone = ["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(root / "srv" / "flumelab")]
    subprocess.run(clone, check=True)


@contextlib.contextmanager
def running(root: Path, steps: str) -> Iterator["subprocess.Popen[str]"]:
    """Run the shell script *steps* in the system at *root*; yield the process, whose output is a pipe."""
    (root / "fresh").mkdir(exist_ok=True)
    (root / "fresh" / "steps").write_text(steps, encoding="utf-8")
    kinds = ("--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child", "--propagation", "private")
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    system = subprocess.Popen(
        ["unshare", *kinds, "sh", str(INIT), str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
    )
    network: subprocess.Popen[bytes] | None = None
    try:
        network = _join_network(system.pid)
        assert system.stdin is not None
        system.stdin.write("go\n")
        system.stdin.flush()
        yield system
    finally:
        _end(system)
        if network is not None:
            _end(network)


def _join_network(pid: int) -> "subprocess.Popen[bytes]":
    """Give the namespace of process *pid* a network; return the process that is its other end."""
    here = Path("/proc/self/ns/net").readlink()
    if not wait_until(lambda: Path(f"/proc/{pid}/ns/net").readlink() != here, timeout_s=20):
        raise RuntimeError("unshare has made no network namespace")
    reading, writing = os.pipe()
    try:
        options = ("--configure", "--mtu=1500", "--disable-host-loopback", f"--ready-fd={writing}")
        command: Sequence[str] = ("slirp4netns", *options, str(pid), "tap0")
        network = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(writing,))
    finally:
        os.close(writing)
    with os.fdopen(reading, "rb") as ready:
        if ready.read(1) != b"1":  # it waits; an end of the program ends it too
            _end(network)
            raise RuntimeError("slirp4netns has made no network: is /dev/net/tun there?")
    return network


def _end(process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> None:
    """End *process*; with the first process of a system all others of it end."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def remove(root: Path) -> None:
    """Remove the folder *root*. Its mounts went with its first process."""
    subprocess.run(["rm", "-rf", "--one-file-system", str(root)], check=True)
