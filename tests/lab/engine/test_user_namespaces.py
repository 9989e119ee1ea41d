"""A lab on an engine that was started with --userns-remap: one of its own, in new namespaces beside this machine's."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from flume.lab.containers.engine import Container, Engine, Start
from flume.lab.containers.probe import Probe, Tap
from flume.lab.machine.endpoint import Endpoint
from flume.lab.machine.process import wait_until
from support.labs.containers import load_layout

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

START = """
set -eu
mount --make-rprivate /
printf 'remapper:300000:65536\n' > "$1/numbers"
(cat /etc/passwd; echo 'remapper:x:4242:4242::/nonexistent:/bin/false') > "$1/passwd"
(cat /etc/group; echo 'remapper:x:4242:') > "$1/group"
for file in passwd group; do mount --bind "$1/$file" "/etc/$file"; done
for file in subuid subgid; do mount --bind "$1/numbers" "/etc/$file"; done
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
exec dockerd --userns-remap remapper --host "unix://$1/docker.sock" --data-root "$1/lib" --exec-root "$1/run" \
    --pidfile "$1/pid"
"""


@contextlib.contextmanager
def remapped_engine() -> Iterator[Endpoint]:
    """Start the engine for the body; it ends with it, and so do its containers."""
    folder = Path(tempfile.mkdtemp(prefix="flumelab-engine-"))
    folder.chmod(0o711)  # the remapped users go through it, which pytest's own folders forbid
    with (folder / "log").open("wb") as log:
        command = ["unshare", "--mount", "--net", "sh", "-c", START, "sh", str(folder)]
        environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
    try:
        endpoint = Endpoint(f"unix://{folder}/docker.sock", "DOCKER_HOST")
        assert wait_until(lambda: (folder / "docker.sock").exists() or process.poll() is not None, timeout_s=60)
        assert process.poll() is None, (folder / "log").read_text()[-2000:]
        yield endpoint
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.usefixtures("engine")
def test_a_lab_captures_on_an_engine_whose_containers_have_users_of_their_own(tmp_path: Path) -> None:
    """The probe enters the namespaces of such containers, and writes to its volume without being able to override."""
    with remapped_engine() as endpoint:
        with subprocess.Popen(["docker", "save", "flumelab/probe"], stdout=subprocess.PIPE) as saved:
            subprocess.run(["docker", "--host", endpoint.url, "load"], stdin=saved.stdout, check=True)
        with Engine.connect(endpoint) as remapped:
            (client,), probe_container = start_clients(remapped)
            assert Path(f"/proc/{client.pid}/uid_map").read_text().split()[1] == "300000"
            probe = Probe(probe_container)
            probe.start_taps([Tap("client-1", client.pid)])
            (end,) = probe.stop_taps(["client-1"])
            assert end.problem is None
            probe.switch_segmentation_off(client.pid)
            (capture,) = probe.fetch(tmp_path)
            assert capture.name == "client-1.pcap"
            remapped.remove_lab("remapped")


def start_clients(engine: Engine) -> tuple[list[Container], Container]:
    """Start one client that only sleeps, as a program of the probe's image, and the probe."""
    layout = load_layout()
    sleeper = msgspec.structs.replace(
        layout.service("client"), image="flumelab/probe", command=("sleep", "infinity"), healthcheck=None
    )
    layout = msgspec.structs.replace(layout, services={**layout.services, "client": sleeper})
    network = engine.ensure_network("remapped", "run", description=layout.networks["lab"])
    starts = [
        Start(service="client", role="client", index=1, network=network),
        Start(service="probe", role="probe"),
    ]
    *clients, probe = engine.start("remapped", "run", layout, starts)
    return clients, probe
