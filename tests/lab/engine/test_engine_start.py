"""Starting an engine where there is none, in namespaces of our own: first start, after a kill, and stop."""

import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT

pytestmark = pytest.mark.docker


# A machine of its own: no socket, no pid file, no image, no network but loopback. Whatever is started inside ends
# with the first process of the process namespace.
PREPARE = """
set -eu
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p "$1/lib" "$1/log" /var/lib/docker
mount --bind "$1/lib" /var/lib/docker
mount --bind "$1/log" /var/log
ip link set lo up
exec "$2" -c "$3"
"""

STORY = """
import contextlib, json, os, signal
from pathlib import Path
from flume.lab import host

said = []
def dockerd():
    return json.loads(host.RECORD.read_text())["pid"]
def gone(pid):
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return not Path(f"/proc/{pid}").exists()

assert not host.answers()
host.prepare(said.append)
assert host.answers()
assert len(said) == 1 and "Starting the Docker engine" in said[0], said
first = dockerd()
host.prepare(said.append)
assert dockerd() == first and len(said) == 1, "a second call starts no second engine"

os.kill(first, signal.SIGKILL)
assert host.wait_until(lambda: gone(first), timeout_s=10)
pid_file = Path("/var/run/docker.pid")
assert pid_file.exists() and not host.answers()
pid_file.write_text(str(os.getpid()))  # the number belongs to another program by now
host.prepare(said.append)
assert host.answers() and dockerd() != first

second = dockerd()
assert host.stop_engine(said.append)
assert not host.answers()
assert host.wait_until(lambda: gone(second), timeout_s=10)
assert not host.stop_engine(said.append), "nothing of ours is left to stop"
print("story told")
"""


def test_an_engine_is_started_started_again_after_a_kill_and_stopped(tmp_path: Path) -> None:
    """The whole story with the real dockerd, beside the machine's own."""
    command = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
    script = ["sh", "-c", PREPARE, "sh", str(tmp_path), sys.executable, STORY]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(ROOT / "services")}
    told = subprocess.run(
        [*command, *script], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    log = tmp_path / "log" / "flumelab-dockerd.log"
    assert told.returncode == 0, told.stderr + (log.read_text()[-2000:] if log.exists() else "")
    assert told.stdout == "story told\n"
