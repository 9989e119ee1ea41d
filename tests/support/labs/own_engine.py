"""Docker engines that a test starts for itself, beside this machine's: to be killed, or to have options of their own.

Each has its own folder, and new namespaces of mounts and network: what it sets there ends with it.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from flume.lab.machine.dockerd import remove_stale
from flume.lab.machine.endpoint import Endpoint
from flume.lab.machine.process import wait_until
from support.privileges import need_root

_START = """
set -eu
folder=$1; shift
mount --make-rprivate /
[ ! -e "$folder/before" ] || . "$folder/before"
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
exec dockerd --host "unix://$folder/docker.sock" --data-root "$folder/lib" --exec-root "$folder/run" \\
    --pidfile "$folder/pid" "$@"
"""


class OwnEngine:
    """An engine in *folder*; :meth:`start` starts it, also again."""

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        self.folder = folder
        self.endpoint = Endpoint(f"unix://{folder}/docker.sock", "DOCKER_HOST")
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._enter: Sequence[str] = ("unshare", "--mount", "--net")

    def start(self) -> None:
        """Return when it answers."""
        environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
        command = [*self._enter, "sh", "-c", _START, "sh", str(self.folder), *self._options]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        self._process = process
        assert wait_until(lambda: self._answers() or process.poll() is not None, timeout_s=60), self.log()
        assert process.poll() is None, self.log()

    def _answers(self) -> bool:
        asked = subprocess.run(self.docker("version"), capture_output=True, timeout=60, check=False)
        return asked.returncode == 0

    def docker(self, *arguments: str) -> list[str]:
        """Return the command ``docker`` for this engine."""
        return ["docker", "--host", self.endpoint.url, *arguments]

    def load(self, *images: str) -> None:
        """Copy *images* from this machine's engine."""
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as saved:
            subprocess.run(self.docker("load", "--quiet"), stdin=saved.stdout, stdout=subprocess.DEVNULL, check=True)

    def log(self) -> str:
        return (self.folder / "log").read_text()[-2000:]

    @contextlib.contextmanager
    def killed(self) -> Iterator[None]:
        """Kill the engine for the body; start it again after that, where it was."""
        assert self._process is not None
        # A process of this namespace keeps it for the engine that is started after it.
        with subprocess.Popen(
            ["nsenter", "--target", str(self._process.pid), "--mount", "--net", "sleep", "120"],
            stdin=subprocess.DEVNULL,
        ) as keeper:
            try:
                assert wait_until(lambda: _is_entered(keeper.pid, self._process), timeout_s=20)
                self._process.send_signal(signal.SIGKILL)
                self._process.wait()
                yield
                self._enter = ("nsenter", "--target", str(keeper.pid), "--mount", "--net")
                (self.folder / "docker.sock").unlink()
                # containerd dies with the engine, but as a zombie where no init process reaps it soon.
                for name in ("pid", "run/containerd/containerd.pid"):
                    assert wait_until(partial(remove_stale, self.folder / name), timeout_s=30), name
                self.start()
            finally:
                keeper.kill()

    def stop(self) -> None:
        """End the engine in order, and its containers with it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)


def _is_entered(pid: int, process: "subprocess.Popen[bytes] | None") -> bool:
    """Whether *pid* is in the network namespace of *process*."""
    assert process is not None
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/ns/net").readlink() == Path(f"/proc/{process.pid}/ns/net").readlink()
    return False


@contextlib.contextmanager
def own_engine(*options: str, before: str = "") -> Iterator[OwnEngine]:
    """Start an engine with *options* for the body. *before* are lines of a shell that it runs first, in $folder."""
    need_root("Docker engines of their own")
    folder = Path(tempfile.mkdtemp(prefix="flumelab-engine-"))
    folder.chmod(0o711)  # users of a namespace of their own go through it, which pytest's own folders forbid
    if before:
        (folder / "before").write_text(before)
    engine = OwnEngine(folder, options)
    try:
        engine.start()
        yield engine
    finally:
        engine.stop()
        shutil.rmtree(folder, ignore_errors=True)
