"""Starting an engine where there is none, in new namespaces: first start, start after a kill, and stop."""

import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT

pytestmark = pytest.mark.docker


# Like another machine: no socket, no pid file, no image, no network but loopback. All processes started inside end with
# the first process of the process namespace.
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

PROGRAM = """
import contextlib, json, os, signal
from pathlib import Path
from flume.lab.machine import dockerd
from flume.lab.machine.process import wait_until

messages = []
def engine_pid():
    return json.loads(dockerd.RECORD.read_text())["pid"]
def gone(pid):
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return not Path(f"/proc/{pid}").exists()

assert not dockerd.answers()
dockerd.prepare(messages.append)
assert dockerd.answers()
assert len(messages) == 1 and "Starting the Docker engine" in messages[0], messages
first = engine_pid()
dockerd.prepare(messages.append)
assert engine_pid() == first and len(messages) == 1, "a second call starts no second engine"

os.kill(first, signal.SIGKILL)
assert wait_until(lambda: gone(first), timeout_s=10)
pid_file = Path("/var/run/docker.pid")
assert pid_file.exists() and not dockerd.answers()
pid_file.write_text(str(os.getpid()))  # the number belongs to another program by now
dockerd.prepare(messages.append)
assert dockerd.answers() and engine_pid() != first

second = engine_pid()
assert dockerd.stop_engine(messages.append)
assert not dockerd.answers()
assert wait_until(lambda: gone(second), timeout_s=10)
assert not dockerd.stop_engine(messages.append), "nothing of ours is left to stop"
print("all done")
"""


@pytest.mark.needs_root("Docker engines of their own")
def test_an_engine_is_started_started_again_after_a_kill_and_stopped(tmp_path: Path) -> None:
    """All three with the real dockerd, beside the engine of this machine."""
    command = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
    script = ["sh", "-c", PREPARE, "sh", str(tmp_path), sys.executable, PROGRAM]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(ROOT / "services")}
    done = subprocess.run(
        [*command, *script], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    log = tmp_path / "log" / "flumelab-dockerd.log"
    assert done.returncode == 0, done.stderr + (log.read_text()[-2000:] if log.exists() else "")
    assert done.stdout == "all done\n"
