"""A lab on an engine that was started with --userns-remap: one of its own, in new namespaces beside this machine's."""

from pathlib import Path

import msgspec
import pytest

from flume.lab.containers.engine import Container, Engine, Start
from flume.lab.containers.probe import Probe, Tap
from support.labs.containers import load_layout
from support.labs.own_engine import own_engine

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

REMAPPED = """
printf 'remapper:300000:65536\n' > "$folder/numbers"
(cat /etc/passwd; echo 'remapper:x:4242:4242::/nonexistent:/bin/false') > "$folder/passwd"
(cat /etc/group; echo 'remapper:x:4242:') > "$folder/group"
for file in passwd group; do mount --bind "$folder/$file" "/etc/$file"; done
for file in subuid subgid; do mount --bind "$folder/numbers" "/etc/$file"; done
"""


@pytest.mark.usefixtures("engine")
def test_a_lab_captures_on_an_engine_whose_containers_have_users_of_their_own(tmp_path: Path) -> None:
    """The probe enters the namespaces of such containers, and writes to its volume without being able to override."""
    with own_engine("--userns-remap", "remapper", before=REMAPPED) as own:
        own.load("flumelab/probe")
        with Engine.connect(own.endpoint) as remapped:
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
    network = engine.networks.ensure("remapped", "run", description=layout.networks["lab"])
    starts = [
        Start(service="client", role="client", index=1, network=network),
        Start(service="probe", role="probe"),
    ]
    *clients, probe = engine.start("remapped", "run", layout, starts)
    return clients, probe
